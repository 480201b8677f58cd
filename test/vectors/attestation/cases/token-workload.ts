/** Cases of tokens of Confidential Space (spec/attestation.md AT12). */
import { confidentialSpaceAudience } from '@countersign/protocol/attestation/token/confidential-space'
import type { EvidenceCheckId } from '@countersign/protocol/attestation/appraisal'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  forgeToken,
  keySet,
  rsaJwk,
  serviceKey,
  thumbprintOf,
  tokenDates,
  tokenTimeMs,
  type Json,
  type TokenEdit,
} from '../forge-token.ts'

type Row = readonly [
  name: string,
  claims: Json,
  failed?: Readonly<Partial<Record<EvidenceCheckId, EvidenceCode>>>,
]

/** The nonce of each token here. */
export const workloadNonce: Uint8Array = new Uint8Array(32).fill(0x42)

const container = {
  image_digest: `sha256:${'aa'.repeat(32)}`,
  env: { A: 'b' },
  restart_policy: 'Never',
}
const submods = {
  confidential_space: { support_attributes: ['LATEST', 'STABLE', 'USABLE'] },
  container,
  gce: { instance_id: '1234567890', zone: 'us-central1-a' },
}

/** What a right token says. */
const workloadClaims: Json = {
  ...tokenDates,
  iss: 'https://confidentialcomputing.googleapis.com',
  aud: confidentialSpaceAudience,
  eat_nonce: toBase64url(workloadNonce),
  swname: 'CONFIDENTIAL_SPACE',
  secboot: true,
  dbgstat: 'disabled-since-boot',
  hwmodel: 'GCP_INTEL_TDX',
  submods,
}

/** A case of a right token, but for the edit. */
export function workload(name: string, clause: string, edit: TokenEdit = {}): EvidenceCase {
  const jwk = rsaJwk(serviceKey)
  return {
    name,
    clause,
    platform: 'google-confidential-space',
    raw: encodeUtf8(forgeToken(workloadClaims, edit)),
    collateral: keySet(jwk),
    asOfMs: tokenTimeMs,
    roots: [thumbprintOf(jwk)],
  }
}

/** All of them. */
export function workloadCases(): readonly EvidenceCase[] {
  return [...goodRows, ...refusedRows].map(([name, claims, failed]) => ({
    ...workload(`${name} is ${failed === undefined ? 'taken' : 'refused'}`, 'AT12.1', { claims }),
    failed: failed ?? {},
    open: { revocation: 'platform-has-none' },
  }))
}

const goodRows: readonly Row[] = [
  ['a token of Confidential Space', {}],
  ['a token with several nonces', { eat_nonce: ['not base64url!', toBase64url(workloadNonce)] }],
  [
    'a token with arguments that the operator set',
    { submods: withContainer({ cmd_override: ['--open'] }) },
  ],
  [
    'a token with six nonces',
    { eat_nonce: Array.from({ length: 6 }, () => toBase64url(workloadNonce)) },
  ],
  [
    'a token with overrides that are empty',
    { submods: withContainer({ cmd_override: [], env_override: {} }) },
  ],
  [
    'a token of an image of the system that is not stable',
    { submods: { ...submods, confidential_space: {} } },
  ],
]

const format = { format: 'token-claim-missing' } as const
const refusedRows: readonly Row[] = [
  ['another issuer', { iss: 'https://accounts.google.com' }, { chain: 'token-issuer-mismatch' }],
  [
    'an issuer with more behind it',
    { iss: 'https://confidentialcomputing.googleapis.com/' },
    { chain: 'token-issuer-mismatch' },
  ],
  [
    'another audience',
    { aud: 'https://sts.googleapis.com' },
    { configuration: 'token-audience-mismatch' },
  ],
  [
    'an audience among several',
    { aud: [confidentialSpaceAudience] },
    { configuration: 'token-audience-mismatch' },
  ],
  ['a plain virtual machine', { swname: 'GCE' }, { configuration: 'token-claim-refused' }],
  ['a machine without secure boot', { secboot: false }, { configuration: 'token-claim-refused' }],
  [
    'a machine whose secure boot is text',
    { secboot: 'true' },
    { configuration: 'token-claim-refused' },
  ],
  ['a debug image', { dbgstat: 'enabled' }, { debug: 'debug-enabled' }],
  ['a token that says nothing of debugging', { dbgstat: undefined }, { debug: 'debug-enabled' }],
  ['a token without nonce', { eat_nonce: undefined }, format],
  ['a token with seven nonces', { eat_nonce: Array.from({ length: 7 }, () => 'AAAA') }, format],
  ['a token with a nonce that is no text', { eat_nonce: [1] }, format],
  ['a token without hwmodel', { hwmodel: undefined }, format],
  ['a token without submodules', { submods: undefined }, format],
  ['a token without an instance', { submods: { ...submods, gce: {} } }, format],
  ['an image without digest', { submods: withContainer({ image_digest: undefined }) }, format],
  [
    'an image with another hash',
    { submods: withContainer({ image_digest: `sha512:${'aa'.repeat(32)}` }) },
    format,
  ],
  [
    'an image with a digest cut short',
    { submods: withContainer({ image_digest: 'sha256:aa' }) },
    format,
  ],
  [
    'an image with a digest in upper case',
    { submods: withContainer({ image_digest: `sha256:${'AA'.repeat(32)}` }) },
    format,
  ],
  [
    'an image with a tag behind its digest',
    { submods: withContainer({ image_digest: `${container.image_digest}:1` }) },
    format,
  ],
]

function withContainer(part: Json): Json {
  return { ...submods, container: { ...container, ...part } }
}
