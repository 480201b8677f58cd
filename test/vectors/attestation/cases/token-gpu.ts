/** Cases of answers of NVIDIA's Remote Attestation Service (spec/attestation.md AT14). */
import { createHash } from 'node:crypto'
import type { EvidenceCheckId } from '@countersign/protocol/attestation/appraisal'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  ecJwk,
  forgeGpuToken,
  gpuServiceKey,
  issuedAtS,
  keySet,
  thumbprintOf,
  tokenDates,
  tokenTimeMs,
  type Json,
  type TokenEdit,
} from '../forge-token.ts'
import { seededKey } from '../test-key.ts'

type Failed = Readonly<Partial<Record<EvidenceCheckId, EvidenceCode>>>

/** What is changed. */
type AnswerEdit = {
  readonly overall?: TokenEdit
  readonly devices?: readonly TokenEdit[]
  readonly submods?: (digests: Json) => unknown
  readonly answer?: (answer: readonly [readonly string[], Json]) => unknown
}

type Row = readonly [name: string, edit: AnswerEdit, failed?: Failed]

const nonce = '42'.repeat(32)
const common = { ...tokenDates, iss: 'https://nras.attestation.nvidia.com', eat_nonce: nonce }
const device: Json = {
  ...common,
  measres: 'success',
  dbgstat: 'disabled',
  secboot: true,
  hwmodel: 'GH100 A01 GSP BROM',
  ueid: '1',
  'x-nvidia-gpu-driver-version': '570.00',
  'x-nvidia-gpu-vbios-version': '96.00.5E.00.01',
}

/** All of them. */
export function gpuTokenCases(): readonly EvidenceCase[] {
  return [...goodRows, ...formRows, ...meaningRows].map(([name, edit, failed]) => {
    const jwk = ecJwk(gpuServiceKey)
    return {
      name: `${name} is ${failed === undefined ? 'taken' : 'refused'}`,
      clause: 'AT14.1',
      platform: 'nvidia-remote-attestation',
      raw: encodeUtf8(JSON.stringify(forgeAnswer(edit))),
      collateral: keySet(jwk, ecJwk(stranger, 'stranger')),
      asOfMs: tokenTimeMs,
      roots: [thumbprintOf(jwk)],
      failed: failed ?? {},
    }
  })
}

const goodRows: readonly Row[] = [
  ['an answer about one GPU', {}],
  ['an answer about two GPUs', { devices: [{}, { claims: { ueid: '2' } }] }],
  [
    'an answer about two GPUs of which one has another driver',
    { devices: [{}, { claims: { 'x-nvidia-gpu-driver-version': '1' } }] },
  ],
]

const malformed = { format: 'token-malformed' } as const
const missing = { format: 'token-claim-missing' } as const
const formRows: readonly Row[] = [
  ['an answer that is a token', { answer: ([[, whole]]) => whole }, malformed],
  ['an answer that is an object', { answer: ([, devices]) => devices }, malformed],
  ['an answer without tokens of devices', { answer: ([whole]) => [whole] }, malformed],
  ['an answer with three parts', { answer: (answer) => [...answer, {}] }, malformed],
  [
    'an answer whose tokens are a list',
    { answer: ([whole, devices]) => [whole, Object.values(devices)] },
    malformed,
  ],
  [
    'an answer of another form',
    { answer: ([[, whole], devices]) => [['CWT', whole], devices] },
    malformed,
  ],
  [
    'an answer with more behind its token',
    { answer: ([whole, devices]) => [[...whole, ''], devices] },
    malformed,
  ],
  [
    'an answer whose token is no text',
    { answer: ([, devices]) => [['JWT', 1], devices] },
    malformed,
  ],
  ['an answer about no GPU', { answer: ([whole]) => [whole, {}] }, malformed],
  [
    'an answer about 17 GPUs',
    {
      answer: ([whole]) => [
        whole,
        Object.fromEntries(Array.from({ length: 17 }, (_, at) => [at, ''])),
      ],
    },
    malformed,
  ],
  [
    'an answer in which a device is no text',
    { answer: ([whole]) => [whole, { 'GPU-0': 1 }] },
    malformed,
  ],
  ['an answer without nonce', { overall: { claims: { eat_nonce: undefined } } }, missing],
  ['an answer whose nonce is not hex', { overall: { claims: { eat_nonce: 'xx' } } }, missing],
  ['a device without ueid', { devices: [{ claims: { ueid: undefined } }] }, missing],
  ['a device without hwmodel', { devices: [{ claims: { hwmodel: undefined } }] }, missing],
]

