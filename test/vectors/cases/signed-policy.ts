/** AT8.13: signed policies that open, and those that are refused with which code. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { signPolicy } from '@countersign/protocol/attestation/signed-policy'
import type { ErrorCode } from '@countersign/protocol/errors'
import { encodeCoseSign1, parseCoseSign1, signCoseSign1 } from '@countersign/protocol/receipt/cose'
import { listRows, type CodeTable } from '../code-table.ts'
import { seededSigner } from '../signers.ts'

/** A case as it stands in `vectors/signed-policies.json`. */
export type SignedPolicyCase = {
  readonly name: string
  readonly clause: string
  /** base64url. */
  readonly policy: string
  /** x ‖ y in hex. */
  readonly signers: readonly string[]
  /** Milliseconds. */
  readonly now: number
  /** Seconds. */
  readonly issuedFrom?: number
  readonly expect: { readonly digest: string } | { readonly code: ErrorCode }
}

type Row = readonly [
  name: string,
  policy: Uint8Array,
  now?: number,
  signers?: readonly string[],
  issuedFrom?: number,
]

const signer = seededSigner('policy')
const other = seededSigner('another-policy')
const taken = [toHex(other.publicKey), toHex(signer.publicKey)]
const text = encodeUtf8('{"evidencePolicy":1}')
const terms = {
  issuer: 'https://builds.example',
  issuedAtSeconds: 1_800_000_000,
  expiresAtSeconds: 1_800_086_400,
}
const firstMs = terms.issuedAtSeconds * 1000
const endMs = terms.expiresAtSeconds * 1000
const type = 'application/countersign-evidence-policy+json'
const claims = new Map<number, string | number>([
  [1, terms.issuer],
  [4, terms.expiresAtSeconds],
  [6, terms.issuedAtSeconds],
])
const sound = signPolicy(text, terms, signer)
const parts = parseCoseSign1(sound, sound.length)

function signedWith(entries: readonly (readonly [number, string | number])[]): Uint8Array {
  return signCoseSign1(type, [[15, new Map([...claims, ...entries])]], text, signer)
}

const table: CodeTable<Row> = {
  'cose-malformed': [['the bare policy', text]],
  'cose-header-malformed': [
    [
      'the content type of statements',
      signCoseSign1('application/countersign+cbor', [[15, claims]], text, signer),
    ],
    ['no claims', signCoseSign1(type, [], text, signer)],
    ['claims that are a text', signCoseSign1(type, [[15, 'claims']], text, signer)],
    ['an issuer without a name', signedWith([[1, '']])],
    ['an issuer of 256 bytes', signedWith([[1, 'a'.repeat(256)]])],
    ['a time that is a text', signedWith([[4, '1800086400']])],
    ['a time below zero', signedWith([[6, -1]])],
    ['a claim more', signedWith([[2, 'subject']])],
  ],
  'cose-signature-malformed': [
    ['a signature of 63 bytes', encodeCoseSign1({ ...parts, signature: parts.signature.slice(1) })],
  ],
  'policy-signer-unknown': [
    ['a key that is not taken', sound, firstMs, [toHex(other.publicKey)]],
    ['no key is taken', sound, firstMs, []],
  ],
  'signature-invalid': [
    [
      'another policy under the signature',
      encodeCoseSign1({ ...parts, payloadBytes: encodeUtf8('{}') }),
    ],
    [
      'the signature of another key',
      encodeCoseSign1({
        ...parts,
        signature: parseCoseSign1(signPolicy(text, terms, other), 1024).signature,
      }),
    ],
  ],
  'policy-expired': [
    ['a moment before it was issued', sound, firstMs - 1],
    ['the moment of its end', sound, endMs],
    ['a policy that never holds', signedWith([[4, terms.issuedAtSeconds]])],
  ],
  'policy-withdrawn': [
    ['a second before what was signed last', sound, firstMs, taken, terms.issuedAtSeconds + 1],
  ],
}

/** All cases. */
export function signedPolicyCases(
  digestOf: (bytes: Uint8Array) => string,
): readonly SignedPolicyCase[] {
  const good: readonly Row[] = [
    ['the first moment', sound],
    ['the last moment', sound, endMs - 1],
    ['what was signed last', sound, firstMs, taken, terms.issuedAtSeconds],
    ['an issuer of 255 bytes', signedWith([[1, 'a'.repeat(255)]])],
  ]
  return [
    ...good.map((row) => toCase(row, { digest: digestOf(text) })),
    ...listRows(table).map(([code, row]) => toCase(row, { code })),
  ]
}

function toCase(
  [name, policy, now = firstMs, signers = taken, issuedFrom]: Row,
  expect: SignedPolicyCase['expect'],
): SignedPolicyCase {
  const given = { name, clause: 'AT8.13', policy: toBase64url(policy), signers, now }
  return { ...given, ...(issuedFrom === undefined ? {} : { issuedFrom }), expect }
}
