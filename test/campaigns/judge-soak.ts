/** What a soak is held to: memory, descriptors, statements. */
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import type { SoakCall } from './soak-load.ts'

/** One look at the process. */
export interface Sample {
  readonly minute: number
  readonly residentMb: number
  readonly descriptors: number
}

/** What the process held after a full collection of garbage. */
export interface Held {
  readonly minute: number
  readonly heapMb: number
  /** Buffers and what else V8 counts outside its heap. */
  readonly externalMb: number
  /** Since the look before. */
  readonly longestStallMs: number
}

/** Memory over time. The first third of a run is warming up. */
export interface MemoryReport {
  /** Medians of what was held in the second and in the last third. */
  readonly heldMb: { readonly middle: number; readonly end: number }
  /** The least in the second and in the last third: garbage comes and goes, what is held stays. */
  readonly residentMb: { readonly middle: number; readonly end: number; readonly most: number }
  /** Of the least in each three minutes after the first third; null for runs with fewer than four of them. */
  readonly slopeMbPerMinute: number | null
}

/** What a soak is held to. */
const soakLimits = {
  /**
   * What is held after a collection, from the second to the last third: the calls that happen to be under way make
   * about one of it. In thirty minutes that is 0.2 MB a minute, some 90 bytes a call.
   */
  heldMb: 2,
  /** Growth of the least resident memory; judged from this length on: before, the allocator still finds its size. */
  memoryFactor: 1.15,
  memoryFromMinutes: 5,
  slopeMbPerMinute: 1,
  /** Open descriptors beyond those of the connections that callers and upstreams may have. */
  descriptors: 8,
} as const

const windowMinutes = 3

/** Memory: what is held after collections, and what the system counts. */
export function judgeMemory(
  samples: readonly Sample[],
  held: readonly Held[],
  minutes: number,
): MemoryReport & { readonly faults: readonly string[] } {
  const [, middle, end] = thirdsOf(samples)
  const [, heldMiddle, heldEnd] = thirdsOf(held)
  const residentMb = {
    middle: leastOf(middle.map((sample) => sample.residentMb)),
    end: leastOf(end.map((sample) => sample.residentMb)),
    most: round(samples.reduce((most, sample) => Math.max(most, sample.residentMb), 0)),
  }
  const heldMb = { middle: medianOf(heldMiddle), end: medianOf(heldEnd) }
  const slopeMbPerMinute = slopeOfFloor([...middle, ...end])
  const faults: string[] = []
  if (middle.length === 0 || heldMiddle.length === 0) faults.push('too few samples')
  if (end.length === 0 || heldEnd.length === 0) faults.push('too few samples')
  if (heldMb.end > heldMb.middle + soakLimits.heldMb) {
    faults.push(`what is held grew from ${String(heldMb.middle)} to ${String(heldMb.end)} MB`)
  }
  const isLong = minutes >= soakLimits.memoryFromMinutes
  if (isLong && residentMb.end > residentMb.middle * soakLimits.memoryFactor) {
    faults.push(`memory grew from ${String(residentMb.middle)} to ${String(residentMb.end)} MB`)
  }
  if (slopeMbPerMinute !== null && slopeMbPerMinute > soakLimits.slopeMbPerMinute) {
    faults.push(`memory grows by ${String(slopeMbPerMinute)} MB a minute`)
  }
  return { heldMb, residentMb, slopeMbPerMinute, faults }
}

/** Connections that one process may have. */
export interface Connections {
  readonly callers: number
  readonly upstreams: number
}

/** Open descriptors: before the load, most under it, and after it when the callers have closed their connections. */
export interface Descriptors {
  readonly idle: number
  readonly most: number
  readonly after: number
}

/** No more descriptors than connections explain: under the load, and after it without those of its callers. */
export function judgeDescriptors(
  { idle, most, after }: Descriptors,
  { callers, upstreams }: Connections,
): readonly string[] {
  const rest = idle + upstreams + soakLimits.descriptors
  const faults: string[] = []
  if (most > rest + callers) faults.push(`${String(most)} descriptors are open under load`)
  if (after > rest) faults.push(`${String(after)} descriptors stay open after the load`)
  return faults
}

/** A statement as the gateway kept it. `id` is empty for those of keysets. */
export interface KeptStatement {
  readonly id: string
  /** Each keyset has a sequence of its own. */
  readonly keyset: string
  readonly sequence: number
}

/** Reads a statement. @throws when it is none. */
export function readStatement(bytes: Uint8Array): KeptStatement {
  const { payload } = parseStatement(bytes)
  const { sequence } = payload
  const keyset = toHex(payload.keysetDigest)
  return { id: payload.type === 'keyset' ? '' : toHex(payload.id), keyset, sequence }
}

/** Every call exactly one statement; as many sequences as there are workers, each from 0 without holes or doubles. */
export function judgeStatements(
  calls: readonly SoakCall[],
  kept: readonly KeptStatement[],
  refusals: readonly string[],
  workers: number,
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
  return [...faults, ...judgeSequences([...kept, ...refused], workers)]
}

function judgeSequences(statements: readonly KeptStatement[], workers: number): readonly string[] {
  const sequences = new Map<string, number[]>()
  for (const { keyset, sequence } of statements) {
    const numbers = sequences.get(keyset) ?? []
    numbers.push(sequence)
    sequences.set(keyset, numbers)
  }
  const faults: string[] = []
  if (sequences.size !== workers) {
    faults.push(`${String(sequences.size)} sequences of ${String(workers)} workers`)
  }
  for (const numbers of sequences.values()) {
    if (numbers.length < 2) faults.push('a worker signed nothing')
    const ascending = numbers.toSorted((a, b) => a - b)
    if (ascending.some((number, index) => number !== index)) {
      faults.push('the sequence has holes or doubles')
    }
  }
  return faults
}

/** By their count: a machine that stands still for a third of a short run leaves a hole in its time. */
function thirdsOf<T>(looks: readonly T[]): readonly [readonly T[], readonly T[], readonly T[]] {
  const [one, two] = [Math.floor(looks.length / 3), Math.floor((2 * looks.length) / 3)]
  return [looks.slice(0, one), looks.slice(one, two), looks.slice(two)]
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

function medianOf(held: readonly Held[]): number {
  const sizes = held.map(({ heapMb, externalMb }) => heapMb + externalMb)
  const sorted = sizes.toSorted((a, b) => a - b)
  return round(sorted[Math.floor(sorted.length / 2)] ?? 0)
}

function leastOf(values: readonly number[]): number {
  return round(values.reduce((least, value) => Math.min(least, value), Infinity))
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
