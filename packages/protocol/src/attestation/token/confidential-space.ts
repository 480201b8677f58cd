/** Tokens of Google Confidential Space (spec/attestation.md AT11.2): Google's word, one vendor's. */
import { isCborArray, isCborMap } from '../../bytes/cbor-encode.ts'
import type { JsonMap } from '../../bytes/json-decode.ts'
import { fromBase64url } from '../../bytes/text-encoding.ts'
import type { Appraiser } from '../appraisal.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimText, claimTexts, expectClaim, findClaim } from './claim.ts'
import { parseWebToken } from './web-token.ts'
import { maxNonces } from '../limits.ts'

/** The audience that a gateway asks for. */
export const confidentialSpaceAudience = 'countersign/keyset/v1'

const imageClaim = 'submods.container.image_digest'
const imageForm = /^sha256:([0-9a-f]{64})$/
const overrides = ['env_override', 'cmd_override']

/** Appraises a token. Collateral: `key-set`. */
export const appraiseConfidentialSpace: Appraiser = (evidence, options) =>
  appraiseTokens(service, evidence, options)

const service: TokenService = {
  platform: 'google-confidential-space',
  algorithm: 'RS256',
  issuer: /^https:\/\/confidentialcomputing\.googleapis\.com$/,
  parse(raw) {
    const token = parseWebToken(raw)
    const { claims } = token
    const nonces = claimTexts(claims, 'eat_nonce', maxNonces)
    const image = imageForm.exec(claimText(claims, imageClaim))?.[1]
    return {
      tokens: [token],
      isDebug: findClaim(claims, 'dbgstat') !== 'disabled-since-boot',
      checkConfiguration() {
        const isForUs = findClaim(claims, 'aud') === confidentialSpaceAudience
        refuseUnless(isForUs, 'token-audience-mismatch')
        // A plain virtual machine says GCE.
        expectClaim(claims, 'swname', 'CONFIDENTIAL_SPACE')
        expectClaim(claims, 'secboot', true)
      },
      claims: {
        // Nonces that can be digests: others are of somebody else's.
        binding: {
          form: 'sha256',
          values: nonces.map(fromBase64url).filter((nonce) => nonce !== undefined),
        },
        measurements: new Map([['image', image ?? refuse('token-claim-missing', imageClaim)]]),
        settings: [`hwmodel ${claimText(claims, 'hwmodel')}`, ...findDeviations(claims)],
        machine: claimText(claims, 'submods.gce.instance_id'),
      },
    }
  },
}

/** What the operator changed beside the image, and an image of the system that Google does not call stable. */
function findDeviations(claims: JsonMap): readonly string[] {
  const support = findClaim(claims, 'submods.confidential_space.support_attributes')
  const isStable = isCborArray(support) && support.includes('STABLE')
  const changed = overrides.filter((name) => {
    const value = findClaim(claims, `submods.container.${name}`) ?? null
    const isEmpty = isCborArray(value) ? value.length === 0 : isCborMap(value) && value.size === 0
    return value !== null && !isEmpty
  })
  return isStable ? changed : ['not-stable', ...changed]
}
