/** Cases of TPM 2.0 quotes (spec/attestation.md AT15). */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import { encodeMeasuredLog } from '@countersign/protocol/attestation/tpm/measured-log'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  ecdsaSignature,
  forgeAkChain,
  forgeMap,
  forgeTpmCollateral,
  sized,
  tpmLog,
  u16,
  type TpmEdit,
} from '../forge-tpm.ts'
import { base, open, tpmEndorsementCases, type Failed } from './tpm-endorsement.ts'

type Row = readonly [name: string, edit: TpmEdit]

const none = new Uint8Array(0)

/** All of them. */
export function tpmCases(): readonly EvidenceCase[] {
  return [
    ...goodCases(),
    ...malformedCases(),
    ...keyCases(),
    ...quoteCases(),
    ...tpmEndorsementCases(),
    ...logCases(),
  ]
}

function goodCases(): readonly EvidenceCase[] {
  return [
    { ...base('a quote is taken', 'AT15.1'), open },
    {
      ...base('a quote without a log is taken', 'AT15.8'),
      collateral: forgeTpmCollateral({ 'tpm-measured-log': undefined }),
      open,
    },
    {
      ...base('a quote of a TPM whose clock was not safe is taken', 'AT15.3', {
        attest: () => ({ safe: 0 }),
      }),
      open,
    },
    {
      ...base('a signature without leading zeros is taken', 'AT15.4', { signature: unpadded }),
      open,
    },
    {
      ...base('a quote by a key with a certificate of its own is taken', 'AT15.7'),
      collateral: forgeTpmCollateral({
        'tpm-enrolment': undefined,
        'tpm-ak-chain': forgeAkChain(),
      }),
      open,
    },
  ]
}

const malformedQuotes: readonly Row[] = [
  ['a byte behind the quote', { attest: () => ({ tail: Uint8Array.of(0) }) }],
  ['a quote that a TPM did not make', { attest: () => ({ magic: 0xff544348 }) }],
  ['a certification in place of a quote', { attest: () => ({ type: 0x8017 }) }],
  ['a truth value of 2', { attest: () => ({ safe: 2 }) }],
  ['extra data of 67 bytes', { attest: () => ({ extraData: new Uint8Array(67) }) }],
  ['a digest of 65 bytes', { attest: () => ({ pcrDigest: new Uint8Array(65) }) }],
  ['no PCR selection', { attest: () => ({ selections: [] }) }],
  ['two banks', { attest: ({ selections }) => ({ selections: [...selections, [0x0c, []]] }) }],
  [
    'one bank twice',
    { attest: ({ selections }) => ({ selections: [...selections, ...selections] }) },
  ],
  [
    'five selections',
    { attest: () => ({ selections: [1, 2, 3, 4, 5].map((hash) => [hash, []] as const) }) },
  ],
  [
    'a bank of SHA-1',
    { attest: ({ selections: [[, pcrs] = [0, []]] }) => ({ selections: [[4, pcrs]] }) },
  ],
  ['a bitmap of four bytes', { attest: () => ({ selectionBytes: 4 }) }],
  ['a PCR more than values', { attest: () => ({ selections: [[0x0b, [0, 4, 7, 14, 15]]] }) }],
  ['a value more than PCRs', { attest: () => ({ selections: [[0x0b, [0, 4, 7]]] }) }],
  ['a quote cut short', { parts: ({ attest }) => ({ attest: attest.slice(0, -1) }) }],
  ['an empty quote', { parts: () => ({ attest: none }) }],
]

