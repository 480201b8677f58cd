/** What an observer has found so far in an answer, and what comes of it. */
import { isObject, stringify, textAt, type JsonObject } from './read-json.ts'
import type { UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import type { Observation, UsageCounts, UsageNote } from './usage.ts'

/** Owned by one observer, changed by its wire only. */
export type Found = {
  model: string | null
  finish: string | null
  serviceTier: string | null
  /** Members of the provider's usage object: the last snapshot of each (ME3.2). */
  usage: Readonly<Record<string, unknown>> | undefined
  /** Whether the snapshot counts the output. */
  isExact: boolean
  isTerminated: boolean
  hasError: boolean
  /** Uses of tools that the provider bills apart, by an id of each. */
  readonly tools: Map<string, UsageKind>
  /** Web searches, where the provider counts them beside the usage. */
  searches: number | undefined
}

/** Counts of one usage object. */
export type Figures = {
  readonly counts: UsageCounts
  readonly notes: readonly UsageNote[]
  readonly providerTicks: number | null
}

/** How one wire reports what it did. */
export type WireReader = {
  /** Finds, in one pass over the bytes of an event as Latin-1, whether it can matter. */
  readonly marks: RegExp
  /** What an event says. */
  takeEvent(found: Found, json: JsonObject): void
  /** What a whole body says. */
  takeBody(found: Found, json: unknown): void
  /** The counts of a usage object; `undefined` when it has none. */
  toFigures(usage: JsonObject, found: Found): Figures | undefined
  /** The data of the event that ends a stream, where that is no JSON. */
  readonly sentinel: string | null
}

// A claim holds at most 16,384 bytes.
const maxRawUsageLength = 4096
const maxTools = 4096

/** Nothing found yet. */
export function createFound(): Found {
  return {
    model: null,
    finish: null,
    serviceTier: null,
    usage: undefined,
    isExact: false,
    isTerminated: false,
    hasError: false,
    tools: new Map(),
    searches: undefined,
  }
}

/** Takes the model, if this object names one. */
export function takeModel(found: Found, json: JsonObject, member = 'model'): void {
  found.model = textAt(json, member, 256) ?? found.model
}

/** Takes the stop reason, if there is one. */
export function takeFinish(found: Found, json: JsonObject, member: string): void {
  found.finish = textAt(json, member, 64) ?? found.finish
}

/** Takes the service tier, if this object names one. */
export function takeTier(found: Found, json: JsonObject): void {
  found.serviceTier = textAt(json, 'service_tier', 64) ?? found.serviceTier
}

/** Takes a snapshot of usage, if there is one; it replaces the last, member by member. Null says nothing (ME3.1). */
export function takeUsage(found: Found, usage: unknown, isExact: boolean): void {
  if (!isObject(usage)) return
  const earlier = found.usage ?? {}
  const said = Object.entries(usage).filter(
    ([name, value]) => value !== null || !Object.hasOwn(earlier, name),
  )
  found.usage = { ...earlier, ...Object.fromEntries(said) }
  found.isExact ||= isExact
}

/** Takes an error that the provider reports. */
export function takeError(found: Found, error: unknown): void {
  if (error !== undefined && error !== null) found.hasError = true
}

/** Counts one use of a tool, once for each id. A provider cannot fill the memory with them. */
export function takeTool(found: Found, id: string, kind: UsageKind): void {
  if (found.tools.size < maxTools) found.tools.set(id, kind)
}

/** How often each tool was used. */
export function countTools(found: Found): UsageCounts {
  const counts: Partial<Record<UsageKind, number>> = {}
  for (const kind of found.tools.values()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

/** What was found, in the form that outlives the observer. */
export function toObservation(found: Found, wire: WireReader): Observation {
  const { model, finish, serviceTier, isTerminated, hasError } = found
  const figures = found.usage === undefined ? undefined : wire.toFigures(found.usage, found)
  const seen = { model, finish, serviceTier, isTerminated, hasError }
  const text = found.usage === undefined ? undefined : stringify(found.usage)
  const raw = text !== undefined && text.length <= maxRawUsageLength ? text : null
  if (figures === undefined) {
    const counts = countTools(found)
    return { ...seen, usage: { kind: 'none', counts, ...(raw === null ? {} : { raw }) } }
  }
  return {
    ...seen,
    usage: {
      kind: found.isExact ? 'exact' : 'input-only',
      raw,
      ...figures,
    },
  }
}
