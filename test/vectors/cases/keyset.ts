/** ST4, and the statement that opens a keyset. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import type { CborKey, CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import type { ErrorCode } from '@countersign/protocol/errors'
import { listRows, type CodeTable } from '../code-table.ts'
import type { CheckId } from '@countersign/protocol/verify/policy'
import type { BundleCase } from '../bundle-case.ts'
import {
  add,
  append,
  remove,
  replaceByte,
  set,
  signatureOf,
  toHighS,
  within,
  zeros,
} from '../edits.ts'
import { forgeBundle, strangerSigner, type Forgery } from '../forge.ts'
import { smallCall, signedAtMs } from '../sample-call.ts'
import { seededBytes } from '../signers.ts'

type Row = readonly [name: string, clause: string, forgery: Forgery, check?: CheckId]

const dayMs = 86_400_000

const rows: CodeTable<Row> = {
  'payload-type-unsupported': [
    [
      'a refusal in the place of the keyset',
      'BU3.13',
      { bundle: ({ statement }) => ({ keyset: statement }) },
    ],
    ['a reserved type', 'ST3.2', { keyset: { payload: set(2, 5) } }],
  ],
  'cbor-truncated': [
    ['the last byte missing', 'ST1.3', { keyset: { signed: (bytes) => bytes.slice(0, -1) } }],
  ],
  'cose-malformed': [['no tag', 'ST2.1', { keyset: { signed: (bytes) => bytes.slice(1) } }]],
  'cose-algorithm-unsupported': [['alg ES512', 'ST2.2', { keyset: { header: set(1, -36) } }]],
  'payload-malformed': [
    ['sequence 1', 'ST3.4', { keyset: { payload: set(4, 1) } }],
    ['a previous statement', 'ST3.4', { keyset: { payload: set(5, seededBytes('previous')) } }],
    [
      'sequence 1 and another digest, judged first',
      'ST3.4',
      { keyset: { payload: (fields) => fields.set(4, 1).set(6, zeros(32)) } },
    ],
    ['no document', 'ST3.1', { keyset: { payload: remove(12) } }],
    ['a document that is a map', 'ST3.1', { keyset: { payload: set(12, new Map()) } }],
    ['a charge', 'ST3.1', { keyset: { payload: set(9, new Map()) } }],
  ],
  'statement-subject-mismatch': [
    ['the id of another statement', 'ST3.3', { keyset: { payload: set(3, zeros(16)) } }],
    [
      'another id and sequence 1, judged first',
      'ST3.3',
      { keyset: { payload: (fields) => fields.set(3, zeros(16)).set(4, 1) } },
    ],
  ],
  'keyset-digest-mismatch': [
    [
      'the digest of another document',
      'ST3.4',
      { keyset: { payload: set(6, seededBytes('other')) } },
    ],
  ],
  'keyset-malformed': [
    ['version 2', 'ST4.1', { document: set(1, 2) }],
    ['an empty issuer', 'ST4.1', { document: set(2, '') }],
    ['an issuer of 256 bytes', 'ST4.1', { document: set(2, 'ü'.repeat(128)) }],
    ['a key of 65 bytes', 'ST4.1', { document: set(3, zeros(65)) }],
    ['a date below zero', 'ST4.1', { document: set(4, -1) }],
    ['no not-after', 'ST4.1', { document: remove(5) }],
    ['a build digest of 33 bytes', 'ST4.1', { document: set(7, zeros(33)) }],
    ['a previous keyset of no bytes', 'ST4.1', { document: set(8, zeros(0)) }],
    ['null for the previous keyset', 'ST4.1', { document: set(8, null) }],
    [
      'nine payees',
      'ST4.1',
      {
        document: set(
          9,
          Array.from({ length: 9 }, () => payee('a')),
        ),
      },
    ],
    ['a payee with an empty address', 'ST4.1', { document: set(9, [payee('')]) }],
    [
      'a payee with an address of 129 bytes',
      'ST4.1',
      { document: set(9, [payee('a'.repeat(129))]) },
    ],
    ['an empty settlement address', 'ST4.1', { document: set(10, '') }],
    ['a TLS key of 31 bytes', 'ST4.1', { document: set(11, zeros(31)) }],
    ['an HPKE key of 33 bytes', 'ST4.1', { document: set(12, zeros(33)) }],
    ['an empty list of upstreams', 'ST4.1', { document: set(13, []) }],
    ['a digest of terms of 31 bytes', 'ST4.1', { document: set(14, zeros(31)) }],
    ['no other charge key in a list', 'ST4.1', { document: set(15, []) }],
    ['a charge key twice', 'ST4.1', { document: set(15, ['a', 'a']) }],
    ['an empty charge key', 'ST4.1', { document: set(15, ['']) }],
    ['nine other charge keys', 'ST4.1', { document: set(15, 'a b c d e f g h i'.split(' ')) }],
    ['an upstream that is no text', 'ST4.1', { document: set(13, [null]) }],
    ['an empty upstream', 'ST4.1', { document: set(13, ['']) }],
    ['upstreams in another order', 'ST4.1', { document: set(13, ['b', 'a']) }],
    ['an upstream twice', 'ST4.1', { document: set(13, ['a', 'a']) }],
    [
      '33 upstreams',
      'ST4.1',
      {
        document: set(
          13,
          Array.from({ length: 33 }, (_, index) => `${index + 10}`),
        ),
      },
    ],
    ['an unknown key', 'ST4.1', { document: set(16, zeros(32)) }],
    ['a document of 4,097 bytes', 'ST4.1', { keyset: document(zeros(4097)) }],
    ['a document of no bytes', 'ST4.1', { keyset: document(zeros(0)) }],
    ['a document that is no CBOR', 'ST4.1', { keyset: document(Uint8Array.of(0xff)) }],
    [
      'a document with bytes after it',
      'ST4.1',
      {
        keyset: {
          payload: (fields) => {
            document(append(0)(bytesOf(fields.get(12)))).payload(fields)
          },
        },
      },
    ],
  ],
  'keyset-lifetime': [
    ['no life at all', 'ST4.2', { document: (fields) => fields.set(5, fields.get(4) ?? 0) }],
    ['an end before the beginning', 'ST4.2', { document: (fields) => fields.set(5, 0) }],
    ['a millisecond more than a day', 'ST4.2', { document: add(5, 1) }],
  ],
  'keyset-issuer-mismatch': [
    ['another iss', 'ST4.3', { keyset: { header: within(15, set(1, 'other.example')) } }],
  ],
  'keyset-not-valid-at-time': [
    ['signed before its first millisecond', 'ST4.3', { keyset: { payload: add(7, -1) } }],
    ['signed after its last millisecond', 'ST4.3', { keyset: { payload: add(7, dayMs + 1) } }],
  ],
  'signature-invalid': [
    ['signed by another key', 'ST4.3', { keyset: { signer: strangerSigner } }, 'keyset-signature'],
    [
      'a payload that was changed',
      'ST2.4',
      { keyset: { signed: signatureOf((bytes) => bytes, turnTime) } },
      'keyset-signature',
    ],
  ],
  'cose-signature-malformed': [
    [
      'no signature',
      'ST2.4',
      { keyset: { signed: signatureOf(() => zeros(0)) } },
      'keyset-signature',
    ],
  ],
  'cose-signature-high-s': [
    ['n - s for s', 'ST2.4', { keyset: { signed: signatureOf(toHighS) } }, 'keyset-signature'],
  ],
  'keyset-key-not-listed': [
    [
      'another kid',
      'ST4.3',
      { keyset: { header: set(4, seededBytes('other key')) } },
      'keyset-signature',
    ],
  ],
}

/** All cases. */
export function keysetCases(): readonly BundleCase[] {
  const listed = listRows(rows).map(([code, row]) => toCase(row, code))
  return [...listed, ...wrongKeys(), ...edges()]
}

