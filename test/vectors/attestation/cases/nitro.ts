/** Cases of AWS Nitro documents (spec/attestation.md AT9). */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborKey, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  digest,
  forgeEnclave,
  forgeLists,
  forgeTpm,
  nitroTestRoot,
  nitroTimeMs,
  type Envelope,
  type Members,
  type NitroEdit,
} from '../forge-nitro.ts'
import { chainCases } from './nitro-chain.ts'

type Row = readonly [name: string, raw: Uint8Array]

/** All of them. */
export function nitroCases(): readonly EvidenceCase[] {
  return [
    ...goodCases(),
    ...malformedCases(),
    largestCertificate(),
    ...kindCases(),
    ...signatureCases(),
    ...meaningCases(),
    ...chainCases(),
  ]
}

function goodCases(): readonly EvidenceCase[] {
  const rows: readonly Row[] = [
    ['a document with a map of known length', forgeEnclave()],
    ['a document with a map of indefinite length', forgeEnclave({ isIndefinite: true })],
    ['a tagged document', forgeEnclave({ envelope: () => ({ tag: Uint8Array.of(0xd2) }) })],
    [
      'a document without the three fields that can be absent',
      forgeEnclave({ members: withoutOptional }),
    ],
    [
      'a document with an empty user_data',
      forgeEnclave({ members: put('user_data', new Uint8Array(0)) }),
    ],
    ['a document with the largest fields', forgeEnclave({ members: withLargest })],
  ]
  return [
    ...rows.map(([name, raw]) => enclave(name, 'AT9.1', raw)),
    {
      ...enclave('a document with both revocation lists', 'AT9.5', forgeEnclave()),
      collateral: forgeLists(),
    },
    tpm('a document of NitroTPM', 'AT9.6', forgeTpm()),
  ].map((good) => ({ ...good, name: `${good.name} is taken` }))
}

function envelopeRows(): readonly Row[] {
  return [
    ['no bytes', new Uint8Array(0)],
    ['a byte behind', forgeEnclave({ envelope: () => ({ tail: Uint8Array.of(0) }) })],
    ['a container around the document', concatBytes(Uint8Array.of(1, 2, 3, 4), forgeEnclave())],
    ['an envelope that is a map', Uint8Array.of(0xa0)],
    ['another tag', forgeEnclave({ envelope: () => ({ tag: Uint8Array.of(0xd1) }) })],
    [
      'three parts',
      forgeEnclave({
        envelope: () => ({ head: Uint8Array.of(0x83), signature: new Uint8Array(0) }),
      }),
    ],
    [
      'five parts',
      forgeEnclave({ envelope: () => ({ head: Uint8Array.of(0x85), tail: Uint8Array.of(0xf6) }) }),
    ],
    [
      'an envelope of indefinite length',
      forgeEnclave({ envelope: () => ({ head: Uint8Array.of(0x9f), tail: Uint8Array.of(0xff) }) }),
    ],
    ['ES256', forgeEnclave({ header: Uint8Array.of(0xa1, 0x01, 0x26) })],
    ['ES512', forgeEnclave({ header: Uint8Array.of(0xa1, 0x01, 0x38, 0x23) })],
    [
      'a header with a second entry',
      forgeEnclave({ header: Uint8Array.of(0xa2, 0x01, 0x38, 0x22, 0x03, 0x00) }),
    ],
    ['an empty header', forgeEnclave({ header: new Uint8Array(0) })],
    [
      'an unprotected header that is not empty',
      forgeEnclave({ envelope: () => ({ unprotected: Uint8Array.of(0xa1, 0x01, 0x01) }) }),
    ],
    [
      'an unprotected header that is no map',
      forgeEnclave({ envelope: () => ({ unprotected: Uint8Array.of(0x80) }) }),
    ],
    [
      'a payload that is null',
      forgeEnclave({ envelope: () => ({ payload: Uint8Array.of(0xf6) }) }),
    ],
    ['a signature of 95 bytes', forgeEnclave({ envelope: resize(95) })],
    ['a signature of 97 bytes', forgeEnclave({ envelope: resize(97) })],
    [
      'a signature that is text',
      forgeEnclave({ envelope: () => ({ signature: encodeCbor('a'.repeat(96)) }) }),
    ],
  ]
}

