/**
 * `npm run demo`: a whole network on loopback, one paid and streamed call by the `openai` client, its receipt, the
 * verdict check by check, and the refusal of the same receipt with one byte turned. `--json` prints one object.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import OpenAI, { OpenAIError } from 'openai'
import { ClientError, countersignFetch, type VerifiedReceipt } from '@countersign/client'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import type { Verdict } from '@countersign/protocol/verify/verdict'
import { verify } from '@countersign/protocol/verify/verify'
import { toPrintableText } from '../../packages/client/src/cli/printable.ts'
import { createTerminal, type Output } from '../../packages/client/src/cli/terminal.ts'
import { formatVerdict } from '../../packages/client/src/cli/verdict-text.ts'
import { startNetwork, type Network } from '../../packages/client/src/network/start-network.ts'
import { startDemoProvider } from './demo-provider.ts'
import { turnOneByte } from './tamper.ts'

const prompt = 'Say in one sentence what a notary does.'
const priceAtomic = 10_000n
const usage = 'usage: npm run demo [-- --json]\n'

const whatNext = `Next:
  npm run up                                     a network that stays, data in ./.countersign
  npm run countersign -- call "Say hello"        a paid call from the command line, its receipt in a file
  npm run countersign -- inspect FILE            what a receipt says
  npm run countersign -- verify FILE --policy production   why SIMULATED evidence is not enough
  OPENAI_API_KEY=… npm run demo                  the same with a real provider
`

/** What `--json` prints. */
type Summary = {
  readonly provider: string
  readonly receiptId: string
  readonly verdict: Verdict['verdict']
  readonly checks: Verdict['checks']
  readonly tamperedVerdict: Verdict['verdict']
  readonly tamperedCode: string
  /** Atomic units. */
  readonly charged: string
  readonly settlementTx: string | null
  readonly ms: Readonly<Record<'start' | 'firstText' | 'call' | 'verify' | 'total', number>>
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const isJson = args[0] === '--json'
  if (args.length > (isJson ? 1 : 0)) {
    process.stderr.write(usage)
    return 64
  }
  const { out, err } = createTerminal(process, process.env)
  const silent: Output = { isTerminal: false, write: () => undefined, style: (_, text) => text }
  try {
    const summary = await demonstrate(isJson ? silent : out)
    if (isJson) out.write(`${JSON.stringify(summary)}\n`)
    return summary.verdict === 'valid' && summary.tamperedVerdict === 'invalid' ? 0 : 1
  } catch (error) {
    if (!(error instanceof ClientError || error instanceof OpenAIError)) throw error
    err.write(`${err.style('red', 'the demo failed')} ${toPrintableText(error.message)}\n`)
    return 69
  }
}

async function demonstrate(out: Output): Promise<Summary> {
  const startedMs = performance.now()
  const dataDir = await mkdtemp(join(tmpdir(), 'countersign-demo-'))
  const provider = await startDemoProvider(process.env)
  try {
    out.write(`${out.style('bold', 'provider')}  ${provider.description}\n`)
    const { upstream } = provider
    const options = { dataDir, upstream, port: 0, priceAtomic, environment: process.env }
    const network = await startNetwork(options)
    const startMs = performance.now() - startedMs
    try {
      out.write(
        `${out.style('bold', 'network')}   gateway ${network.baseUrl}, chain ${network.rpcUrl}, wallet ${network.wallet.address}\n`,
      )
      const call = await callOnce(network, out)
      const judged = await judge(call.receipt, out)
      const ms = { start: startMs, ...call.ms, ...judged.ms, total: performance.now() - startedMs }
      return {
        provider: upstream.name,
        ...toSummary(call.receipt),
        ...judged.tampered,
        ms: round(ms),
      }
    } finally {
      await network.stop()
    }
  } finally {
    await provider.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** One call as any program would make it: the official client, and our function as its `fetch`. */
async function callOnce(
  { baseUrl, wallet, model }: Network,
  out: Output,
): Promise<{ receipt: VerifiedReceipt; ms: { firstText: number; call: number } }> {
  const startedMs = performance.now()
  let firstTextMs = Number.NaN
  const paidFetch = countersignFetch({
    baseUrl,
    account: wallet,
    maxAmountAtomic: priceAtomic,
    budgetAtomic: priceAtomic,
  })
  const openai = new OpenAI({ baseURL: baseUrl, apiKey: 'unused', fetch: paidFetch, maxRetries: 0 })
  out.write(`${out.style('bold', 'prompt')}    ${prompt}\n${out.style('bold', 'answer')}    `)
  const { data, response } = await openai.chat.completions
    .create({ model, messages: [{ role: 'user', content: prompt }], stream: true })
    .withResponse()
  for await (const chunk of data) {
    const text = chunk.choices[0]?.delta.content ?? ''
    if (Number.isNaN(firstTextMs) && text !== '') firstTextMs = performance.now() - startedMs
    out.write(toPrintableText(text))
  }
  const receipt = await paidFetch.receiptOf(response)
  out.write(`\n\n${out.style('bold', 'receipt')}   ${receipt.id}, ${receipt.bundle.length} bytes\n`)
  out.write(
    `${out.style('bold', 'charged')}   ${receipt.chargedAtomic} atomic units of test USDC (0.01), settled in ${receipt.settlementTransaction ?? 'no transaction'}\n`,
  )
  return { receipt, ms: { firstText: firstTextMs, call: performance.now() - startedMs } }
}

async function judge(
  { bundle, verdict }: VerifiedReceipt,
  out: Output,
): Promise<{
  tampered: Pick<Summary, 'tamperedVerdict' | 'tamperedCode'>
  ms: { verify: number }
}> {
  out.write(`\n${formatVerdict(verdict, out)}`)
  const { bundle: turned, what } = turnOneByte(bundle)
  const startedMs = performance.now()
  const refused = await verify(turned, defaultPolicy, Date.now())
  const verifyMs = performance.now() - startedMs
  const failed = refused.checks.find((check) => check.status === 'failed')
  const code = failed?.status === 'failed' ? failed.code : ''
  out.write(
    `\nThe same receipt with ${what} turned: ${out.style('red', refused.verdict.toUpperCase())}, ${failed?.id ?? ''}: ${out.style('red', code)}\n\n${whatNext}`,
  )
  return {
    tampered: { tamperedVerdict: refused.verdict, tamperedCode: code },
    ms: { verify: verifyMs },
  }
}

function toSummary({
  id,
  verdict,
  chargedAtomic,
  settlementTransaction,
}: VerifiedReceipt): Pick<
  Summary,
  'receiptId' | 'verdict' | 'checks' | 'charged' | 'settlementTx'
> {
  return {
    receiptId: id,
    verdict: verdict.verdict,
    checks: verdict.checks,
    charged: chargedAtomic.toString(),
    settlementTx: settlementTransaction ?? null,
  }
}

function round(ms: Summary['ms']): Summary['ms'] {
  const { start, firstText, call, verify: verifyMs, total } = ms
  return {
    start: Math.round(start),
    firstText: Math.round(firstText),
    call: Math.round(call),
    verify: Math.round(verifyMs),
    total: Math.round(total),
  }
}
