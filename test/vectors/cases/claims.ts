/** RC3 and RC4: claims that are not the signed ones, or say what cannot be. */
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import type { ErrorCode } from '@countersign/protocol/errors'
import type { ClaimEntry } from '@countersign/protocol/receipt/claims'
import type { CheckId } from '@countersign/protocol/verify/policy'
import type { BundleCase } from '../bundle-case.ts'
import { nested, replaceByte, set, zeros } from '../edits.ts'
import { forgeBundle, leafHash, type Forgery } from '../forge.ts'
import {
  abortedCall,
  fields,
  jsonCall,
  recoveredCall,
  refusedCall,
  streamCall,
  withClaim,
  withMembers,
  withoutEvents,
  type SampleCall,
} from '../sample-call.ts'
import { seededBytes } from '../signers.ts'

type Entries = readonly ClaimEntry[]
type TreeRow = readonly [name: string, clause: string, code: ErrorCode, forgery: Forgery]

const first =
  (edit: (bytes: Uint8Array) => Uint8Array) =>
  (entries: Entries): Entries =>
    entries.map((entry, index) =>
      index === 0 && entry.kind === 'claim' ? { ...entry, bytes: edit(entry.bytes) } : entry,
    )
const shown = (edit: (entries: Entries) => Entries): Forgery => ({
  bundle: ({ claims }) => ({ claims: edit(claims) }),
})
const signed = (edit: (entries: Entries) => Entries): Forgery => ({ entries: edit })
const claim = (...parts: readonly CborValue[]): Forgery => signed(first(() => encodeCbor(parts)))
const salt = seededBytes('salt')

const tree: readonly TreeRow[] = [
  ['one left out', 'RC3.3', 'claims-count-mismatch', shown((entries) => entries.slice(1))],
  [
    'one twice',
    'RC3.3',
    'claims-count-mismatch',
    shown((entries) => [...entries.slice(0, 1), ...entries]),
  ],
  [
    'another number signed',
    'RC3.3',
    'claims-count-mismatch',
    { statement: { payload: set(11, 4) } },
  ],
  ['none', 'RC3.3', 'claims-count-mismatch', shown(() => [])],
  [
    'none is left, and one is malformed, judged first',
    'BU3.11',
    'claims-count-mismatch',
    shown(() => [{ kind: 'claim', bytes: zeros(0) }]),
  ],
  ['no CBOR', 'RC3.4', 'claim-malformed', signed(first(() => Uint8Array.of(0xff)))],
  ['a map', 'RC3.4', 'claim-malformed', signed(first(() => encodeCbor(new Map())))],
  ['two parts', 'RC3.4', 'claim-malformed', claim(salt, 'a')],
  ['four parts', 'RC3.4', 'claim-malformed', claim(salt, 'a', 1, 1)],
  ['a salt of 31 bytes', 'RC3.4', 'claim-malformed', claim(zeros(31), 'a', 1)],
  ['a salt that is text', 'RC3.4', 'claim-malformed', claim('s'.repeat(32), 'a', 1)],
  ['an empty name', 'RC3.4', 'claim-malformed', claim(salt, '', 1)],
  ['a name of 65 bytes', 'RC3.4', 'claim-malformed', claim(salt, 'n'.repeat(65), 1)],
  ['a name that is a number', 'RC3.4', 'claim-malformed', claim(salt, 1, 1)],
  ['a value that is nested too deep', 'RC3.4', 'claim-malformed', claim(salt, 'a', nested(8))],
  [
    'a byte after it',
    'RC3.4',
    'claim-malformed',
    signed(first((bytes) => Uint8Array.of(...bytes, 0))),
  ],
  [
    'the first malformed and the last not sorted, judged first',
    'BU3.11',
    'claim-malformed',
    signed((entries) => first(() => zeros(0))(entries.toReversed())),
  ],
  [
    'not sorted, though signed so',
    'RC3.2',
    'claims-not-sorted',
    signed((entries) => entries.toReversed()),
  ],
  ['equal names', 'RC3.2', 'claims-not-sorted', claim(salt, 'request', 1)],
  [
    'not sorted around one that is withheld',
    'RC3.2',
    'claims-not-sorted',
    signed((entries) =>
      entries
        .toReversed()
        .map((entry, index) => (index === 1 ? { kind: 'leaf', hash: leafHash(entry) } : entry)),
    ),
  ],
  [
    'not sorted and another root, judged first',
    'BU3.11',
    'claims-not-sorted',
    shown((entries) => entries.toReversed()),
  ],
  ['another salt', 'RC3.3', 'claims-root-mismatch', shown(first(replaceByte(4, 0)))],
  [
    'another value',
    'RC3.3',
    'claims-root-mismatch',
    shown(first(() => encodeCbor([salt, 'refusal', 1]))),
  ],
  [
    'another leaf',
    'RC3.3',
    'claims-root-mismatch',
    shown((entries) => [{ kind: 'leaf', hash: zeros(32) }, ...entries.slice(1)]),
  ],
  [
    'another root signed',
    'RC3.3',
    'claims-root-mismatch',
    { statement: { payload: set(10, zeros(32)) } },
  ],
]

