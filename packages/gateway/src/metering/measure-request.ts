/**
 * What of a request bounds its price: lengths, limits, and what the provider may add of its own (spec/metering.md ME8).
 * The body is only read. What cannot be read as the provider would read it is refused, never guessed.
 */
import { scanTopLevel, type MemberSpan } from '../call/scan-json.ts'
import type { MeterWire } from './observe-usage.ts'
import { isObject, parseJson, type JsonObject } from './read-json.ts'
import { countAttachments, countPrompts, isOpenEnded, runsOtherModels } from './request-content.ts'

/** The measures of one request. */
export type RequestMeasure = {
  /** Bytes of the body: of its text no tokeniser makes more tokens than it has bytes. */
  readonly bodyBytes: number
  /** Images, files and recordings, whose tokens do not show in their bytes. */
  readonly attachments: number
  /** As the request says it; `undefined` when it says nothing that can be relied on. */
  readonly maxOutputTokens: number | undefined
  /** Answers to one prompt. */
  readonly choices: number
  /** The prompt can grow at the provider: its own tools, stored conversations, remote servers. */
  readonly isOpenEnded: boolean
  /** Asks for the dearer, longer lifetime of the cache, or could. */
  readonly hasCacheControl: boolean
}

/** Why a request cannot be priced. */
export type MeasureFault =
  /** No JSON object, a member twice, or a limit in a form that providers read differently. */
  | 'request-unreadable'
  /** Asks for a service that has another price than the sheet's. */
  | 'service-not-priced'

/** Measures a JSON request. */
export function measureRequest(wire: MeterWire, body: Buffer): RequestMeasure | MeasureFault {
  const members = scanTopLevel(body)
  const json = typeof members === 'string' ? undefined : parseJson(body.toString('utf8'))
  if (typeof members === 'string' || !isObject(json)) return 'request-unreadable'
  const scopes = wire === 'google' ? limitScopes(body, members) : [{ body, members }]
  if (scopes === undefined || scopes.some(hasLookalike)) return 'request-unreadable'
  const choices = readAll(scopes, choiceNames)
  if (choices.some((value) => value === undefined)) return 'request-unreadable'
  if (asksForOtherService(json) || runsOtherModels(json)) return 'service-not-priced'
  const outputs = readAll(wire === 'google' ? scopes.slice(1) : scopes, limitNames[wire] ?? noNames)
  // A limit that is no plain number may be read by the provider or not, and 0 often means none: there is none to rely on.
  const isReliable = outputs.every((value) => value !== undefined && value > 0)
  return {
    bodyBytes: body.length,
    attachments: countAttachments(json),
    maxOutputTokens: isReliable ? largest(outputs, undefined) : undefined,
    choices: Math.max(1, largest(choices, 1)) * countPrompts(wire, json),
    isOpenEnded: isOpenEnded(json),
    hasCacheControl: body.includes('cache_control') || body.includes('\\u00'),
  }
}

/** Measures a request whose body is a form (multipart): what it holds are its files, at least one. */
export function measureForm(body: Uint8Array, choices: number, files: number): RequestMeasure {
  return {
    bodyBytes: body.length,
    attachments: Math.max(1, files),
    maxOutputTokens: undefined,
    choices,
    isOpenEnded: false,
    hasCacheControl: false,
  }
}

type Scope = { readonly body: Buffer; readonly members: ReadonlyMap<string, MemberSpan> }

const chatLimits = ['max_tokens', 'max_completion_tokens'] as const
// Only what a wire has for its limit: a provider that passes over what it does not know would not keep to another's.
const limitNames: Readonly<Partial<Record<MeterWire, readonly string[]>>> = {
  'openai-chat': chatLimits,
  'xai-chat': chatLimits,
  'openai-responses': ['max_output_tokens'],
  'xai-responses': ['max_output_tokens'],
  anthropic: ['max_tokens'],
  google: ['maxOutputTokens', 'max_output_tokens'],
}
const noNames: readonly string[] = []
const choiceNames = ['n', 'best_of', 'candidateCount', 'candidate_count'] as const
const configNames = ['generationConfig', 'generation_config'] as const
const readNames: ReadonlySet<string> = new Set([
  ...Object.values(limitNames).flat(),
  ...choiceNames,
  ...configNames,
])
const lowerReadNames: ReadonlySet<string> = new Set(
  Array.from(readNames, (name) => name.toLowerCase()),
)
const longestReadName = 32
const plainTiers: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  'auto',
  'default',
  'standard',
  'standard_only',
  'flex',
])
const plainSpeeds: ReadonlySet<unknown> = new Set([undefined, null, 'standard'])
const plainPlaces: ReadonlySet<unknown> = new Set([undefined, null, 'global'])

/** Google's limits stand one level down, under either of two names. */
function limitScopes(
  body: Buffer,
  members: ReadonlyMap<string, MemberSpan>,
): readonly Scope[] | undefined {
  const scopes: Scope[] = [{ body, members }]
  for (const name of configNames) {
    const span = members.get(name)
    if (span === undefined) continue
    const inner = body.subarray(span.start, span.end)
    const innerMembers = scanTopLevel(inner)
    if (typeof innerMembers === 'string') return undefined
    scopes.push({ body: inner, members: innerMembers })
  }
  return scopes
}

/** Some providers read "N" as "n". */
function hasLookalike({ members }: Scope): boolean {
  for (const name of members.keys()) {
    if (name.length > longestReadName || readNames.has(name)) continue
    if (lowerReadNames.has(name.toLowerCase())) return true
  }
  return false
}

/** All values at these names: `undefined` for what is no plain whole number, nothing for null. */
function readAll(scopes: readonly Scope[], names: readonly string[]): (number | undefined)[] {
  const values: (number | undefined)[] = []
  for (const { body, members } of scopes) {
    for (const name of names) {
      const span = members.get(name)
      const token =
        span === undefined
          ? 'null'
          : body.toString('latin1', span.start, Math.min(span.end, span.start + 32))
      if (token !== 'null') values.push(/^[0-9]{1,12}$/.test(token) ? Number(token) : undefined)
    }
  }
  return values
}

function largest<T>(values: readonly (number | undefined)[], none: T): number | T {
  return values.length === 0 ? none : Math.max(...values.map((value) => value ?? 0))
}

function asksForOtherService(json: JsonObject): boolean {
  return (
    !plainTiers.has(json['service_tier']) ||
    !plainTiers.has(json['serviceTier']) ||
    !plainSpeeds.has(json['speed']) ||
    !plainPlaces.has(json['inference_geo'])
  )
}
