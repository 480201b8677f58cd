/**
 * This tree beside another one and a plain relay, under the same load: the machine's noise is larger than most changes,
 * so the three take turns of a fifth of a second and what is compared is their ratio.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { readCpuUs } from './cpu-time.ts'
import { nodeCommand, startPinned } from './pinned-process.ts'
import { startGateway, startTarget, type Target } from './targets.ts'
import { createRequestBody, type Shape } from './wire.ts'

const rounds = 20
const turnMs = 200
const warmUpMs = 4500
const rampMs = 30
const connections = { json: 32, burst: 8 } as const
const mockUpstream = new URL('./mock-upstream.ts', import.meta.url)
const thisTree = new URL('../../', import.meta.url)

/** What is compared: passed through or with receipts, a JSON call or a stream whose events come at once. */
type Case = { readonly shape: keyof typeof connections; readonly hasReceipts: boolean }

const cases: readonly Case[] = [
  { shape: 'json', hasReceipts: false },
  { shape: 'json', hasReceipts: true },
  { shape: 'burst', hasReceipts: false },
  { shape: 'burst', hasReceipts: true },
]

/**
 * Compares CPU per call with the tree in this folder, which has its dependencies installed, and prints a line for each
 * case. Nothing is written to bench/results/.
 *
 * @throws Error when a target answers wrongly or not at all.
 */
export async function compareTrees(otherTree: string): Promise<void> {
  const other = pathToFileURL(`${resolve(otherTree)}/`)
  const folder = mkdtempSync(join(tmpdir(), 'countersign-compare-'))
  const upstream = await startPinned(0, nodeCommand(mockUpstream, []))
  try {
    for (const [index, each] of cases.entries()) {
      const port = Number(upstream.hello['port'])
      process.stdout.write(`${await compareCase(each, port, other, join(folder, String(index)))}\n`)
    }
  } finally {
    await upstream.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compareCase(
  { shape, hasReceipts }: Case,
  upstreamPort: number,
  other: URL,
  folder: string,
): Promise<string> {
  const name = hasReceipts ? 'gateway-receipts' : 'gateway-passthrough'
  const terms = { hasReceipts, hasApiKey: false }
  const targets: Target[] = []
  try {
    const relay = await startTarget('plain-relay', upstreamPort, folder)
    if (relay !== undefined) targets.push(relay)
    for (const [tree, root] of Object.entries({ other, this: thisTree })) {
      targets.push(await startGateway(name, upstreamPort, join(folder, tree), terms, root))
    }
    const loads = targets.map((target) => createLoad(target, shape))
    for (const load of loads) await load.run(warmUpMs)
    const costs = loads.map((): number[] => [])
    for (let round = 0; round < rounds; round++) {
      for (const [index, load] of loads.entries()) costs[index]?.push(await load.run(turnMs))
    }
    for (const load of loads) load.close()
    return describe(`${shape}, ${name}`, costs)
  } finally {
    for (const target of targets) await target.stop()
  }
}

/** Best tenth of the turns: noise only adds. */
function describe(title: string, costs: readonly (readonly number[])[]): string {
  const [relay = Number.NaN, before = Number.NaN, now = Number.NaN] = costs.map(
    (each) => each.toSorted((a, b) => a - b)[Math.floor(rounds / 10)],
  )
  const toRelay = (cost: number): string => `${cost.toFixed(0)} µs (${(cost / relay).toFixed(2)})`
  const change = ((now / before - 1) * 100).toFixed(0)
  return `${title}: relay ${relay.toFixed(0)} µs, other ${toRelay(before)}, this ${toRelay(now)}, ${change} %`
}

type Load = {
  /** Keeps the target busy for so long; gives its CPU time for each call, microseconds. */
  run(ms: number): Promise<number>
  close(): void
}

/** Closed loops that rest between two runs. */
function createLoad(target: Target, shape: Shape): Load {
  // Owned here: whether calls go on, how many have ended, and how many are under way.
  const state = { isRunning: false, done: 0, running: 0 }
  const request = createRequest(target.port, shape)
  const sockets = Array.from(
    { length: shape === 'json' ? connections.json : connections.burst },
    () =>
      openLoop(
        target.port,
        shape,
        () => {
          state.done++
          if (!state.isRunning) state.running--
          return state.isRunning
        },
        request,
      ),
  )
  return {
    async run(ms) {
      state.isRunning = true
      state.running = sockets.length
      for (const socket of sockets) socket.write(request, 'latin1')
      await sleep(rampMs)
      const before = { done: state.done, cpuUs: readCpuUs(target.pids) }
      await sleep(ms)
      const used = readCpuUs(target.pids) - before.cpuUs
      const done = state.done - before.done
      state.isRunning = false
      const deadline = AbortSignal.timeout(10_000)
      while (state.running > 0) await sleep(2, undefined, { signal: deadline })
      return used / done
    },
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** `ended` says whether the loop goes on. */
function openLoop(port: number, shape: Shape, ended: () => boolean, request: string): Socket {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let held = ''
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    held += text
    if (!isWhole(held, shape)) return
    if (!held.startsWith('HTTP/1.1 200 ')) throw new Error(`answered ${held.slice(0, 200)}`)
    held = ''
    if (ended()) socket.write(request, 'latin1')
  })
  return socket
}

function isWhole(held: string, shape: Shape): boolean {
  const headEnd = held.indexOf('\r\n\r\n')
  if (headEnd < 0) return false
  if (shape !== 'json') return held.endsWith('\r\n\r\n') && held.includes('\r\n0\r\n', headEnd)
  const length = /content-length: *(\d+)/i.exec(held.slice(0, headEnd))?.[1]
  return held.length >= headEnd + 4 + Number(length ?? 0)
}

function createRequest(port: number, shape: Shape): string {
  const body = createRequestBody(shape)
  const head = `host: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`
  return `POST /v1/chat/completions HTTP/1.1\r\n${head}\r\n\r\n${body}`
}