function malformedCases(): readonly EvidenceCase[] {
  const rows: readonly Row[] = [
    ...envelopeRows(),
    [
      'a payload with a byte behind',
      forgeEnclave({ payload: (payload) => concatBytes(payload, Uint8Array.of(0)) }),
    ],
    ['a payload cut short', forgeEnclave({ payload: (payload) => payload.slice(0, -1) })],
    ['a payload that is no map', forgeEnclave({ payload: () => Uint8Array.of(0x80) })],
    [
      'a field twice',
      forgeEnclave({
        members: (members) => [...members, ['digest', 'SHA384']],
        isIndefinite: true,
      }),
    ],
    [
      'a field that is not known',
      forgeEnclave({ members: (members) => [...members, ['more', 1]] }),
    ],
    ['another digest', forgeEnclave({ members: put('digest', 'SHA256') })],
    ['a time that is text', forgeEnclave({ members: put('timestamp', '1780000000000') })],
    ['a negative time', forgeEnclave({ members: put('timestamp', -1) })],
    [
      'a document of more than 16,384 bytes',
      forgeEnclave({ payload: (payload) => concatBytes(payload, new Uint8Array(16_384)) }),
    ],
    ...['module_id', 'digest', 'timestamp', 'pcrs', 'certificate', 'cabundle'].map((key): Row => [
      `no ${key}`,
      forgeEnclave({ members: (members) => members.filter(([name]) => name !== key) }),
    ]),
    ...badValues.map(([name, key, value]): Row => [
      name,
      forgeEnclave({ members: put(key, value) }),
    ]),
    ...badPcrs.map(([name, pcrs]): Row => [name, forgeEnclave({ pcrs })]),
  ]
  return rows.map(([name, raw]) => ({
    ...enclave(`${name} is refused`, 'AT9.1', raw),
    failed: { format: 'nitro-malformed' },
    open: { root: 'blocked', signature: 'blocked', configuration: 'blocked' },
  }))
}

const badValues: readonly (readonly [string, string, CborValue])[] = [
  ['a module_id without its last part', 'module_id', 'i-0123456789abcdef0'],
  ['a module_id of NitroTPM in a document of an enclave', 'module_id', 'i-0123456789abcdef0-tpm00'],
  ['a module_id in upper case', 'module_id', 'i-0123456789ABCDEF0-enc00'],
  ['a module_id with a line behind', 'module_id', 'i-0123456789abcdef0-enc00\n'],
  ['PCRs that are an array', 'pcrs', []],
  ['PCRs that are null', 'pcrs', null],
  ['no PCR at all', 'pcrs', new Map()],
  ['an empty certificate', 'certificate', new Uint8Array(0)],
  ['a certificate of 1,025 bytes', 'certificate', new Uint8Array(1025)],
  ['a certificate that is text', 'certificate', 'certificate'],
  ['an empty cabundle', 'cabundle', []],
  ['a cabundle that is a byte string', 'cabundle', new Uint8Array(8)],
  ['a cabundle of ten', 'cabundle', Array.from({ length: 10 }, () => Uint8Array.of(0x30, 0x00))],
  ['an empty public_key', 'public_key', new Uint8Array(0)],
  ['a public_key of 1,025 bytes', 'public_key', new Uint8Array(1025)],
  ['a user_data of 513 bytes', 'user_data', new Uint8Array(513)],
  ['a user_data that is text', 'user_data', 'hello'],
  ['a nonce of 513 bytes', 'nonce', new Uint8Array(513)],
]

const badPcrs: readonly (readonly [string, (pcrs: Members) => Members])[] = [
  ['a PCR of 32 bytes', put(0, new Uint8Array(32))],
  ['a PCR of 64 bytes', put(5, new Uint8Array(64))],
  ['a PCR that is null', put(5, null)],
  ['PCR 32', (pcrs) => [...pcrs, [32, new Uint8Array(48)]]],
  ['PCR -1', (pcrs) => [...pcrs, [-1, new Uint8Array(48)]]],
  ['a PCR whose number is text', (pcrs) => [...pcrs, ['0', new Uint8Array(48)]]],
  ['no PCR 0', (pcrs) => pcrs.filter(([index]) => index !== 0)],
  ['no PCR 2', (pcrs) => pcrs.filter(([index]) => index !== 2)],
]

/** The largest certificate that a document can have is judged as a certificate. */
function largestCertificate(): EvidenceCase {
  const raw = forgeEnclave({ members: put('certificate', new Uint8Array(1024)) })
  return {
    ...enclave('a certificate of 1,024 bytes that is none is refused', 'AT9.2', raw),
    failed: { format: 'certificate-malformed' },
  }
}

function kindCases(): readonly EvidenceCase[] {
  return [
    tpm('a document of an enclave in place of one of NitroTPM', 'AT9.6', forgeEnclave()),
    enclave('a document of NitroTPM in place of one of an enclave', 'AT9.6', forgeTpm()),
    enclave('a document with both kinds of PCRs', 'AT9.6', forgeEnclave({ members: withBoth })),
  ].map((stranger) => ({
    ...stranger,
    name: `${stranger.name} is refused`,
    failed: { format: 'nitro-kind-mismatch' },
  }))
}

