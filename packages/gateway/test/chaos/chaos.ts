/**
 * Paid calls over HTTP while the gateway is killed, the chain stalls, upstreams fail, callers leave and send payments
 * twice. In the end every sum is the same, or this throws (issue: nothing lost, nothing doubled).
 */
import { strict as assert } from 'node:assert'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import type { PaymentPayload, PaymentRequired } from '@x402/core/types'
import type { RawCall, RawResult } from '../../../../test/provider/raw-client.ts'
import { createRandom, type Random } from '../ledger/random.ts'
import {
  chatBody,
  post,
  quoteIn,
  startMeteredGateway,
  type MeteredNetwork,
  type MeteredOperator,
} from '../payment/metered-network.ts'
import type { RunningGateway } from '../support/start-gateway.ts'
import { auditSums, type Sums } from './audit-sums.ts'
import { createUptoPayer, createVoucherPayer, type ChaosPayer } from './chaos-payers.ts'

/** What to do to the network. */
export type ChaosOptions = {
  readonly network: MeteredNetwork
  readonly operator: MeteredOperator
  readonly providerUrl: string
  /** The gateway's folder; kept. */
  readonly folder: string
  readonly kills: number
  readonly calls: number
  readonly seed: number
  readonly uptoPayers: number
  readonly channelPayers: number
  /** With several, it is they who are killed, in turn with the whole gateway. */
  readonly workers?: number
  /** Of the calls, half of them if not given: the rest is paid from channels. */
  readonly uptoPercent?: number
  /** What a payer of a channel deposits: nearly all that it has. */
  readonly depositAtomic?: bigint
  /** Callers at a time. */
  readonly callers?: number
  /** The program of the gateway, when it is not the sources. */
  readonly program?: string
  readonly onProgress?: (line: string) => void
}

/** What happened, and what was compared in the end. */
export type ChaosTally = Sums & {
  kills: number
  /** Of them, those of one worker. */
  workerKills: number
  stalls: number
  calls: number
  served: number
  refused: number
  failedUpstream: number
  left: number
  cutByKill: number
  raced: number
  replayed: number
  /** How many calls were refused, by the code of the refusal. */
  readonly refusals: Record<string, number>
}

const models = [
  ...Array.from({ length: 6 }, () => 'loopback-echo'),
  'loopback-slow-30',
  'loopback-slow-30',
  'hostile-status-500',
  'hostile-reset',
  'hostile-eof-mid',
]
const prompts = ['why', 'is the sky blue', 'one two three four five six seven']
const settleNextWithinMs = 60_000

/**
 * Runs it.
 *
 * @throws AssertionError when any sum differs from another.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosTally> {
  const { network, operator, folder, seed } = options
  const run: Run = {
    options,
    ...(await createPayers(options)),
    quotes: new Map(),
    gateway: startAgain(options),
    stopping: false,
    counts: {
      kills: 0,
      workerKills: 0,
      stalls: 0,
      calls: 0,
      served: 0,
      refused: 0,
      failedUpstream: 0,
      left: 0,
      cutByKill: 0,
      raced: 0,
      replayed: 0,
      refusals: {},
    },
  }
  try {
    const calling = Array.from({ length: options.callers ?? 6 }, (_, index) =>
      work(run, createRandom(seed * 1000 + index)),
    )
    await killAgainAndAgain(run, createRandom(seed))
    await Promise.all(calling)
    // Once more: whatever the last calls left is taken up by a process that has seen none of them.
    await killOnce(run)
    await waitUntilSettled(options, await run.gateway)
  } finally {
    network.chain.resume()
    await (await run.gateway).stop()
  }
  return { ...run.counts, ...(await auditSums(network, operator.payee, join(folder, 'data'))) }
}

/** Owned by one run. */
type Run = {
  readonly options: ChaosOptions
  readonly byUpto: readonly ChaosPayer[]
  readonly byVoucher: readonly ChaosPayer[]
  /** By body: offers depend on the request alone. */
  readonly quotes: Map<string, PaymentRequired>
  /** The process that runs, or starts again: nobody calls meanwhile. */
  gateway: Promise<RunningGateway>
  stopping: boolean
  readonly counts: Omit<ChaosTally, keyof Sums>
}

async function createPayers(options: ChaosOptions): Promise<Pick<Run, 'byUpto' | 'byVoucher'>> {
  const { network, operator, uptoPayers, channelPayers, depositAtomic = 90_000n } = options
  const byUpto = await Promise.all(
    Array.from({ length: uptoPayers }, () => createUptoPayer(network)),
  )
  const byVoucher = Array.from({ length: channelPayers }, () =>
    createVoucherPayer(network, operator, { asset: baseSepoliaUsdc.address, depositAtomic }),
  )
  return { byUpto, byVoucher }
}

function startAgain({
  network,
  operator,
  providerUrl,
  folder,
  workers = 1,
  program,
}: ChaosOptions): Promise<RunningGateway> {
  // Whatever is charged is claimed at once.
  const batch = { maxUnclaimedAtomic: '1' }
  const more = program === undefined ? {} : { program }
  return startMeteredGateway(network, operator, { providerUrl, folder, batch, workers, ...more })
}