type SchemaRow = readonly [name: string, call: SampleCall]

const members = (
  name: string,
  changed: Readonly<Record<string, CborValue>>,
  call: SampleCall = withClaim(bareCall, name, refusedCall.claims.get(name) ?? null),
): SchemaRow => [`${name} with ${describe(changed)}`, withMembers(call, name, changed)]
const value = (name: string, given: CborValue): SchemaRow => [
  `${name} that is ${given instanceof Map ? 'a map with other keys' : 'no map'}`,
  withClaim(bareCall, name, given),
]
const digest = { bytes: 1, sha256: zeros(32) }
const bareCall: SampleCall = { ...refusedCall, name: 'bare', claims: new Map() }
/** A refusal that has one claim of a receipt. */
const only = (name: string): SampleCall =>
  withClaim(bareCall, name, jsonCall.claims.get(name) ?? null)

const schemas: readonly SchemaRow[] = [
  ...[
    'forwarded',
    'model',
    'outcome',
    'parameters',
    'price',
    'recovered',
    'refusal',
    'request',
    'response',
    'stream',
    'timing',
    'upstream',
    'upstream-response',
    'usage',
  ].map((name) => value(name, [])),
  ...['model', 'stream', 'usage'].map((name) => value(name, fields({ other: 1 }))),
  ['forwarded without a transform', withClaim(bareCall, 'forwarded', fields(digest))],
  members('forwarded', { transform: null }, only('forwarded')),
  members('forwarded', { bytes: -1 }, only('forwarded')),
  members('forwarded', { sha256: zeros(31) }, only('forwarded')),
  members('model', { requested: null }, only('model')),
  members('model', { asserted: 1 }, only('model')),
  members('outcome', { state: 'done' }, only('outcome')),
  members('outcome', { state: null }, only('outcome')),
  members('outcome', { error: 1 }, only('outcome')),
  members('outcome', { finish: false }, only('outcome')),
  members('parameters', { temperature: 1 }, only('parameters')),
  ['parameters with an integer key', withClaim(bareCall, 'parameters', new Map([[1, 'a']]))],
  members('price', { amount: Uint8Array.of(0) }, only('price')),
  members('price', { amount: zeros(33) }, only('price')),
  members('price', { amount: 5 }, only('price')),
  members('price', { sheet: zeros(31) }, only('price')),
  members('refusal', { code: null }),
  members('refusal', { status: '404' }),
  members('request', { method: 1 }),
  members('request', { path: null }),
  members('request', { sha256: '' }),
  members('response', { status: null }),
  members('response', { transform: 1 }),
  members(
    'stream',
    { events: null },
    withClaim(bareCall, 'stream', streamCall.claims.get('stream') ?? null),
  ),
  members(
    'stream',
    { events: 2_097_153 },
    withClaim(bareCall, 'stream', streamCall.claims.get('stream') ?? null),
  ),
  members(
    'stream',
    { head: zeros(33) },
    withClaim(bareCall, 'stream', streamCall.claims.get('stream') ?? null),
  ),
  members('timing', { completed: null }, only('timing')),
  members('timing', { received: '' }, only('timing')),
  members('timing', { firstByte: -1 }, only('timing')),
  members('upstream', { host: null }, only('upstream')),
  members('upstream', { requestId: 1 }, only('upstream')),
  members('upstream', { tls: [] }, only('upstream')),
  ...tlsRows(),
  members('upstream-response', { status: '200' }, only('upstream-response')),
  members('upstream-response', { bytes: null }, only('upstream-response')),
  members('usage', { input: -1 }, only('usage')),
  members('usage', { output: '1' }, only('usage')),
  members('usage', { raw: 1 }, only('usage')),
  members('usage', { source: 'caller' }, only('usage')),
  ['recovered: no digest', withMembers(recoveredCall, 'recovered', { request: zeros(31) })],
]

type MeaningRow = readonly [name: string, clause: string, code: ErrorCode, call: SampleCall]

