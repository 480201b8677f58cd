/** ST1–ST3, ST2.4: statements that are none, or say something impossible, or are not signed. */
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import type { ErrorCode } from '@countersign/protocol/errors'
import { listRows, type CodeTable } from '../code-table.ts'
import type { CheckId } from '@countersign/protocol/verify/policy'
import type { BundleCase } from '../bundle-case.ts'
import {
  add,
  append,
  groupOrder,
  nested,
  remove,
  replaceByte,
  set,
  signatureOf,
  tagged,
  toHighS,
  toScalar,
  within,
  zeros,
} from '../edits.ts'
import {
  forgeBundle,
  strangerSigner,
  type ByteEdit,
  type Edit,
  type Fields,
  type SignedEdits,
} from '../forge.ts'
import { smallCall, signedAtMs } from '../sample-call.ts'
import { seededBytes } from '../signers.ts'

type Row = readonly [name: string, clause: string, edits: SignedEdits, check?: CheckId]

const rows: CodeTable<Row> = {
  'cbor-too-large': [['8,193 bytes', 'BU3.15', { signed: () => zeros(8193) }]],
  'cbor-truncated': [
    ['only a tag', 'ST1.3', { signed: () => Uint8Array.of(0xd2) }],
    ['the last byte missing', 'ST1.3', { signed: (bytes) => bytes.slice(0, -1) }],
    ['an empty header', 'ST2.2', { headerBytes: () => new Uint8Array(0) }],
    ['an empty payload', 'ST2.2', { payloadBytes: () => new Uint8Array(0) }],
  ],
  'cbor-trailing-bytes': [
    ['a byte after the statement', 'ST1.3', { signed: append(0) }],
    ['a byte after the payload', 'ST2.2', { payloadBytes: append(0) }],
  ],
  'cbor-not-canonical': [
    ['the four parts counted in two bytes', 'ST1.3', { signed: replaceByte(1, 0x98, 0x04) }],
    ['fields out of order', 'ST1.3', { payloadBytes: swapFirstFields }],
  ],
  'cbor-duplicate-key': [['a field twice', 'ST1.3', { payloadBytes: repeatFirstField }]],
  'cbor-unsupported-type': [
    [
      'a tag around the payload',
      'ST1.2',
      { payloadBytes: (bytes) => concatBytes(Uint8Array.of(0xd2), bytes) },
    ],
  ],
  'cbor-invalid-utf8': [['an issuer that is not UTF-8', 'ST1.3', { headerBytes: breakIssuer }]],
  'cbor-too-deep': [['a field that is nested too deep', 'ST1.3', { payload: set(8, nested(8)) }]],
  'cose-malformed': [
    ['no bytes', 'ST2.1', { signed: () => new Uint8Array(0) }],
    ['no tag', 'ST2.1', { signed: (bytes) => bytes.slice(1) }],
    ['the tag of COSE_Sign', 'ST2.1', { signed: replaceByte(0, 0xd8, 0x62) }],
    ['the tag in two bytes', 'ST2.1', { signed: replaceByte(0, 0xd8, 0x12) }],
    ['three parts', 'ST2.1', { signed: () => tagged([zeros(1), new Map(), zeros(1)]) }],
    ['a map', 'ST2.1', { signed: () => tagged(new Map()) }],
    [
      'an unprotected header that is bytes',
      'ST2.1',
      { signed: () => tagged([zeros(1), zeros(0), zeros(1), zeros(64)]) },
    ],
    ['no payload', 'ST2.1', { signed: () => tagged([zeros(1), new Map(), null, zeros(64)]) }],
  ],
  'cose-unprotected-not-empty': [
    [
      'an unprotected header',
      'ST2.1',
      { signed: () => tagged([zeros(1), new Map([[4, 1]]), zeros(1), zeros(64)]) },
    ],
  ],
  'cose-algorithm-unsupported': [
    ['alg ES384', 'ST2.2', { header: set(1, -35) }],
    ['alg as text', 'ST2.2', { header: set(1, 'ES256') }],
    [
      'alg EdDSA and another fault, judged first',
      'ST2.2',
      { header: (fields) => fields.set(1, -8).delete(4) },
    ],
  ],
  'cose-header-malformed': [
    ['no alg', 'ST2.2', { header: remove(1) }],
    ['no kid', 'ST2.2', { header: remove(4) }],
    ['a kid of 31 bytes', 'ST2.2', { header: set(4, zeros(31)) }],
    ['another content type', 'ST2.2', { header: set(3, 'application/cbor') }],
    ['an unknown label', 'ST2.2', { header: set(33, zeros(1)) }],
    ['CWT claims with an expiry', 'ST2.2', { header: within(15, set(4, 1)) }],
    ['no sub', 'ST2.2', { header: within(15, remove(2)) }],
    ['an empty iss', 'ST2.2', { header: within(15, set(1, '')) }],
    ['an iss of 256 bytes', 'ST2.2', { header: within(15, set(1, 'i'.repeat(256))) }],
    ['an iss of bytes', 'ST2.2', { header: within(15, set(1, zeros(4))) }],
    ['a header that is an array', 'ST2.2', { headerBytes: () => encodeCbor([]) }],
    [
      'a header fault before a payload that is no CBOR',
      'ST2.2',
      { header: remove(4), payloadBytes: () => zeros(0) },
    ],
  ],
  'payload-version-unsupported': [
    ['version 2', 'ST3.2', { payload: set(1, 2) }],
    ['no version', 'ST3.2', { payload: remove(1) }],
    ['a version as text', 'ST3.2', { payload: set(1, '1') }],
    [
      'version 2 and type 9, judged first',
      'ST3.2',
      { payload: (fields) => fields.set(1, 2).set(2, 9) },
    ],
  ],
  'payload-type-unsupported': [
    ['a reserved type', 'ST3.2', { payload: set(2, 4) }],
    ['an unknown type', 'ST3.2', { payload: set(2, 99) }],
    ['no type', 'ST3.2', { payload: remove(2) }],
    [
      'an unknown type and a field missing, judged first',
      'ST3.2',
      { payload: (fields) => fields.set(2, 0).delete(3) },
    ],
  ],
  'payload-malformed': [
    ['a payload that is an array', 'ST3.1', { payloadBytes: () => encodeCbor([1, 1]) }],
    ['an id of 17 bytes', 'ST3.1', { payload: set(3, zeros(17)) }],
    ['a sequence below zero', 'ST3.1', { payload: set(4, -1) }],
    ['a keyset digest of 33 bytes', 'ST3.1', { payload: set(6, zeros(33)) }],
    ['a time as text', 'ST3.1', { payload: set(7, '2026') }],
    ['no time', 'ST3.1', { payload: remove(7) }],
    ['an empty nonce', 'ST3.1', { payload: set(8, zeros(0)) }],
    ['a nonce of 65 bytes', 'ST3.1', { payload: set(8, zeros(65)) }],
    ['no charge', 'ST3.1', { payload: remove(9) }],
    ['a claims root of 20 bytes', 'ST3.1', { payload: set(10, zeros(20)) }],
    ['no claims', 'ST3.1', { payload: set(11, 0) }],
    ['65 claims', 'ST3.1', { payload: set(11, 65) }],
    ['a keyset document in a receipt', 'ST3.1', { payload: set(12, zeros(1)) }],
    ['an unknown field', 'ST3.1', { payload: set('note', 1) }],
  ],
  'statement-subject-mismatch': [
    [
      'the name of another type',
      'ST3.3',
      {
        header: within(
          15,
          subject((text) => text.replace('refusal', 'receipt')),
        ),
      },
    ],
    [
      'an id in upper case',
      'ST3.3',
      {
        header: within(
          15,
          subject((text) => text.toUpperCase()),
        ),
      },
    ],
    ['another id', 'ST3.3', { payload: set(3, zeros(16)) }],
    [
      'a space at the end',
      'ST3.3',
      {
        header: within(
          15,
          subject((text) => `${text} `),
        ),
      },
    ],
  ],
  'keyset-digest-mismatch': [
    ['another keyset', 'ST4.4', { payload: set(6, seededBytes('other keyset')) }, 'keyset-binding'],
  ],
  'keyset-key-not-listed': [
    ['another key', 'ST4.4', { header: set(4, seededBytes('other key')) }, 'keyset-binding'],
  ],
  'keyset-issuer-mismatch': [
    ['another issuer', 'ST4.4', { header: within(15, set(1, 'other.example')) }, 'keyset-binding'],
  ],
  'keyset-not-valid-at-time': [
    [
      'one millisecond before its keyset',
      'ST4.5',
      { payload: add(7, -3_600_001) },
      'keyset-validity',
    ],
    [
      'one millisecond after its keyset',
      'ST4.5',
      { payload: add(7, 82_800_001) },
      'keyset-validity',
    ],
  ],
  'signature-invalid': [
    ['signed by another key', 'ST2.4', { signer: strangerSigner }, 'signature'],
    ['one bit of r turned', 'ST2.4', { signed: turnBit(-64) }, 'signature'],
    [
      'one bit of the time turned',
      'ST2.4',
      { signed: signatureOf((bytes) => bytes, turnPayloadTime) },
      'signature',
    ],
  ],
  'cose-signature-malformed': [
    ['no signature', 'ST2.4', { signed: signatureOf(() => zeros(0)) }, 'signature'],
    [
      'a signature of 63 bytes',
      'ST2.4',
      { signed: signatureOf((bytes) => bytes.slice(1)) },
      'signature',
    ],
    [
      'a signature of 65 bytes',
      'ST2.4',
      { signed: signatureOf((bytes) => concatBytes(bytes, zeros(1))) },
      'signature',
    ],
    [
      'r = 0',
      'ST2.4',
      { signed: signatureOf((bytes) => concatBytes(zeros(32), bytes.slice(32))) },
      'signature',
    ],
    [
      's = 0',
      'ST2.4',
      { signed: signatureOf((bytes) => concatBytes(bytes.slice(0, 32), zeros(32))) },
      'signature',
    ],
    [
      'r = n',
      'ST2.4',
      { signed: signatureOf((bytes) => concatBytes(toScalar(groupOrder), bytes.slice(32))) },
      'signature',
    ],
    [
      'r = 2^256 - 1 and a high s, judged first',
      'ST2.4',
      { signed: signatureOf(() => new Uint8Array(64).fill(255)) },
      'signature',
    ],
  ],
  'cose-signature-high-s': [
    ['n - s for s', 'ST2.4', { signed: signatureOf(toHighS) }, 'signature'],
    [
      'the smallest high s',
      'ST2.4',
      {
        signed: signatureOf((bytes) =>
          concatBytes(bytes.slice(0, 32), toScalar(groupOrder / 2n + 1n)),
        ),
      },
      'signature',
    ],
    [
      's = n',
      'ST2.4',
      { signed: signatureOf((bytes) => concatBytes(bytes.slice(0, 32), toScalar(groupOrder))) },
      'signature',
    ],
  ],
}

