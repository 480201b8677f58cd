/** What the appraisals of all token services share (spec/attestation.md AT11). */
import { verifySignature, type SignatureScheme } from '../../crypto/verify-signature.ts'
import {
  createEvidenceRun,
  EvidenceNotChecked,
  needCollateral,
  needResult,
  type AppraisalOptions,
  type EvidenceAppraisal,
  type EvidenceClaims,
  type Platform,
  type PlatformEvidence,
} from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { claimInteger, claimText } from './claim.ts'
import { parseKeySet, type TokenKey } from './key-set.ts'
import type { WebToken } from './web-token.ts'

/** A service that judges evidence itself and says so in tokens. `T` is what its tokens say. */
export type TokenService<T> = {
  readonly platform: Platform
  readonly algorithm: 'RS256' | 'ES384'
  /** The tokens in the evidence, the one that speaks for all first. Required claims are taken here. */
  parse(raw: Uint8Array): { readonly tokens: readonly WebToken[]; readonly said: T }
  isIssuer(issuer: string): boolean
  checkDebug(said: T): void
  checkConfiguration(said: T): void
  describe(said: T): Pick<EvidenceClaims, 'binding' | 'measurements' | 'machine' | 'settings'>
}

type DatedToken = {
  readonly token: WebToken
  readonly key: TokenKey
  readonly issuer: string
  readonly issuedAtS: number
  readonly notBeforeS: number
  readonly expiresAtS: number
}

// What each name stands for is decided here, never by a token.
const schemes: Readonly<Record<TokenService<unknown>['algorithm'], SignatureScheme>> = {
  ES384: { name: 'ECDSA', hash: 'SHA-384' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
}

/**
 * Appraises the tokens of one service. Collateral: `key-set`, the JSON web key set as the service published it. The
 * pinned roots are thumbprints (RFC 7638) of its keys: a set that travels with a token proves nothing by itself.
 */
export async function appraiseTokens<T>(
  service: TokenService<T>,
  evidence: PlatformEvidence,
  { asOfMs, roots }: AppraisalOptions,
): Promise<EvidenceAppraisal> {
  const run = createEvidenceRun()
  const parsed = await run.check('format', () => {
    const { tokens, said } = service.parse(evidence.raw)
    const keys = parseKeySet(needCollateral(evidence, 'key-set'))
    return { said, tokens: tokens.map((token) => toDated(token, keys)) }
  })
  await run.check('root', () => {
    const arePinned = needResult(parsed).tokens.every(({ key }) => roots.has(key.thumbprint))
    if (!arePinned) throw new EvidenceError('chain-root-untrusted')
  })
  await run.check('chain', () => {
    const areOfService = needResult(parsed).tokens.every(({ issuer }) => service.isIssuer(issuer))
    if (!areOfService) throw new EvidenceError('token-issuer-mismatch')
  })
  await run.check('validity', () => {
    for (const token of needResult(parsed).tokens) checkTimes(token, asOfMs)
  })
  await run.check('revocation', () => {
    throw new EvidenceNotChecked('platform-has-none')
  })
  await run.check('signature', async () => {
    for (const token of needResult(parsed).tokens) await checkSignature(token, service.algorithm)
  })
  await run.check('debug', () => {
    service.checkDebug(needResult(parsed).said)
  })
  await run.check('configuration', () => {
    service.checkConfiguration(needResult(parsed).said)
  })
  const appraisal = { platform: service.platform, checks: run.checks }
  const [first] = parsed?.value.tokens ?? []
  if (parsed === undefined || first === undefined) return appraisal
  const claims: EvidenceClaims = {
    root: first.key.thumbprint,
    tcb: { kind: 'none' },
    timeMs: first.issuedAtS * 1000,
    ...service.describe(parsed.value.said),
  }
  return { ...appraisal, claims }
}

function toDated(token: WebToken, keys: ReadonlyMap<string, TokenKey>): DatedToken {
  const key = keys.get(token.keyId)
  if (key === undefined) throw new EvidenceError('token-key-unknown')
  const issuedAtS = claimInteger(token.claims, ['iat'])
  return {
    token,
    key,
    issuer: claimText(token.claims, ['iss']),
    issuedAtS,
    notBeforeS: token.claims.has('nbf') ? claimInteger(token.claims, ['nbf']) : issuedAtS,
    expiresAtS: claimInteger(token.claims, ['exp']),
  }
}

/** Written so that a time that is no number is refused. */
function checkTimes({ issuedAtS, notBeforeS, expiresAtS }: DatedToken, asOfMs: number): void {
  if (!(asOfMs >= Math.max(issuedAtS, notBeforeS) * 1000)) {
    throw new EvidenceError('token-not-yet-valid')
  }
  if (asOfMs > expiresAtS * 1000) throw new EvidenceError('token-expired')
}

async function checkSignature(
  { token, key }: DatedToken,
  algorithm: TokenService<unknown>['algorithm'],
): Promise<void> {
  if (token.algorithm !== algorithm) throw new EvidenceError('token-algorithm')
  const { signature, signedBytes } = token
  const isSigned = await verifySignature(key.publicKey, schemes[algorithm], signature, signedBytes)
  if (!isSigned) throw new EvidenceError('evidence-signature-invalid')
}