function signatureCases(): readonly EvidenceCase[] {
  const rows: readonly (readonly [string, NitroEdit])[] = [
    ['a signature by another key', { signerName: 'stranger' }],
    ['a signature of zeros', { envelope: () => ({ signature: encodeCbor(new Uint8Array(96)) }) }],
    ['a signature with one bit turned', { envelope: turnSignature }],
    ['a payload that was changed after it was signed', { envelope: turnPayload }],
  ]
  return rows.map(([name, edit]) => ({
    ...enclave(`${name} is refused`, 'AT9.4', forgeEnclave(edit)),
    failed: { signature: 'evidence-signature-invalid' },
  }))
}

function meaningCases(): readonly EvidenceCase[] {
  const zeros = new Uint8Array(48)
  const isDebug = (pcrs: Members): Members =>
    pcrs.map(([index, value]) => [index, Number(index) < 3 ? zeros : value])
  const mismatch = { configuration: 'nitro-instance-mismatch' } as const
  return [
    {
      ...enclave('debug mode is refused', 'AT9.7', forgeEnclave({ pcrs: isDebug })),
      failed: { debug: 'debug-enabled' },
    },
    enclave('a zero in each PCR is not debug mode', 'AT9.7', forgeEnclave({ pcrs: withZeros })),
    enclave('one PCR of zeros is not debug mode', 'AT9.7', forgeEnclave({ pcrs: put(1, zeros) })),
    {
      ...enclave(
        'PCR 4 of another instance is refused',
        'AT9.8',
        forgeEnclave({ pcrs: put(4, digest('other')) }),
      ),
      failed: mismatch,
    },
    {
      ...enclave('PCR 4 of zeros is refused', 'AT9.8', forgeEnclave({ pcrs: put(4, zeros) })),
      failed: mismatch,
    },
    {
      ...enclave(
        'no PCR 4 is refused',
        'AT9.8',
        forgeEnclave({ pcrs: (pcrs) => pcrs.filter(([index]) => index !== 4) }),
      ),
      failed: mismatch,
    },
    {
      ...enclave(
        'a module_id of another instance is refused',
        'AT9.8',
        forgeEnclave({ members: put('module_id', 'i-0123456789abcdef1-enc0123456789abcdef') }),
      ),
      failed: mismatch,
    },
    {
      ...tpm('NitroTPM has no debug mode and no parent instance', 'AT9.7', forgeTpm()),
      open: { debug: 'platform-has-none', configuration: 'platform-has-none' },
    },
  ]
}

function enclave(name: string, clause: string, raw: Uint8Array): EvidenceCase {
  return { name, clause, platform: 'aws-nitro', raw, asOfMs: nitroTimeMs, roots: [nitroTestRoot] }
}

function tpm(name: string, clause: string, raw: Uint8Array): EvidenceCase {
  return { ...enclave(name, clause, raw), platform: 'aws-nitrotpm' }
}

function put(key: CborKey, value: CborValue): (members: Members) => Members {
  return (members) => members.map((member) => (member[0] === key ? [key, value] : member))
}

function withoutOptional(members: Members): Members {
  const optional = new Set<CborKey>(['public_key', 'user_data', 'nonce'])
  return members.filter(([key]) => !optional.has(key))
}

function withLargest(members: Members): Members {
  const largest: Members = [
    ['public_key', new Uint8Array(1024)],
    ['user_data', new Uint8Array(512)],
    ['nonce', new Uint8Array(512)],
  ]
  return [...withoutOptional(members), ...largest]
}

function resize(bytes: number): (envelope: Envelope) => Partial<Envelope> {
  return () => ({ signature: encodeCbor(new Uint8Array(bytes).fill(1)) })
}

/** The lowest bit of s. */
function turnSignature({ signature }: Envelope): Partial<Envelope> {
  return { signature: signature.with(signature.length - 1, (signature.at(-1) ?? 0) ^ 1) }
}

/** The last byte of the nonce. */
function turnPayload({ payload }: Envelope): Partial<Envelope> {
  return { payload: payload.with(payload.length - 1, 8) }
}

function withBoth(members: Members): Members {
  return [...members, ['nitrotpm_pcrs', new Map([[0, digest('0')]])]]
}

/** One byte of zero in PCR 0, 1 and 2. */
function withZeros(pcrs: Members): Members {
  return pcrs.map(([index, value]) => [
    index,
    value instanceof Uint8Array && Number(index) < 3 ? value.with(0, 0) : value,
  ])
}
