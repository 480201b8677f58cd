/**
 * The soak: a real gateway under mixed calls and a thousand aborted streams a minute. Memory and open descriptors stay
 * flat, no request goes unanswered, and every call has exactly one statement.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import {
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../../packages/gateway/test/support/start-gateway.ts'
import { everyUpstream } from '../../packages/gateway/test/support/wire-calls.ts'
import { startLoopbackProvider } from '../provider/start.ts'
import { createRandom } from '../tampering/random.ts'
import { maxConnections, runLoad, type SoakCall } from './soak-load.ts'

/** What was measured, and what of it is not as it must be. */
export interface SoakReport {
  readonly seed: number
  readonly minutes: number
  readonly answered: number
  readonly left: number
  readonly refused: number
  readonly failed: readonly string[]
  readonly statements: number
  /** The least in the second and in the last third: garbage comes and goes, what is held stays. */
  readonly residentMb: { readonly first: number; readonly last: number; readonly most: number }
  /** Of the least in each three minutes after the first third; null for runs with fewer than four of them. */
  readonly slopeMbPerMinute: number | null
  /** Before the load, most under it, and after it when the callers have closed their connections. */
  readonly descriptors: { readonly idle: number; readonly most: number; readonly after: number }
  readonly faults: readonly string[]
}

/** What a soak is held to. */
const soakLimits = {
  /** Growth of the least resident memory; judged from this length on, before that the heap still finds its size. */
  memoryFactor: 1.15,
  memoryFromMinutes: 5,
  slopeMbPerMinute: 1,
  /** Open descriptors beyond those of the connections that callers and upstreams may have. */
  descriptors: 8,
} as const
const upstreamConnections = 32
// A heap that may not spread: garbage is collected soon, and what is really held shows, or ends the process.
const nodeFlags = ['--max-old-space-size=96']
const windowMinutes = 3

const abortsPerMinute = 1000
const callsPerMinute = 1200

/** Runs a soak. */
export async function soak(
  minutes: number,
  seed: number,
  onProgress: (line: string) => void = () => undefined,
): Promise<SoakReport> {
  const provider = await startLoopbackProvider()
  try {
    const upstreams = everyUpstream(provider).map((upstream) => ({
      ...upstream,
      connections: upstreamConnections,
    }))
    const gateway = await startGateway({ config: { upstreams }, logLevel: 'error', nodeFlags })
    try {
      const idle = countDescriptors(gateway.pid)
      const calls: SoakCall[] = []
      const samples = await sampleDuring(gateway.pid, onProgress, () =>
        runLoad({
          origin: gateway.url,
          random: createRandom(seed),
          minutes,
          abortsPerMinute,
          callsPerMinute,
          onCall: (call) => calls.push(call),
        }),
      )
      const most = Math.max(...samples.map((sample) => sample.descriptors))
      const least = idle + upstreams.length * upstreamConnections
      const descriptors = { idle, most, after: await countSettled(gateway.pid, least) }
      const judged = await judgeSoak(gateway, minutes, calls, samples)
      const faults = [...judged.faults, ...judgeDescriptors(descriptors, upstreams.length)]
      return { seed, minutes, ...judged, descriptors, faults }
    } finally {
      await disposeGateway(gateway)
    }
  } finally {
    await provider.stop()
  }
}

/** One look at the process. */
export interface Sample {
  readonly minute: number
  readonly residentMb: number
  readonly descriptors: number
}

async function sampleDuring(
  pid: number,
  onProgress: (line: string) => void,
  run: () => Promise<void>,
): Promise<readonly Sample[]> {
  const startedMs = performance.now()
  const samples: Sample[] = []
  const look = (): void => {
    const sample = {
      minute: (performance.now() - startedMs) / 60_000,
      residentMb: readResidentMb(pid),
      descriptors: countDescriptors(pid),
    }
    samples.push(sample)
    if (samples.length % 10 === 0) onProgress(JSON.stringify(sample))
  }
  const timer = setInterval(look, 1000)
  try {
    await run()
  } finally {
    clearInterval(timer)
  }
  look()
  return samples
}

function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length
}

/** Descriptors once the callers' connections are closed at this end too, which takes a moment: ten seconds at most. */
async function countSettled(pid: number, enough: number): Promise<number> {
  for (let look = 0; look < 100 && countDescriptors(pid) > enough; look++) await sleep(100)
  return countDescriptors(pid)
}

function readResidentMb(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'latin1')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
}

async function judgeSoak(
  gateway: RunningGateway,
  minutes: number,
  calls: readonly SoakCall[],
  samples: readonly Sample[],
): Promise<Omit<SoakReport, 'seed' | 'minutes' | 'descriptors'>> {
  const failed = calls.flatMap((call) =>
    call.kind === 'failed' ? [`${call.what}: ${call.error}`] : [],
  )
  // The end waits for every call under way and writes every receipt.
  const { code } = await gateway.stop()
  const statements = readStatements(join(gateway.folder, 'data'))
  const refusals = calls.flatMap((call) =>
    call.kind === 'answered' && call.what === 'refusal' ? [call] : [],
  )
  const judged = judgeStatements(
    calls,
    statements,
    refusals.map(({ statement }) => statement),
  )
  const memory = judgeSamples(samples, minutes)
  return {
    answered: calls.filter(({ kind }) => kind === 'answered').length,
    left: calls.filter(({ kind }) => kind === 'left').length,
    refused: refusals.length,
    failed: failed.slice(0, 10),
    statements: statements.length + refusals.length,
    residentMb: memory.residentMb,
    slopeMbPerMinute: memory.slopeMbPerMinute,
    faults: [
      ...(code === 0 ? [] : [`the gateway ended with ${String(code)}`]),
      ...(failed.length === 0 ? [] : [`${String(failed.length)} calls had no proper answer`]),
      ...judged,
      ...memory.faults,
    ],
  }
}