/** All cases. */
export function statementCases(): readonly BundleCase[] {
  const listed = listRows(rows).map(([code, row]) => toCase(row, code))
  return [...listed, misplaced(), ...edges()]
}

/** BU3.13: a keyset statement says nothing about a call. */
function misplaced(): BundleCase {
  return {
    name: 'statement: a keyset in the place of the statement',
    clause: 'BU3.13',
    bundle: forgeBundle(smallCall, {
      evidence: 'none',
      bundle: ({ keyset }) => ({ statement: keyset }),
    }),
    verdict: 'invalid',
    level: 'none',
    failed: { statement: 'payload-type-unsupported' },
  }
}

/** Just inside the limits. */
function edges(): readonly BundleCase[] {
  const good: readonly (readonly [string, string, SignedEdits])[] = [
    ['a nonce of one byte', 'ST3.1', { payload: set(8, zeros(1)) }],
    ['a nonce of 64 bytes', 'ST3.1', { payload: set(8, zeros(64)) }],
    ['the first millisecond of its keyset', 'ST4.5', { payload: add(7, -3_600_000) }],
    ['the last millisecond of its keyset', 'ST4.5', { payload: add(7, 82_800_000) }],
    ['the largest sequence', 'ST1.2', { payload: set(4, Number.MAX_SAFE_INTEGER) }],
  ]
  return good.map(([name, clause, statement]) => ({
    name: `a statement with ${name}`,
    clause,
    bundle: forgeBundle(smallCall, { statement }),
    nowMs: signedAtMs + 90_000_000,
    verdict: 'valid',
  }))
}

