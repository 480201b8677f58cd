/** What a verifier asks of a receipt (spec/bundle.md BU2). */
import { encodeUtf8 } from '../bytes/byte-string.ts'
import type { CborValue } from '../bytes/cbor-encode.ts'
import { fromHex, toHex } from '../bytes/text-encoding.ts'
import { decodeJson } from '../bytes/json-decode.ts'
import { openMap, textOf, type MapReader } from '../bytes/map-reader.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'

/** The checks of BU3.2, in their order. */
export const checkIds = [
  'policy',
  'bundle',
  'statement',
  'keyset',
  'keyset-signature',
  'keyset-binding',
  'signature',
  'keyset-validity',
  'time',
  'issuer',
  'claims',
  'meaning',
  'charge',
  'served-model',
  'evidence-chain',
  'evidence-binding',
  'evidence-measurement',
  'evidence-accepted',
  'nonce',
  'request-bytes',
  'response-bytes',
  'proofs',
  'build',
  'configuration',
  'upstreams',
] as const

/** The name of a check. */
export type CheckId = (typeof checkIds)[number]

/** A kind of evidence that is accepted, and the roots of it: SHA-256 of root keys in hex. */
export type AcceptedEvidence = {
  readonly kind: string
  readonly roots: 'any' | ReadonlySet<string>
}

/** A parsed policy. Times are milliseconds. */
export type Policy = {
  readonly name: string
  readonly require: ReadonlySet<CheckId>
  readonly evidence: readonly AcceptedEvidence[]
  readonly issuers: 'any' | ReadonlySet<string>
  readonly maxAgeMs: number | null
  readonly maxClockSkewMs: number
  /** Build digests in hex: whoever lists one has built it, or trusts somebody who has. */
  readonly builds: 'any' | ReadonlySet<string>
  /** Configuration digests in hex. */
  readonly configurations: 'any' | ReadonlySet<string>
  /** Hosts that calls may be forwarded to. */
  readonly upstreams: 'any' | ReadonlySet<string>
}

const maxPolicyBytes = 65_536
const dayMs = 86_400_000
const code: ErrorCode = 'policy-malformed'
const members = ['policy', 'name', 'require', 'evidence', 'issuers', 'maxAgeMs', 'maxClockSkewMs']
const optionalMembers = ['builds', 'configurations', 'upstreams']

/** The policy `default` (BU2.3): takes simulated evidence and says so. */
export const defaultPolicy: Uint8Array = builtInPolicy('default', [
  { kind: 'simulated', roots: 'any' },
])

/** The policy `production` (BU2.3): takes no kind of evidence yet, so it refuses what is simulated. */
export const productionPolicy: Uint8Array = builtInPolicy('production', [])

/**
 * Parses by BU2.1 and BU2.2.
 *
 * @throws ProtocolError `policy-malformed`, `policy-empty`.
 */
export function parsePolicy(bytes: Uint8Array): Policy {
  const json = bytes.length > maxPolicyBytes ? undefined : decodeJson(bytes)
  const fields = openMap(json, members, optionalMembers, code)
  fields.integer('policy', 1, 1)
  const policy = {
    name: fields.text('name', 1, 64),
    require: distinct(fields.array('require', 0, checkIds.length).map(parseCheckId)),
    evidence: parseAccepted(fields.array('evidence', 0, 8)),
    issuers: anyOrTexts(fields, 'issuers', (issuer) => issuer),
    maxAgeMs: fields.value('maxAgeMs') === null ? null : fields.integer('maxAgeMs'),
    maxClockSkewMs: fields.integer('maxClockSkewMs', 0, dayMs),
    builds: optionalTexts(fields, 'builds', digestText),
    configurations: optionalTexts(fields, 'configurations', digestText),
    upstreams: optionalTexts(fields, 'upstreams', (host) => host),
  }
  if (policy.require.size === 0) throw new ProtocolError('policy-empty')
  return policy
}

function builtInPolicy(name: string, evidence: readonly object[]): Uint8Array {
  const policy = {
    policy: 1,
    name,
    require: [
      'claims',
      'meaning',
      'charge',
      'evidence-chain',
      'evidence-binding',
      'evidence-measurement',
      'evidence-accepted',
    ],
    evidence,
    issuers: 'any',
    maxAgeMs: null,
    maxClockSkewMs: 300_000,
  }
  return encodeUtf8(JSON.stringify(policy))
}

function parseCheckId(value: CborValue): CheckId {
  const id = checkIds.find((known) => known === value)
  if (id === undefined) throw new ProtocolError(code)
  return id
}

function parseAccepted(values: readonly CborValue[]): readonly AcceptedEvidence[] {
  const accepted = values.map((value) => {
    const fields = openMap(value, ['kind', 'roots'], [], code)
    return { kind: fields.text('kind', 1, 64), roots: anyOrTexts(fields, 'roots', digestText) }
  })
  distinct(accepted.map(({ kind }) => kind))
  return accepted
}

function optionalTexts(
  fields: MapReader,
  key: string,
  check: (text: string) => string | undefined,
): 'any' | ReadonlySet<string> {
  return fields.has(key) ? anyOrTexts(fields, key, check) : 'any'
}

function anyOrTexts(
  fields: MapReader,
  key: string,
  check: (text: string) => string | undefined,
): 'any' | ReadonlySet<string> {
  if (fields.value(key) === 'any') return 'any'
  const texts = fields.array(key, 0, 64).map((value) => {
    const text = textOf(value, 0, maxPolicyBytes)
    const checked = text === undefined ? undefined : check(text)
    if (checked === undefined) throw new ProtocolError(code)
    return checked
  })
  return new Set(texts)
}

function digestText(text: string): string | undefined {
  const bytes = fromHex(text)
  return bytes?.length === 32 ? toHex(bytes) : undefined
}

function distinct<T>(items: readonly T[]): ReadonlySet<T> {
  const set = new Set(items)
  if (set.size !== items.length) throw new ProtocolError(code)
  return set
}