const malformedKeys: readonly Row[] = [
  ['a signature cut short', { parts: ({ signature }) => ({ signature: signature.slice(0, -1) }) }],
  [
    'a byte behind the signature',
    { parts: ({ signature }) => ({ signature: concatBytes(signature, Uint8Array.of(0)) }) },
  ],
  [
    'a signature with r = 0',
    { signature: (raw) => ecdsaSignature(raw.with(0, 0).fill(0, 0, 32), 0x0b) },
  ],
  [
    'a signature with a wide r',
    {
      signature: (raw) =>
        concatBytes(
          u16(0x18),
          u16(0x0b),
          sized(concatBytes(Uint8Array.of(0), raw.subarray(0, 32))),
          sized(raw.subarray(32)),
        ),
    },
  ],
  ['a signature by RSA-PSS', { signature: (raw) => concatBytes(u16(0x16), u16(0x0b), sized(raw)) }],
  ['a signature by HMAC', { signature: (raw) => concatBytes(u16(5), u16(0x0b), raw) }],
  ['a key cut short', { parts: ({ akPublic }) => ({ akPublic: akPublic.slice(0, -1) }) }],
  ['a byte behind the key', { publicTail: Uint8Array.of(0) }],
  ['a key that is no key', { akPublic: () => ({ type: 8 }) }],
  ['a key on another curve', { akPublic: () => ({ curve: 5 }) }],
  ['a key with a KDF', { akPublic: () => ({ kdf: 0x20 }) }],
  ['a key with a short x', { akPublic: ({ x }) => ({ x: x.slice(1) }) }],
  ['a key with a short y', { akPublic: ({ y }) => ({ y: y.slice(1) }) }],
  [
    'a key with another scheme',
    { akPublic: () => ({ scheme: concatBytes(u16(0x16), u16(0x0b)) }) },
  ],
  [
    'a key with a symmetric cipher that is not AES',
    { akPublic: () => ({ symmetric: concatBytes(u16(0x26), u16(128), u16(0x43)) }) },
  ],
  [
    'a key with AES in another mode',
    { akPublic: () => ({ symmetric: concatBytes(u16(6), u16(128), u16(0x42)) }) },
  ],
  [
    'a key with AES of no bits',
    { akPublic: () => ({ symmetric: concatBytes(u16(6), u16(0), u16(0x43)) }) },
  ],
  ['a policy of 65 bytes', { akPublic: () => ({ authPolicy: new Uint8Array(65) }) }],
  [
    'a PCR value of 31 bytes',
    { parts: ({ pcrValues }) => ({ pcrValues: pcrValues.map((value) => value.slice(1)) }) },
  ],
  ['no PCR value', { parts: () => ({ pcrValues: [] }) }],
]

const malformedBytes: readonly (readonly [string, Uint8Array])[] = [
  ['no bytes', none],
  ['a text', encodeCbor('evidence')],
  [
    'another version',
    forgeMap([
      [1, 2],
      [2, none],
      [3, none],
      [4, none],
      [5, []],
    ]),
  ],
  [
    'a map without a key',
    forgeMap([
      [1, 1],
      [2, none],
      [3, none],
      [5, []],
    ]),
  ],
  [
    'a PCR value that is a number',
    forgeMap([
      [1, 1],
      [2, Uint8Array.of(1)],
      [3, Uint8Array.of(1)],
      [4, Uint8Array.of(1)],
      [5, [1]],
    ]),
  ],
  ['evidence of more than 8,192 bytes', new Uint8Array(8193)],
]

function malformedCases(): readonly EvidenceCase[] {
  return [
    ...[...malformedQuotes, ...malformedKeys].map(([name, edit]) => ({
      ...base(`${name} is refused`, 'AT15.2', edit),
      failed: { format: 'tpm-malformed' } as const,
    })),
    ...malformedBytes.map(([name, raw]) => ({
      ...base(`${name} is refused`, 'AT15.2'),
      raw,
      failed: { format: 'tpm-malformed' } as const,
    })),
  ]
}

function keyCases(): readonly EvidenceCase[] {
  const mismatch = { chain: 'tpm-enrolment-mismatch' } as const
  const rows: readonly (readonly [string, TpmEdit, Failed])[] = [
    ['a key that may leave its TPM', without(0x02), { ...mismatch, configuration: 'tpm-key' }],
    ['a key that may leave its parent', without(0x10), { ...mismatch, configuration: 'tpm-key' }],
    ['a key that was imported', without(0x20), { ...mismatch, configuration: 'tpm-key' }],
    ['a key that signs anything', without(0x10000), { ...mismatch, configuration: 'tpm-key' }],
    ['a key that does not sign', without(0x40000), { ...mismatch, configuration: 'tpm-key' }],
    [
      'a key that also decrypts',
      { akPublic: ({ attributes }) => ({ attributes: attributes | 0x20000 }) },
      { ...mismatch, configuration: 'tpm-key' },
    ],
    [
      'a key without a scheme',
      { akPublic: () => ({ scheme: u16(0x10) }) },
      { ...mismatch, signature: 'tpm-key' },
    ],
    [
      'a key whose scheme has another hash',
      { akPublic: () => ({ scheme: concatBytes(u16(0x18), u16(0x0c)) }) },
      { ...mismatch, signature: 'tpm-key' },
    ],
    [
      'a signature over another hash',
      { signature: (raw) => ecdsaSignature(raw, 4) },
      { signature: 'tpm-key' },
    ],
    [
      'a storage key',
      { akPublic: () => ({ symmetric: concatBytes(u16(6), u16(128), u16(0x43)) }) },
      mismatch,
    ],
    [
      'a key with another name algorithm',
      { akPublic: () => ({ nameAlgorithm: 4 }) },
      { chain: 'tpm-malformed' },
    ],
    ['another key', { keyName: 'another AK' }, mismatch],
    ['a key on P-384', { curve: 'P-384' }, mismatch],
    [
      'a key that is not on its curve',
      { akPublic: ({ x }) => ({ x: x.with(0, (x[0] ?? 0) ^ 1) }) },
      { ...mismatch, signature: 'tpm-quote-signature-invalid' },
    ],
  ]
  return rows.map(([name, edit, failed]) => ({
    ...base(`${name} is refused`, 'AT15.5', edit),
    failed,
  }))
}

