/**
 * Paid calls of this tree and of another one in turns, beside calls that nobody pays for: on a noisy machine only what
 * ran in the same seconds can be compared.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import {
  startMeteredNetwork,
  type MeteredNetwork,
} from '../../packages/gateway/test/payment/metered-network.ts'
import { readCpuUs, readMainUs } from '../gateway/cpu-time.ts'
import { canPin, nodeCommand, startPinned } from '../gateway/pinned-process.ts'
import { createRequestBody, model, type Shape } from '../gateway/wire.ts'
import { chargeOf, depositAtomic } from './measure-gateway.ts'
import { openChannels } from './open-channels.ts'
import { createPayer, type Payer, type Payment } from './payer.ts'
import { startPaidGateway, type PaidServer } from './paid-servers.ts'
import type { JobPayment } from './payment-job.ts'
import { fetchQuote } from './sign-payments.ts'

const rounds = 20
const turnMs = 300
const rampMs = 40
const warmUpMs = 3000
const channels = 200
const connections = 32
const signedBefore = 16_000
const balanceAtomic = 1_000_000_000_000n
const path = '/v1/chat/completions'
const mockUpstream = new URL('../gateway/mock-upstream.ts', import.meta.url)

/** What is compared: a JSON call or a stream whose events come at once, paid by a voucher or by nobody. */
type Case = { readonly shape: 'json' | 'burst'; readonly isPaid: boolean }

const cases: readonly Case[] = [
  { shape: 'json', isPaid: true },
  { shape: 'burst', isPaid: true },
  { shape: 'json', isPaid: false },
  { shape: 'burst', isPaid: false },
]

function nameOf({ shape, isPaid }: Case): string {
  return `${shape}-${isPaid ? 'voucher' : 'none'}`
}

/** CPU time of one turn for each call, microseconds, with that of threads other than the main one. */
type Cost = { readonly allUs: number; readonly ownUs: number }

/**
 * Compares CPU per call with the tree in this folder, which has its dependencies installed, and prints a line for each
 * case. Nothing is written to bench/results/.
 *
 * @throws Error when an answer or a charge is wrong.
 */