function toCase([name, clause, statement, check = 'statement']: Row, code: ErrorCode): BundleCase {
  return {
    name: `statement: ${name}`,
    clause,
    bundle: forgeBundle(smallCall, { statement, evidence: 'none' }),
    nowMs: signedAtMs + 90_000_000,
    verdict: 'invalid',
    level: 'none',
    failed: { [check]: code },
    ...(check === 'statement'
      ? { open: { signature: 'blocked', claims: 'blocked', meaning: 'blocked', nonce: 'blocked' } }
      : {}),
  }
}

function subject(change: (text: string) => string): Edit {
  return (fields: Fields) => {
    const text = fields.get(2)
    if (typeof text === 'string') fields.set(2, change(text))
  }
}

/** `at` counts from the end. */
function turnBit(at: number): ByteEdit {
  return (bytes) => bytes.map((byte, index) => (index === bytes.length + at ? byte ^ 1 : byte))
}

/** The payload begins with a map head and the fields 1 and 2, two bytes each. */
function swapFirstFields(bytes: Uint8Array): Uint8Array {
  return concatBytes(bytes.slice(0, 1), bytes.slice(3, 5), bytes.slice(1, 3), bytes.slice(5))
}

function repeatFirstField(bytes: Uint8Array): Uint8Array {
  return concatBytes(bytes.slice(0, 3), bytes.slice(1, 3), bytes.slice(5))
}

function breakIssuer(bytes: Uint8Array): Uint8Array {
  const issuer = encodeUtf8('gateway.example')
  const at = bytes.findIndex((_, index) =>
    issuer.every((byte, place) => bytes[index + place] === byte),
  )
  return replaceByte(at, 0xff)(bytes)
}

function turnPayloadTime(bytes: Uint8Array): Uint8Array {
  // 07 1b …: the time and its eight bytes, the last of which is turned.
  const at = bytes.findIndex((byte, index) => byte === 7 && bytes[index + 1] === 0x1b)
  return bytes.map((byte, index) => (index === at + 9 ? byte ^ 1 : byte))
}