const mismatch = { configuration: 'token-submodule-mismatch' } as const
const refused = { configuration: 'token-claim-refused' } as const
const stranger = seededKey('stranger')
const meaningRows: readonly Row[] = [
  ['a verdict against', { overall: { claims: { 'x-nvidia-overall-att-result': false } } }, refused],
  [
    'a verdict that is text',
    { overall: { claims: { 'x-nvidia-overall-att-result': 'true' } } },
    refused,
  ],
  ['an answer that names no devices', { submods: () => undefined }, mismatch],
  [
    'an answer that names another token',
    { submods: () => ({ 'GPU-0': ['DIGEST', ['SHA-256', '00'.repeat(32)]] }) },
    mismatch,
  ],
  [
    'an answer that names one device more',
    { submods: (named) => ({ ...named, 'GPU-1': ['DIGEST', ['SHA-256', '']] }) },
    mismatch,
  ],
  [
    'an answer that names a device otherwise',
    { submods: (named) => ({ 'GPU-1': named['GPU-0'] }) },
    mismatch,
  ],
  [
    'an answer that names a token by another hash',
    { submods: () => ({ 'GPU-0': ['DIGEST', ['SHA-1', '']] }) },
    mismatch,
  ],
  [
    'an answer that names a token without hash',
    { submods: () => ({ 'GPU-0': ['DIGEST', ''] }) },
    mismatch,
  ],
  ['an answer that names a token by itself', { submods: () => ({ 'GPU-0': '' }) }, mismatch],
  [
    'a device with another nonce',
    { devices: [{ claims: { eat_nonce: '43'.repeat(32) } }] },
    refused,
  ],
  [
    'a device whose measurements differ',
    { devices: [{}, { claims: { measres: 'fail' } }] },
    refused,
  ],
  ['a device without secure boot', { devices: [{ claims: { secboot: false } }] }, refused],
  [
    'a device open to debugging',
    { devices: [{}, { claims: { dbgstat: 'enabled' } }] },
    { debug: 'debug-enabled' },
  ],
  [
    'a device that says nothing of debugging',
    { devices: [{ claims: { dbgstat: undefined } }] },
    { debug: 'debug-enabled' },
  ],
  [
    'an answer of another issuer',
    { overall: { claims: { iss: 'https://example.com' } } },
    { chain: 'token-issuer-mismatch' },
  ],
  [
    'a device of another issuer',
    { devices: [{ claims: { iss: 'https://example.com' } }] },
    { chain: 'token-issuer-mismatch' },
  ],
  [
    'an answer that has ended',
    { overall: { claims: { exp: issuedAtS } } },
    { validity: 'token-expired' },
  ],
  [
    'a device whose token has ended',
    { devices: [{ claims: { exp: issuedAtS } }] },
    { validity: 'token-expired' },
  ],
  [
    'an answer that another key signed',
    { overall: { sign: stranger.sign } },
    { signature: 'evidence-signature-invalid' },
  ],
  [
    'a device whose key is in the set and not pinned',
    { devices: [{}, { header: { kid: 'stranger' }, sign: stranger.sign }] },
    { root: 'chain-root-untrusted' },
  ],
  [
    'an answer that names one of two devices wrongly',
    {
      devices: [{}, { claims: { ueid: '2' } }],
      submods: (named) => ({ ...named, 'GPU-1': ['DIGEST', ['SHA-256', '00'.repeat(32)]] }),
    },
    mismatch,
  ],
  [
    'a device that another key signed',
    { devices: [{ sign: stranger.sign }] },
    { signature: 'evidence-signature-invalid' },
  ],
  [
    'an answer without algorithm',
    { overall: { header: { alg: 'none' }, sign: () => new Uint8Array(0) } },
    { signature: 'token-algorithm' },
  ],
]

function forgeAnswer(edit: AnswerEdit): unknown {
  const tokens = (edit.devices ?? [{}]).map((change, at) => [
    `GPU-${at}`,
    forgeGpuToken(device, change),
  ])
  const digests = tokens.map(([name, token = '']) => [
    name,
    ['DIGEST', ['SHA-256', createHash('sha256').update(token).digest('hex')]],
  ])
  const named: Json = Object.fromEntries(digests)
  const overall = {
    ...common,
    sub: 'NVIDIA-PLATFORM-ATTESTATION',
    'x-nvidia-overall-att-result': true,
    submods: edit.submods === undefined ? named : edit.submods(named),
  }
  const answer = [
    ['JWT', forgeGpuToken(overall, edit.overall)],
    Object.fromEntries(tokens),
  ] as const
  return edit.answer === undefined ? answer : edit.answer(answer)
}