export async function comparePayments(
  otherTree: string,
  workers: number,
  only: readonly string[],
): Promise<void> {
  const trees = {
    other: pathToFileURL(`${resolve(otherTree)}/`),
    this: new URL('../../', import.meta.url),
  }
  if (canPin()) execFileSync('taskset', ['-acp', '0', String(process.pid)], { stdio: 'pipe' })
  const folder = mkdtempSync(join(tmpdir(), 'countersign-compare-'))
  const upstream = await startPinned(0, nodeCommand(mockUpstream, []))
  const network = await startMeteredNetwork(balanceAtomic)
  try {
    for (const [index, each] of cases.entries()) {
      if (only.length > 0 && !only.includes(nameOf(each))) continue
      const run = { network, upstreamPort: Number(upstream.hello['port']), workers }
      const costs = await compareCase(run, each, trees, join(folder, String(index)))
      process.stdout.write(`${nameOf(each)}: ${describe(costs)}\n`)
    }
  } finally {
    await network.chain.stop()
    await upstream.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

type Run = {
  readonly network: MeteredNetwork
  readonly upstreamPort: number
  readonly workers: number
}
type Trees = Readonly<Record<'other' | 'this', URL>>
type Costs = Readonly<Record<keyof Trees, readonly Cost[]>>

async function compareCase(run: Run, each: Case, trees: Trees, parent: string): Promise<Costs> {
  mkdirSync(parent)
  const servers: PaidServer[] = []
  const costs: Record<keyof Trees, Cost[]> = { other: [], this: [] }
  try {
    const loads: Record<keyof Trees, Load> = {
      other: await startLoad(run, each, trees.other, join(parent, 'other'), servers),
      this: await startLoad(run, each, trees.this, join(parent, 'this'), servers),
    }
    for (const name of ['other', 'this'] as const) await loads[name].run(warmUpMs)
    for (let round = 0; round < rounds; round++) {
      // Who goes first finds the machine otherwise than who goes second.
      const order = round % 2 === 0 ? (['other', 'this'] as const) : (['this', 'other'] as const)
      for (const name of order) costs[name].push(await loads[name].run(turnMs))
    }
    for (const load of Object.values(loads)) load.close()
    return costs
  } finally {
    for (const server of servers) await server.stop()
  }
}

function describe(costs: Costs): string {
  const other = toFigures(costs.other)
  const own = toFigures(costs.this)
  const changes = [percentOf(own.least, other.least), percentOf(own.median, other.median)]
  return `other ${textOf(other)}; this ${textOf(own)}; ${changes.join(', ')}`
}

function percentOf(now: number, before: number): string {
  return `${((now / before - 1) * 100).toFixed(0)} %`
}

function textOf({ least, median, others }: Figures): string {
  return `least ${least.toFixed(0)}, median ${median.toFixed(0)} µs, of it ${others.toFixed(0)} in other threads`
}

/** The best tenth of the turns, and their middle. */
type Figures = { readonly least: number; readonly median: number; readonly others: number }

function toFigures(costs: readonly Cost[]): Figures {
  const sorted = costs.toSorted((a, b) => a.allUs - b.allUs)
  const at = (share: number): Cost =>
    sorted[Math.floor(sorted.length * share)] ?? { allUs: Number.NaN, ownUs: Number.NaN }
  const middle = at(0.5)
  return { least: at(0.1).allUs, median: middle.allUs, others: middle.allUs - middle.ownUs }
}

async function startLoad(
  { network, upstreamPort, workers }: Run,
  { shape, isPaid }: Case,
  tree: URL,
  folder: string,
  servers: PaidServer[],
): Promise<Load> {
  mkdirSync(folder)
  const operator = isPaid ? await network.createOperator() : undefined
  const core = workers > 1 ? 'any' : 1
  const asked = { upstreamPort, folder, profileFolder: undefined, workers, core, tree } as const
  const server = await startPaidGateway(network, operator, asked)
  servers.push(server)
  const payment = isPaid
    ? await preparePayment(network, server.port, shape)
    : ({ kind: 'same', headers: {}, status: 200 } as const)
  return createLoad(server, shape, await createPayer(payment))
}

async function preparePayment(
  network: MeteredNetwork,
  port: number,
  shape: Case['shape'],
): Promise<JobPayment> {
  const payerKey = network.createChannelPayer()
  const { accepts } = await fetchQuote({ port, path, shape, modelName: model })
  const accepted = accepts.find(({ scheme }) => scheme === 'batch-settlement')
  if (accepted === undefined) throw new Error('no channel is offered')
  const count = { count: channels, depositAtomic }
  const opened = await openChannels(network.chain, payerKey, accepted, count)
  const amountAtomic = chargeOf[shape]
  return { kind: 'voucher', payerKey, accepted, channels: opened, amountAtomic, signedBefore }
}

type Load = {
  /** Keeps the server busy for so long. */
  run(ms: number): Promise<Cost>
  close(): void
}

/** Closed loops that rest between two turns. */
function createLoad({ port, pid }: PaidServer, shape: Shape, payer: Payer): Load {
  // Owned here: whether calls go on, how many have ended, and how many are under way.
  const state = { isRunning: false, done: 0, running: 0 }
  const body = createRequestBody(shape)
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`
  const loops = Array.from({ length: connections }, () =>
    openLoop(port, (ended) => {
      if (ended) state.done++
      const payment = state.isRunning || !ended ? payer.pay() : undefined
      if (payment === undefined) {
        state.running--
        return undefined
      }
      return { payment, request: `${head}${payment.headers}\r\n${body}` }
    }),
  )
  return {
    async run(ms) {
      state.isRunning = true
      state.running = loops.length
      for (const loop of loops) loop.start()
      await sleep(rampMs)
      const before = { done: state.done, allUs: readCpuUs([pid]), ownUs: readMainUs([pid]) }
      await sleep(ms)
      const allUs = readCpuUs([pid]) - before.allUs
      const ownUs = readMainUs([pid]) - before.ownUs
      const done = state.done - before.done
      state.isRunning = false
      const deadline = AbortSignal.timeout(10_000)
      while (state.running > 0) await sleep(2, undefined, { signal: deadline })
      return { allUs: allUs / done, ownUs: ownUs / done }
    },
    close() {
      for (const { socket } of loops) socket.destroy()
    },
  }
}

type Loop = { readonly socket: Socket; readonly start: () => void }
type Next = { readonly payment: Payment; readonly request: string }

/** `next` says what to send, after an answer or as the first; with `undefined` the loop rests. */
function openLoop(port: number, next: (ended: boolean) => Next | undefined): Loop {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let held = ''
  let payment: Payment | undefined
  const send = (ended: boolean): void => {
    const call = next(ended)
    held = ''
    payment = call?.payment
    if (call !== undefined) socket.write(call.request, 'latin1')
  }
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    held += text
    if (!isWhole(held)) return
    if (!held.startsWith('HTTP/1.1 200 ')) throw new Error(`answered ${held.slice(0, 200)}`)
    payment?.check(held)
    send(true)
  })
  return {
    socket,
    start: () => {
      send(false)
    },
  }
}

function isWhole(held: string): boolean {
  const headEnd = held.indexOf('\r\n\r\n')
  if (headEnd < 0) return false
  const length = /content-length: *(\d+)/i.exec(held.slice(0, headEnd))?.[1]
  if (length !== undefined) return held.length >= headEnd + 4 + Number(length)
  return held.endsWith('\r\n\r\n') && held.includes('\r\n0\r\n', headEnd)
}