function quoteCases(): readonly EvidenceCase[] {
  const rows: readonly (readonly [string, TpmEdit, EvidenceCode])[] = [
    ['a quote by another key', { signerName: 'another AK' }, 'tpm-quote-signature-invalid'],
    [
      'a quote changed after signing',
      { parts: ({ attest }) => ({ attest: attest.with(60, 7) }) },
      'tpm-quote-signature-invalid',
    ],
    [
      'a signature by RSA from a key on a curve',
      { signature: (raw) => concatBytes(u16(0x14), u16(0x0b), sized(raw)) },
      'tpm-quote-signature-invalid',
    ],
    [
      'PCR values other than quoted',
      { parts: ({ pcrValues }) => ({ pcrValues: pcrValues.map(changed) }) },
      'tpm-pcr-mismatch',
    ],
    [
      'PCR values in another order',
      { parts: ({ pcrValues }) => ({ pcrValues: pcrValues.toReversed() }) },
      'tpm-pcr-mismatch',
    ],
    [
      'a selection of other PCRs',
      { attest: () => ({ selections: [[0x0b, [1, 4, 7, 13]]] }) },
      'event-log-mismatch',
    ],
    [
      'a digest of another hash',
      { attest: ({ pcrDigest }) => ({ pcrDigest: pcrDigest.slice(0, 20) }) },
      'tpm-pcr-mismatch',
    ],
  ]
  return rows.map(([name, edit, code]) => ({
    ...base(`${name} is refused`, 'AT15.4', edit),
    failed: { signature: code },
  }))
}

function logCases(): readonly EvidenceCase[] {
  const { events } = tpmLog
  const [first] = events
  const digest = new Uint8Array(32)
  const named = (...names: readonly string[]): Uint8Array =>
    encodeMeasuredLog({ pcr: 14, events: names.map((name) => ({ name, digest })) })
  const mismatched: readonly (readonly [string, Uint8Array])[] = [
    ['a log in another order', encodeMeasuredLog({ pcr: 14, events: events.toReversed() })],
    ['a log with an event less', encodeMeasuredLog({ pcr: 14, events: events.slice(1) })],
    ['a log of other events', named('a/b')],
    ['a log of a PCR that was not quoted', encodeMeasuredLog({ pcr: 15, events })],
  ]
  const malformed: readonly (readonly [string, Uint8Array])[] = [
    ['a log of a PCR that software resets', encodeMeasuredLog({ pcr: 16, events })],
    ['a log of a PCR of the firmware', encodeMeasuredLog({ pcr: 7, events })],
    ['a log of no PCR', encodeCbor(['14', []])],
    ['a log of no event', named()],
    ['a log of 65 events', named(...Array.from({ length: 65 }, (_, at) => `a/${at}`))],
    ['a log with a name twice', named('a/b', 'a/b')],
    ['a log with an event that is called like a PCR', named('pcr7')],
    ['a log with a number for a name', encodeCbor([14, [[1, digest]]])],
    ['a log with a short digest', encodeCbor([14, [['a/b', digest.slice(1)]]])],
    ['a log with a text for a digest', encodeCbor([14, [['a/b', 'c']]])],
    ['a log with more in an event', encodeCbor([14, [['a/b', digest, 1]]])],
    ['a log with an event that is a text', encodeCbor([14, ['a/b']])],
    [
      'a log with more behind',
      encodeCbor([14, events.map(({ name }) => [name, first?.digest ?? none]), 1]),
    ],
    ['a log that is a map', encodeCbor(new Map())],
    ['a log that is no CBOR', Uint8Array.of(0xff)],
  ]
  return [
    ...mismatched.map(([name, log]) => withLog(name, log, { signature: 'event-log-mismatch' })),
    ...malformed.map(([name, log]) => withLog(name, log, { format: 'event-log-malformed' })),
  ]
}

/** A TPM may write integers without the zeros in front. */
function withoutZeros(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0)
  return bytes.slice(first)
}

function unpadded(raw: Uint8Array): Uint8Array {
  return concatBytes(
    u16(0x18),
    u16(0x0b),
    ...[0, 32].map((at) => sized(withoutZeros(raw.slice(at, at + 32)))),
  )
}

function without(bit: number): TpmEdit {
  return { akPublic: ({ attributes }) => ({ attributes: attributes & ~bit }) }
}

function changed(value: Uint8Array): Uint8Array {
  return value.with(0, (value[0] ?? 0) ^ 1)
}

function withLog(name: string, log: Uint8Array, failed: Failed): EvidenceCase {
  return {
    ...base(`${name} is refused`, 'AT15.8'),
    collateral: forgeTpmCollateral({ 'tpm-measured-log': log }),
    failed,
  }
}