const meanings: readonly MeaningRow[] = [
  ...['forwarded', 'price', 'usage'].map((name): MeaningRow => [
    `a receipt without ${name}`,
    'RC4.1',
    'claim-missing',
    without(jsonCall, name),
  ]),
  ...Array.from(refusedCall.claims.keys(), (name): MeaningRow => [
    `a refusal without ${name}`,
    'RC4.1',
    'claim-missing',
    without(refusedCall, name),
  ]),
  [
    'a refusal that was recovered',
    'RC4.13',
    'claim-missing',
    { ...recoveredCall, type: 'refusal', charge: { scheme: 'none', amountAtomic: 0n } },
  ],
  [
    'a recovered receipt that states a price and nothing of the call',
    'RC4.13',
    'claim-missing',
    withClaim(recoveredCall, 'price', jsonCall.claims.get('price') ?? null),
  ],
  [
    'forwarded bytes of another digest',
    'RC4.2',
    'identity-broken',
    withMembers(jsonCall, 'forwarded', { sha256: zeros(32) }),
  ],
  [
    'forwarded bytes of another length',
    'RC4.2',
    'identity-broken',
    withMembers(jsonCall, 'forwarded', { bytes: 1 }),
  ],
  [
    'another complete response of the same length',
    'RC4.2',
    'identity-broken',
    withMembers(jsonCall, 'upstream-response', { sha256: zeros(32) }),
  ],
  [
    'a complete response that is shorter',
    'RC4.2',
    'identity-broken',
    withMembers(jsonCall, 'response', { bytes: 1 }),
  ],
  [
    'an aborted response that is longer',
    'RC4.2',
    'identity-broken',
    withMembers(abortedCall, 'upstream-response', { bytes: 63 }),
  ],
  [
    'another shape and broken identity, judged first',
    'BU3.12',
    'claim-schema',
    withMembers(withMembers(jsonCall, 'forwarded', { bytes: 1 }), 'usage', { source: '' }),
  ],
  [
    'digests that do not give the head',
    'BU3.8',
    'event-chain-mismatch',
    { ...streamCall, events: (streamCall.events ?? zeros(0)).toReversed() },
  ],
  [
    'digests of fewer events',
    'BU3.8',
    'event-chain-mismatch',
    { ...streamCall, events: (streamCall.events ?? zeros(0)).slice(32) },
  ],
  [
    'another number of events',
    'RC5.2',
    'event-chain-mismatch',
    withMembers(streamCall, 'stream', { events: 4 }),
  ],
  [
    'another head',
    'RC5.2',
    'event-chain-mismatch',
    withMembers(streamCall, 'stream', { head: zeros(32) }),
  ],
  [
    'digests of events in a call that was no stream',
    'BU3.8',
    'event-chain-mismatch',
    { ...refusedCall, events: zeros(32) },
  ],
  [
    'a broken identity in a refusal',
    'BU3.12',
    'identity-broken',
    withMembers(
      withClaim(refusedCall, 'forwarded', jsonCall.claims.get('forwarded') ?? null),
      'forwarded',
      { bytes: 1 },
    ),
  ],
]

/** All cases. */
export function claimCases(): readonly BundleCase[] {
  return [
    ...tree.map(([name, clause, code, forgery]) =>
      toCase(
        `claims: ${name}`,
        clause,
        forgeBundle(refusedCall, { evidence: 'none', ...forgery }),
        'claims',
        code,
      ),
    ),
    ...schemas.map(([name, call]) =>
      toCase(
        `a claim ${name}`,
        'RC4',
        forgeBundle(call, { evidence: 'none' }),
        'meaning',
        'claim-schema',
      ),
    ),
    ...meanings.map(([name, clause, code, call]) =>
      toCase(`meaning: ${name}`, clause, forgeBundle(call, { evidence: 'none' }), 'meaning', code),
    ),
  ]
}

function toCase(
  name: string,
  clause: string,
  bundle: Uint8Array,
  check: CheckId,
  code: ErrorCode,
): BundleCase {
  return { name, clause, bundle, verdict: 'invalid', level: 'L0', failed: { [check]: code } }
}

function describe(changed: Readonly<Record<string, CborValue>>): string {
  const texts = Object.entries(changed).map(([name, given]) => {
    const what = given instanceof Uint8Array ? `of ${given.length} bytes` : JSON.stringify(given)
    return `${name} ${what}`
  })
  return texts.join(' and ')
}

function tlsRows(): readonly SchemaRow[] {
  const tls = { chain: [zeros(32)], spki: zeros(32), version: 'TLSv1.3' }
  const changed: readonly (readonly [string, Readonly<Record<string, CborValue>>])[] = [
    ['no certificate', { ...tls, chain: [] }],
    ['eleven certificates', { ...tls, chain: Array.from({ length: 11 }, () => zeros(32)) }],
    ['a certificate hash of 31 bytes', { ...tls, chain: [zeros(31)] }],
    ['a certificate hash that is text', { ...tls, chain: ['a'.repeat(32)] }],
    ['another spki', { ...tls, spki: null }],
    ['another version', { ...tls, version: 13 }],
    ['no version', { chain: [zeros(32)], spki: zeros(32) }],
  ]
  return changed.map(([what, given]) => [
    `upstream with a TLS session with ${what}`,
    withMembers(only('upstream'), 'upstream', { tls: fields(given) }),
  ])
}

function without(call: SampleCall, name: string): SampleCall {
  const claims = new Map(call.claims)
  claims.delete(name)
  return { ...withoutEvents(call), claims }
}
