/** Tokens of Google Confidential Space (spec/attestation.md AT11.2): Google's word, one vendor's. */
import { isCborArray, isCborMap } from '../../bytes/cbor-encode.ts'
import type { JsonMap } from '../../bytes/json-decode.ts'
import { fromBase64url, fromHex, toHex } from '../../bytes/text-encoding.ts'
import type { Appraiser } from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimText, claimTexts, expectClaim, findClaim } from './claim.ts'
import { parseWebToken } from './web-token.ts'

/** The audience that a gateway asks for. */
export const confidentialSpaceAudience = 'countersign/keyset/v1'

const issuer = 'https://confidentialcomputing.googleapis.com'
const maxNonces = 6
const image = ['submods', 'container', 'image_digest']
const overrides = ['env_override', 'cmd_override']

type Workload = {
  readonly claims: JsonMap
  readonly nonces: readonly Uint8Array[]
  readonly imageDigest: string
  readonly hardware: string
  readonly instance: string
}

/** Appraises a token. Collateral: `key-set`. */
export const appraiseConfidentialSpace: Appraiser = (evidence, options) =>
  appraiseTokens(service, evidence, options)

const service: TokenService<Workload> = {
  platform: 'google-confidential-space',
  algorithm: 'RS256',
  isIssuer: (text) => text === issuer,
  parse(raw) {
    const token = parseWebToken(raw)
    const { claims } = token
    const said = {
      claims,
      nonces: parseNonces(claims),
      imageDigest: parseImageDigest(claims),
      hardware: claimText(claims, ['hwmodel']),
      instance: claimText(claims, ['submods', 'gce', 'instance_id']),
    }
    return { tokens: [token], said }
  },
  checkDebug({ claims }) {
    const isClosed = findClaim(claims, ['dbgstat']) === 'disabled-since-boot'
    if (!isClosed) throw new EvidenceError('debug-enabled')
  },
  checkConfiguration({ claims }) {
    const isForUs = findClaim(claims, ['aud']) === confidentialSpaceAudience
    if (!isForUs) throw new EvidenceError('token-audience-mismatch')
    // A plain virtual machine says GCE.
    expectClaim(claims, ['swname'], 'CONFIDENTIAL_SPACE')
    expectClaim(claims, ['secboot'], true)
  },
  describe: ({ claims, nonces, imageDigest, hardware, instance }) => ({
    binding: { form: 'sha256', values: nonces },
    measurements: new Map([['image', imageDigest]]),
    machine: instance,
    settings: [`hwmodel ${hardware}`, ...findDeviations(claims)],
  }),
}

/** Nonces that can be digests: others are of somebody else's. */
function parseNonces(claims: JsonMap): readonly Uint8Array[] {
  const texts = claimTexts(claims, ['eat_nonce'], maxNonces)
  return texts.map(fromBase64url).filter((nonce) => nonce !== undefined)
}

function parseImageDigest(claims: JsonMap): string {
  const [algorithm, hex = '', ...rest] = claimText(claims, image).split(':')
  const digest = fromHex(hex)
  if (algorithm !== 'sha256' || digest?.length !== 32 || rest.length > 0) {
    throw new EvidenceError('token-claim-missing', image.join('.'))
  }
  return toHex(digest)
}

/** What the operator changed beside the image, and an image of the system that Google does not call stable. */
function findDeviations(claims: JsonMap): readonly string[] {
  const support = findClaim(claims, ['submods', 'confidential_space', 'support_attributes'])
  const isStable = isCborArray(support) && support.includes('STABLE')
  const changed = overrides.filter((name) => {
    const value = findClaim(claims, ['submods', 'container', name]) ?? null
    const isEmpty = isCborArray(value) ? value.length === 0 : isCborMap(value) && value.size === 0
    return value !== null && !isEmpty
  })
  return isStable ? changed : ['not-stable', ...changed]
}