/** The statement is signed by the right key, the keyset lists one that cannot sign. */
function wrongKeys(): readonly BundleCase[] {
  const keys: readonly (readonly [string, Uint8Array])[] = [
    ['a key that is no point', concatBytes(seededBytes('x'), seededBytes('y'))],
    ['the key 0, 0', zeros(64)],
    ['a coordinate above the prime', new Uint8Array(64).fill(255)],
  ]
  return keys.map(([name, key]) => ({
    name: `keyset: ${name}`,
    clause: 'ST4.3',
    bundle: forgeBundle(smallCall, { document: set(3, key), evidence: 'none' }),
    verdict: 'invalid',
    level: 'none',
    failed: { 'keyset-signature': 'signature-invalid', 'keyset-binding': 'keyset-key-not-listed' },
    open: { signature: 'blocked', 'keyset-validity': 'blocked' },
  }))
}

function edges(): readonly BundleCase[] {
  const good: readonly (readonly [string, string, Forgery])[] = [
    [
      'without anything optional',
      'ST4.1',
      {
        document: (fields) => {
          for (const key of [8, 9, 10]) fields.delete(key)
        },
      },
    ],
    [
      'with eight payees',
      'ST4.1',
      {
        document: set(
          9,
          Array.from({ length: 8 }, () => payee('a'.repeat(128))),
        ),
      },
    ],
    ['with an empty list of payees', 'ST4.1', { document: set(9, []) }],
    ['signed in its last millisecond', 'ST4.3', { keyset: { payload: add(7, dayMs) } }],
  ]
  return good.map(([name, clause, forgery]) => ({
    name: `a keyset ${name}`,
    clause,
    bundle: forgeBundle(smallCall, forgery),
    nowMs: signedAtMs + 10,
    verdict: 'valid',
  }))
}

function toCase([name, clause, forgery, check = 'keyset']: Row, code: ErrorCode): BundleCase {
  return {
    name: `keyset: ${name}`,
    clause,
    bundle: forgeBundle(smallCall, { evidence: 'none', ...forgery }),
    verdict: 'invalid',
    level: 'none',
    failed: { [check]: code },
    ...(check === 'keyset'
      ? { open: { 'keyset-signature': 'blocked', 'keyset-binding': 'blocked', issuer: 'blocked' } }
      : {}),
  }
}

function payee(text: string): Map<CborKey, CborValue> {
  return new Map([
    [1, 'eip155:1'],
    [2, 'a'],
    [3, text],
  ])
}

function bytesOf(value: CborValue | undefined): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new Error('no bytes')
  return value
}

/** A keyset statement over this document, whatever it is. */
function document(bytes: Uint8Array): { payload: (fields: Map<CborKey, CborValue>) => void } {
  return {
    payload: (fields) => {
      fields.set(6, sha256(bytes)).set(12, bytes)
    },
  }
}

function turnTime(bytes: Uint8Array): Uint8Array {
  const at = bytes.findIndex((byte, index) => byte === 7 && bytes[index + 1] === 0x1b)
  return replaceByte(at + 9, (bytes[at + 9] ?? 0) ^ 1)(bytes)
}