/** Kills at random instants, spread over all calls, until it has killed often enough and enough calls were made. */
async function killAgainAndAgain(run: Run, random: Random): Promise<void> {
  const { options, counts } = run
  const { kills, calls, onProgress = () => undefined } = options
  const { chain } = options.network
  const meanCalls = kills === 0 ? calls : calls / kills
  // Owned here: the next kill comes when so many calls were begun, or when none begins any more.
  let killAt = random.below(Math.ceil(2 * meanCalls))
  while (counts.kills < kills || counts.calls < calls) {
    await setTimeout(50 + random.below(300))
    if (random.chance(5)) {
      counts.stalls++
      chain.pause()
      await setTimeout(200 + random.below(1200))
      chain.resume()
    }
    if (counts.kills >= kills || counts.calls < killAt) continue
    counts.kills++
    killAt = Math.floor(counts.kills * meanCalls) + random.below(Math.ceil(2 * meanCalls))
    const { workers: processes = 1 } = options
    if (processes > 1 && counts.kills % 3 !== 0) await killWorker(run, random)
    else await killOnce(run)
    if (counts.kills % 10 === 0) onProgress(JSON.stringify(counts))
  }
  run.stopping = true
}

async function killOnce(run: Run): Promise<void> {
  const dying = await run.gateway
  run.gateway = dying.kill().then(() => startAgain(run.options))
  await run.gateway
}

/** Ends one of the processes that serve; calls go on meanwhile. */
async function killWorker(run: Run, random: Random): Promise<void> {
  const gateway = await run.gateway
  await gateway.logged(servesText, run.options.workers)
  const serves = findServing(gateway.stderr())
  const pid = random.pick(serves.latest)
  run.counts.workerKills++
  process.kill(pid, 'SIGKILL')
  await gateway.logged(servesText, serves.count + 1)
}

const servesText = 'a worker serves'

/** How many workers have begun to serve, and the processes that do now. */
function findServing(log: string): { readonly count: number; readonly latest: readonly number[] } {
  const bySlot = new Map<string, number>()
  const found = [...log.matchAll(/"worker":([0-9]+),"pid":([0-9]+),"msg":"a worker serves"/g)]
  for (const [, slot = '', pid = ''] of found) bySlot.set(slot, Number(pid))
  return { count: found.length, latest: [...bySlot.values()] }
}

async function work(run: Run, random: Random): Promise<void> {
  while (!run.stopping) {
    const body = chatBody(random.pick(models), random.chance(50), random.pick(prompts))
    const byUpto = random.chance(run.options.uptoPercent ?? 50)
    const payer = random.pick(byUpto ? run.byUpto : run.byVoucher)
    const quote = await quoteFor(run, body)
    // It was killed while it was asked.
    if (quote === undefined) continue
    const payment = await payer.pay(quote)
    await makeCall(run, random, payer, body, payment)
    payer.end(payment)
  }
}

async function quoteFor(run: Run, body: string): Promise<PaymentRequired | undefined> {
  const known = run.quotes.get(body)
  if (known !== undefined) return known
  const answer = await post(await run.gateway, body)
  if (answer.status !== 402) return undefined
  const quote = quoteIn(answer)
  run.quotes.set(body, quote)
  return quote
}

async function makeCall(
  run: Run,
  random: Random,
  payer: ChaosPayer,
  body: string,
  payment: PaymentPayload,
): Promise<void> {
  const { counts } = run
  counts.calls++
  const how = random.below(10)
  const sends = how === 0 ? 3 : 1
  const gateway = await run.gateway
  const more: Partial<RawCall> = how === 1 ? { leaveWhen: (bytes) => bytes > 0 } : {}
  const answers = await Promise.all(
    Array.from({ length: sends }, () => post(gateway, body, payment, more)),
  )
  for (const answer of answers) note(run, payer, answer, how === 1)
  const served = answers.filter(({ status }) => status === 200)
  if (sends > 1) {
    counts.raced++
    assert.ok(served.length <= 1, 'one payment was served twice')
  }
  if (how !== 2 || served.length === 0) return
  counts.replayed++
  const again = await post(await run.gateway, body, payment)
  assert.notEqual(again.status, 200, 'a payment was served again')
}

function note({ counts }: Run, payer: ChaosPayer, answer: RawResult, leaves: boolean): void {
  payer.hear(answer)
  const { status, failure } = answer
  if (status === 402 || status === 503) {
    counts.refused++
    const code = codeIn(answer.body)
    counts.refusals[code] = (counts.refusals[code] ?? 0) + 1
  } else if (status === null) counts.cutByKill++
  else if (status >= 500) counts.failedUpstream++
  else if (leaves) counts.left++
  else if (failure !== null) counts.cutByKill++
  else counts.served++
}

function codeIn(body: Buffer): string {
  const problem: unknown = JSON.parse(body.toString())
  return typeof problem === 'object' && problem !== null && 'code' in problem
    ? String(problem.code)
    : 'none'
}

/**
 * The chain makes a block a second; everything is claimed and settled soon after the last call, and the more calls the
 * later. What does not become less for a minute never will.
 */
async function waitUntilSettled(
  { seed, onProgress = () => undefined }: ChaosOptions,
  { url }: RunningGateway,
): Promise<void> {
  let least = Infinity
  let until = 0
  while (true) {
    const waiting = unsettledIn(await (await fetch(`${url}/metrics`)).text())
    const total = waiting.reduce((sum, { count }) => sum + count, 0)
    if (total === 0) return
    if (total < least) {
      least = total
      until = performance.now() + settleNextWithinMs
    }
    const text = JSON.stringify({ waiting })
    assert.ok(performance.now() < until, `seed ${seed}: nothing settles any more: ${text}`)
    onProgress(text)
    await setTimeout(1000)
  }
}

/** Owed, and not on chain. */
function unsettledIn(
  metrics: string,
): readonly { readonly name: string; readonly count: number }[] {
  return ['countersign_unsettled_payments', 'countersign_unclaimed_channels'].map((name) => {
    const [, count] = new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics) ?? []
    assert.ok(count !== undefined, `${name} is missing`)
    return { name, count: Number(count) }
  })
}