/** A statement as the gateway kept it. `id` is empty for those of keysets. */
export interface KeptStatement {
  readonly id: string
  readonly sequence: number
}

function readStatements(folder: string): readonly KeptStatement[] {
  const database = new DatabaseSync(join(folder, 'receipts.db'), { readOnly: true })
  try {
    const rows = database
      .prepare('SELECT statement FROM receipt UNION ALL SELECT statement FROM keyset')
      .all()
    return rows.map(({ statement }) => {
      if (!(statement instanceof Uint8Array)) throw new Error('a row without a statement')
      return readStatement(statement)
    })
  } finally {
    database.close()
  }
}

function readStatement(bytes: Uint8Array): KeptStatement {
  const { payload } = parseStatement(bytes)
  return { id: payload.type === 'keyset' ? '' : toHex(payload.id), sequence: payload.sequence }
}

/** Every call exactly one statement, and the numbers of all without holes or doubles. */
export function judgeStatements(
  calls: readonly SoakCall[],
  kept: readonly KeptStatement[],
  refusals: readonly string[],
): readonly string[] {
  const faults: string[] = []
  const known = calls.flatMap((call) =>
    call.kind === 'failed' || (call.kind === 'answered' && call.what === 'refusal')
      ? []
      : [call.id],
  )
  const ids = kept.map(({ id }) => id).filter((id) => id !== '')
  const keptIds = new Set(ids)
  if (keptIds.size !== ids.length) faults.push('a call has two statements')
  if (new Set(known).size !== known.length) faults.push('two calls have one id')
  const without = known.filter((id) => !keptIds.has(id))
  if (without.length > 0) faults.push(`${String(without.length)} calls have no statement`)
  const knownIds = new Set(known)
  const unasked = ids.filter((id) => !knownIds.has(id))
  if (unasked.length > 0) faults.push(`${String(unasked.length)} statements belong to no call`)
  const refused = refusals.map((text) => readStatement(fromBase64url(text) ?? new Uint8Array(0)))
  const numbers = [...kept, ...refused].map(({ sequence }) => sequence).toSorted((a, b) => a - b)
  const [first = 0] = numbers
  const wrong = numbers.filter((number, index) => number !== first + index)
  if (numbers.length === 0 || wrong.length > 0) faults.push('the sequence has holes or doubles')
  return faults
}

/** Memory and descriptors over time. The first third is warming up. */
export function judgeSamples(
  samples: readonly Sample[],
  minutes: number,
): Pick<SoakReport, 'residentMb' | 'slopeMbPerMinute' | 'faults'> {
  const third = Math.floor(samples.length / 3)
  const middle = samples.slice(third, 2 * third)
  const end = samples.slice(2 * third)
  const residentMb = {
    first: leastOf(middle.map((sample) => sample.residentMb)),
    last: leastOf(end.map((sample) => sample.residentMb)),
    most: mostOf(samples.map((sample) => sample.residentMb)),
  }
  const slopeMbPerMinute = slopeOfFloor(samples.slice(third))
  const faults: string[] = []
  if (third === 0) faults.push('too few samples')
  const isLong = minutes >= soakLimits.memoryFromMinutes
  if (isLong && residentMb.last > residentMb.first * soakLimits.memoryFactor) {
    faults.push(`memory grew from ${String(residentMb.first)} to ${String(residentMb.last)} MB`)
  }
  if (slopeMbPerMinute !== null && slopeMbPerMinute > soakLimits.slopeMbPerMinute) {
    faults.push(`memory grows by ${String(slopeMbPerMinute)} MB a minute`)
  }
  return { residentMb, slopeMbPerMinute, faults }
}

/** No more descriptors than connections explain: under the load, and after it without those of its callers. */
export function judgeDescriptors(
  { idle, most, after }: SoakReport['descriptors'],
  upstreams: number,
): readonly string[] {
  const rest = idle + upstreams * upstreamConnections + soakLimits.descriptors
  const faults: string[] = []
  if (most > rest + maxConnections) faults.push(`${String(most)} descriptors are open under load`)
  if (after > rest) faults.push(`${String(after)} descriptors stay open after the load`)
  return faults
}

/** Slope of the least squares through the least of each window. */
function slopeOfFloor(samples: readonly Sample[]): number | null {
  const windows = new Map<number, number>()
  for (const { minute, residentMb } of samples) {
    const window = Math.floor(minute / windowMinutes)
    windows.set(window, Math.min(windows.get(window) ?? Infinity, residentMb))
  }
  const points = [...windows].map(([window, mb]) => [window * windowMinutes, mb] as const)
  if (points.length < 4) return null
  const meanX = points.reduce((sum, [minute]) => sum + minute, 0) / points.length
  const meanY = points.reduce((sum, [, mb]) => sum + mb, 0) / points.length
  const above = points.reduce((sum, [minute, mb]) => sum + (minute - meanX) * (mb - meanY), 0)
  const below = points.reduce((sum, [minute]) => sum + (minute - meanX) ** 2, 0)
  return round(above / below)
}

function leastOf(values: readonly number[]): number {
  return round(values.reduce((least, value) => Math.min(least, value), Infinity))
}

function mostOf(values: readonly number[]): number {
  return round(values.reduce((most, value) => Math.max(most, value), 0))
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
