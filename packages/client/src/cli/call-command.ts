/** `countersign call`: one paid call from the command line, and its receipt. */
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { describeError, ProtocolError } from '@countersign/protocol/errors'
import { parsePolicy } from '@countersign/protocol/verify/policy'
import { createAttestedFetch } from '../attested/attested-fetch.ts'
import { createKeysetAttester } from '../attested/keyset-attester.ts'
import { countersignFetch, type CountersignFetch } from '../countersign-fetch.ts'
import { ClientError, ReceiptError } from '../errors.ts'
import { createSealedFetch } from '../sealed/sealed-fetch.ts'
import type { VerifiedReceipt } from '../receipt/verified-receipt.ts'
import { isJsonMap } from '../pay/base64-json.ts'
import { readBounded } from '../read-bounded.ts'
import { readNetworkState } from '../network/network-state.ts'
import {
  callPaymentHelp,
  callPaymentOptions,
  checkCallPayment,
  openCallPayment,
  type CallPaymentValues,
} from './call-payment.ts'
import { createStreamText, createWholeText } from './chat-answer.ts'
import {
  onlyPositional,
  parseCommandLine,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { commandName } from './command-name.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintable, toPrintableText } from './printable.ts'
import { withProgress } from './progress.ts'
import { refuseUnwritable, writeFileAs } from './read-file-bounded.ts'
import { formatVerdict } from './verdict-text.ts'
import {
  policyPinHelp,
  policyPinOptions,
  toPins,
  type PolicyPinValues,
} from './read-evidence-policy.ts'
import { exitCodeOf, readEvidenceVerifier, readPolicy } from './verify-command.ts'

/** The command. */
export const callCommand: Command = {
  help: `usage: countersign call [options] PROMPT

Asks a model through a gateway, pays, prints the answer as it arrives, verifies the receipt and saves it. Answer on
standard output, everything else on standard error. The payer is the wallet of the network in ./.countersign, by exact,
unless an option says otherwise.

  --model ID           default: the model of the network
  --no-stream          get the answer in one piece (--stream is the default)
  --out FILE           where to save the receipt; default ./ID.countersign.json
  --base-url URL       another gateway, ending in /v1; needs --model
  --attested           speak only to a TLS key that evidence stands behind; for a gateway that ends TLS itself
  --sealed             encrypt the whole call to a key that evidence stands behind
  --policy NAME|FILE   for the receipt and for --attested and --sealed: default (accepts SIMULATED evidence), production
                       (does not; holds beside --evidence-policy where none is named), or a file
  --evidence-policy FILE  what to ask of evidence of hardware, for the same; without one it proves nothing
${policyPinHelp}
  --data DIR           folder of the network, default ./.countersign

payment:
${callPaymentHelp}

exit code: 0 the receipt is valid, 1 invalid, 2 incomplete, 64 wrong usage, 69 the call failed, 73 cannot save

examples:
  countersign call "Is invoice 17 approved?"
  countersign call --model gpt-4.1-nano --no-stream --out answer.countersign.json "Say hello"
  countersign call --channel --state payer.json --keystore wallet.json --rpc URL --operator terms.json "Say hello"
`,
  run,
}

type Target = {
  readonly fetch: CountersignFetch
  readonly baseUrl: string
  readonly model: string
  readonly close: () => Promise<void>
}

const maxErrorBytes = 65_536
const shortIdCharacters = 12

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    model: { type: 'string' },
    stream: { type: 'boolean', default: false },
    'no-stream': { type: 'boolean', default: false },
    out: { type: 'string' },
    ...callPaymentOptions,
    'base-url': { type: 'string' },
    policy: { type: 'string' },
    'evidence-policy': { type: 'string' },
    ...policyPinOptions,
    attested: { type: 'boolean', default: false },
    sealed: { type: 'boolean', default: false },
    data: { type: 'string', default: '.countersign' },
  })
  const prompt = onlyPositional(positionals, 'PROMPT')
  if (values.stream && values['no-stream']) {
    throw new UsageError('--stream and --no-stream exclude each other')
  }
  if (values.out !== undefined) await refuseUnwritable(values.out)
  const target = await findTarget(values, context)
  try {
    return await callTarget(target, prompt, values, context)
  } finally {
    await target.close()
  }
}

