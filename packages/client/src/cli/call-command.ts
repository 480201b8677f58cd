/** `countersign call`: one paid call from the command line, and its receipt. */
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { createAttestedFetch } from '../attested/attested-fetch.ts'
import { countersignFetch, type CountersignFetch } from '../countersign-fetch.ts'
import { ClientError } from '../errors.ts'
import type { CountersignFetchOptions } from '../fetch-options.ts'
import { createSealedFetch } from '../sealed/sealed-fetch.ts'
import type { VerifiedReceipt } from '../receipt/verified-receipt.ts'
import { isJsonMap } from '../pay/base64-json.ts'
import { readBounded } from '../read-bounded.ts'
import { readNetworkKeys } from '../network/network-keys.ts'
import { readNetworkState } from '../network/network-state.ts'
import { createStreamText, createWholeText } from './chat-answer.ts'
import {
  onlyPositional,
  parseAtomic,
  parseCommandLine,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { commandName } from './command-name.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintable, toPrintableText } from './printable.ts'
import { withProgress } from './progress.ts'
import { writeFileAs } from './read-file-bounded.ts'
import { formatVerdict } from './verdict-text.ts'
import { exitCodeOf } from './verify-command.ts'

/** The command. */
export const callCommand: Command = {
  help: `usage: countersign call [options] PROMPT

Asks a model through a gateway, pays, prints the answer as it arrives, verifies the receipt and saves it. Answer on
standard output, everything else on standard error. The payer is the wallet of the network in ./.countersign.

  --model ID           default: the model of the network
  --no-stream          get the answer in one piece (--stream is the default)
  --out FILE           where to save the receipt; default ./ID.countersign.json
  --max-price ATOMIC   refuse to pay more than this, default 50000 (0.05 USDC)
  --base-url URL       another gateway, ending in /v1; needs --model
  --api-key KEY        pay with an API key of the gateway; better: COUNTERSIGN_API_KEY in the environment
  --attested           speak only to a TLS key that evidence stands behind; for a gateway that ends TLS itself
  --sealed             encrypt the whole call to a key that evidence stands behind
  --data DIR           folder of the network, default ./.countersign

exit code: 0 the receipt is valid, 1 invalid, 2 incomplete, 64 wrong usage, 69 the call failed, 73 cannot save

examples:
  countersign call "Is invoice 17 approved?"
  countersign call --model gpt-4.1-nano --no-stream --out answer.countersign.json "Say hello"
`,
  run,
}

type Target = { readonly fetch: CountersignFetch; readonly baseUrl: string; readonly model: string }

const maxErrorBytes = 65_536
const shortIdCharacters = 12

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    model: { type: 'string' },
    stream: { type: 'boolean', default: false },
    'no-stream': { type: 'boolean', default: false },
    out: { type: 'string' },
    'max-price': { type: 'string', default: '50000' },
    'base-url': { type: 'string' },
    'api-key': { type: 'string' },
    attested: { type: 'boolean', default: false },
    sealed: { type: 'boolean', default: false },
    data: { type: 'string', default: '.countersign' },
  })
  const prompt = onlyPositional(positionals, 'PROMPT')
  if (values.stream && values['no-stream']) {
    throw new UsageError('--stream and --no-stream exclude each other')
  }
  const target = await findTarget(values, context)
  const { err } = context.terminal
  const work = target.fetch(`${target.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: target.model,
      messages: [{ role: 'user', content: prompt }],
      stream: !values['no-stream'],
    }),
    signal: context.interrupted,
  })
  const answered = work.catch((cause: unknown) => {
    if (cause instanceof ClientError || context.interrupted.aborted) throw cause
    throw new ClientError('gateway-unreachable', { detail: target.baseUrl, cause })
  })
  const response = await withProgress(err, `waiting for ${toPrintable(target.model)}`, answered)
  if (!response.ok) return failCall(response, context)
  const isWhole = await printAnswer(response, context)
  const receipt = await withProgress(
    err,
    'waiting for the receipt',
    target.fetch.receiptOf(response),
  )
  const file = values.out ?? `${receipt.id.slice(0, shortIdCharacters)}.countersign.json`
  await writeFileAs(file, receipt.bundle)
  report(receipt, file, context)
  if (context.interrupted.aborted) return exitCodes.interrupted
  return isWhole ? exitCodeOf(receipt.verdict) : exitCodes.unavailable
}

async function findTarget(
  values: {
    readonly model?: string | undefined
    readonly 'max-price': string
    readonly 'base-url'?: string | undefined
    readonly 'api-key'?: string | undefined
    readonly attested: boolean
    readonly sealed: boolean
    readonly data: string
  },
  { environment, nowMs }: CommandContext,
): Promise<Target> {
  const maxAmountAtomic = parseAtomic('--max-price', values['max-price'])
  const given = values['base-url']
  if (given !== undefined && values.model === undefined) {
    throw new UsageError('--base-url needs --model')
  }
  if (given !== undefined && !URL.canParse(given)) throw new UsageError(`${given} is no URL`)
  const state =
    given === undefined
      ? await readNetworkState(values.data)
      : { baseUrl: given.replace(/\/$/, ''), model: '' }
  const { baseUrl } = state
  if (values.attested && !baseUrl.startsWith('https:')) {
    throw new UsageError(`--attested needs a gateway with https (listen.tls), not ${baseUrl}`)
  }
  const model = values.model ?? state.model
  const transport = createTransport(values, nowMs)
  const apiKey = values['api-key'] ?? environment['COUNTERSIGN_API_KEY']
  if (apiKey !== undefined) {
    return {
      fetch: countersignFetch({ baseUrl, apiKey, now: nowMs, ...transport }),
      baseUrl,
      model,
    }
  }
  const { wallet: account } = await readNetworkKeys(values.data)
  const options = {
    baseUrl,
    account,
    maxAmountAtomic,
    budgetAtomic: maxAmountAtomic,
    now: nowMs,
    ...transport,
  }
  return { fetch: countersignFetch(options), baseUrl, model }
}

function createTransport(
  { attested, sealed }: { readonly attested: boolean; readonly sealed: boolean },
  now: () => number,
): Pick<CountersignFetchOptions, 'fetch'> {
  const fetch = attested ? createAttestedFetch({ now }) : undefined
  if (sealed)
    return { fetch: createSealedFetch({ now, ...(fetch === undefined ? {} : { fetch }) }) }
  return fetch === undefined ? {} : { fetch }
}

/** False when the answer broke off: its receipt is still worth having. */
async function printAnswer(
  response: Response,
  { terminal, interrupted }: CommandContext,
): Promise<boolean> {
  const { out, err } = terminal
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  const text = isStream ? createStreamText() : createWholeText()
  // A model can be made to write escape sequences; a terminal would obey them.
  const print = (part: string): void => out.write(out.isTerminal ? toPrintableText(part) : part)
  const body: ReadableStream<Uint8Array> | null = response.body
  try {
    if (body !== null) for await (const piece of body) print(text.push(piece))
    print(`${text.end()}\n`)
    return true
  } catch {
    const what = interrupted.aborted ? 'interrupted' : 'the answer broke off'
    err.write(`\n${err.style('yellow', what)}; the receipt covers what arrived\n`)
    return false
  }
}

async function failCall(response: Response, { terminal }: CommandContext): Promise<ExitCode> {
  const body = (await readBounded(response, maxErrorBytes)) ?? new Uint8Array(0)
  const { err } = terminal
  const id = response.headers.get('x-receipt-id')
  err.write(`${err.style('red', 'error')} ${response.status} ${describeProblem(body)}\n`)
  if (id !== null) err.write(`receipt ${toPrintable(id)}\n`)
  return exitCodes.unavailable
}

/** Code and message of an error of the OpenAI form, or the body as it is. */
function describeProblem(body: Uint8Array): string {
  const json = decodeJson(body)
  const error = isJsonMap(json) ? json.get('error') : undefined
  const code = isJsonMap(error) ? error.get('code') : undefined
  const message = isJsonMap(error) ? error.get('message') : undefined
  if (typeof code !== 'string' || typeof message !== 'string') {
    return toPrintableText(new TextDecoder().decode(body))
  }
  return toPrintable(`${code}: ${message}`)
}

function report(receipt: VerifiedReceipt, file: string, { terminal }: CommandContext): void {
  const { err } = terminal
  const { id, chargedAtomic, settlementTransaction, verdict } = receipt
  err.write(`\n${err.style('bold', 'receipt')} ${id}\n`)
  err.write(`charged ${chargedAtomic} atomic units`)
  err.write(settlementTransaction === undefined ? '\n' : `, settled in ${settlementTransaction}\n`)
  err.write(formatVerdict(verdict, err))
  err.write(`saved to ${file}; judge it again, offline: ${commandName} verify ${file}\n`)
}