async function callTarget(
  target: Target,
  prompt: string,
  values: { readonly 'no-stream'?: boolean | undefined; readonly out?: string | undefined },
  context: CommandContext,
): Promise<ExitCode> {
  const { err } = context.terminal
  const work = target.fetch(`${target.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: target.model,
      messages: [{ role: 'user', content: prompt }],
      stream: values['no-stream'] !== true,
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
  const judged = target.fetch.receiptOf(response)
  const receipt = await withProgress(err, 'waiting for the receipt', judged).catch(
    async (error: unknown) => {
      if (error instanceof ReceiptError) await keepEvidence(error, response, values.out, context)
      throw error
    },
  )
  const file = values.out ?? nameOf(receipt.id)
  await writeFileAs(file, receipt.bundle)
  report(receipt, file, context)
  if (context.interrupted.aborted) return exitCodes.interrupted
  return isWhole ? exitCodeOf(receipt.verdict) : exitCodes.unavailable
}

/** A receipt that does not belong to its call is what a payer has in hand against the gateway. */
async function keepEvidence(
  { bundle }: ReceiptError,
  { headers }: Response,
  out: string | undefined,
  { terminal: { err } }: CommandContext,
): Promise<void> {
  // Only answers with an id of this form have a receipt.
  const file = out ?? nameOf(headers.get('x-receipt-id') ?? '')
  const fault = '\nthe receipt is not what it has to be; '
  try {
    await writeFileAs(file, bundle)
    err.write(`${fault}kept as evidence: ${file}\n`)
  } catch (error) {
    // What is wrong with the receipt is the graver news.
    const { message } = error instanceof Error ? error : new Error('unknown')
    err.write(`${fault}it could not be kept: ${toPrintable(message)}\n`)
  }
}

function nameOf(id: string): string {
  return `${id.slice(0, shortIdCharacters)}.countersign.json`
}

async function findTarget(
  values: CallPaymentValues &
    PolicyPinValues & {
      readonly model?: string | undefined
      readonly 'base-url'?: string | undefined
      readonly policy?: string | undefined
      readonly 'evidence-policy'?: string | undefined
      readonly attested: boolean
      readonly sealed: boolean
    },
  context: CommandContext,
): Promise<Target> {
  checkCallPayment(values)
  const { baseUrl, model } = await findModel(values)
  if (values.attested && !baseUrl.startsWith('https:')) {
    throw new UsageError(`--attested needs a gateway with https (listen.tls), not ${baseUrl}`)
  }
  const now = context.nowMs
  const pins = toPins(values)
  const judgeEvidence = await readEvidenceVerifier(values['evidence-policy'], pins, now())
  const judged = {
    now,
    policy: await readUsablePolicy(values.policy, values['evidence-policy']),
    ...(judgeEvidence === undefined ? {} : { judgeEvidence }),
  }
  const { attested, sealed } = values
  const carrier = attested ? { fetch: createAttestedFetch(judged) } : {}
  const { options, close } = await openCallPayment(values, context, {
    ...carrier,
    attestKeyset: createKeysetAttester({ ...judged, ...carrier }),
    isAsked: attested || sealed,
  })
  const transport = sealed ? { fetch: createSealedFetch({ ...judged, ...carrier }) } : carrier
  return {
    fetch: countersignFetch({ baseUrl, ...judged, ...transport, ...options }),
    baseUrl,
    model,
    close,
  }
}

/** Every receipt would be judged invalid by one that cannot be read, after its call was paid. */
async function readUsablePolicy(
  name: string | undefined,
  evidencePolicy: string | undefined,
): Promise<Uint8Array> {
  const policy = await readPolicy(name, evidencePolicy)
  try {
    parsePolicy(policy)
    return policy
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new UsageError(`--policy: ${describeError(cause)}`, { cause })
  }
}

async function findModel(values: {
  readonly model?: string | undefined
  readonly 'base-url'?: string | undefined
  readonly data: string
}): Promise<{ readonly baseUrl: string; readonly model: string }> {
  const given = values['base-url']
  if (given === undefined) {
    const { baseUrl, model } = await readNetworkState(values.data)
    return { baseUrl, model: values.model ?? model }
  }
  if (values.model === undefined) throw new UsageError('--base-url needs --model')
  if (!URL.canParse(given)) throw new UsageError(`${given} is no URL`)
  return { baseUrl: given.replace(/\/$/, ''), model: values.model }
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
  // One that breaks off says nothing more than its status.
  const read = await readBounded(response, maxErrorBytes).catch(() => undefined)
  const body = read ?? new Uint8Array(0)
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
