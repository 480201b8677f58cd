/** What the appraisals of all token services share (spec/attestation.md AT11). */
import { verifySignature, type SignatureScheme } from '../../crypto/verify-signature.ts'
import {
  createEvidenceRun,
  EvidenceNotChecked,
  needCollateral,
  needResult,
  toAppraisal,
  type AppraisalOptions,
  type EvidenceAppraisal,
  type EvidenceClaims,
  type Platform,
  type PlatformEvidence,
} from '../appraisal.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { maxTokenLeadMs } from '../limits.ts'
import { claimInteger, claimText } from './claim.ts'
import { parseKeySet, type TokenKey } from './key-set.ts'
import type { WebToken } from './web-token.ts'

/** A service that judges evidence itself and says so in tokens. */
export type TokenService = {
  readonly platform: Platform
  readonly algorithm: 'RS256' | 'ES384'
  readonly issuer: RegExp
  /** Reads what is in the evidence. Required claims are taken here. */
  readonly parse: (raw: Uint8Array) => TokenReading
}

/** What the tokens of evidence say. */
export type TokenReading = {
  /** The one that speaks for all first. */
  readonly tokens: readonly [WebToken, ...WebToken[]]
  readonly isDebug: boolean
  readonly checkConfiguration: () => void
  readonly claims: Pick<EvidenceClaims, 'binding' | 'measurements' | 'machine' | 'settings'>
}

// What each name stands for is decided here, never by a token.
const schemes: Readonly<Record<TokenService['algorithm'], SignatureScheme>> = {
  ES384: { name: 'ECDSA', hash: 'SHA-384' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
}

/**
 * Appraises the tokens of one service. Collateral: `key-set`, the JSON web key set as the service published it. The
 * pinned roots are thumbprints (RFC 7638) of its keys: a set that travels with a token proves nothing by itself.
 */
export async function appraiseTokens(
  { platform, algorithm, issuer, parse }: TokenService,
  evidence: PlatformEvidence,
  { asOfMs, roots }: AppraisalOptions,
): Promise<EvidenceAppraisal> {
  const run = createEvidenceRun()
  const parsed = await run.check('format', () => {
    const reading = parse(evidence.raw)
    const keys = parseKeySet(needCollateral(evidence, 'key-set'))
    const keyOf = ({ keyId }: WebToken): TokenKey => keys.get(keyId) ?? refuse('token-key-unknown')
    const signed = reading.tokens.map((token) => ({
      ...token,
      key: keyOf(token),
      issuer: claimText(token.claims, 'iss'),
      issuedAtS: claimInteger(token.claims, 'iat'),
      notBeforeS: token.claims.has('nbf') ? claimInteger(token.claims, 'nbf') : 0,
      expiresAtS: claimInteger(token.claims, 'exp'),
    }))
    return { reading, signed, root: keyOf(reading.tokens[0]).thumbprint }
  })
  await run.check('root', () => {
    for (const { key } of needResult(parsed).signed) {
      refuseUnless(roots.has(key.thumbprint), 'chain-root-untrusted')
    }
  })
  await run.check('chain', () => {
    for (const token of needResult(parsed).signed) {
      refuseUnless(issuer.test(token.issuer), 'token-issuer-mismatch')
    }
  })
  await run.check('validity', () => {
    for (const { issuedAtS, notBeforeS, expiresAtS } of needResult(parsed).signed) {
      const beginsMs = Math.max(issuedAtS, notBeforeS) * 1000
      // A keyset is dated before its token is asked for.
      refuseUnless(asOfMs >= beginsMs - maxTokenLeadMs, 'token-not-yet-valid')
      refuseUnless(asOfMs <= expiresAtS * 1000, 'token-expired')
    }
  })
  await run.check('revocation', () => {
    throw new EvidenceNotChecked('platform-has-none')
  })
  await run.check('signature', async () => {
    for (const { key, signature, signedBytes, ...token } of needResult(parsed).signed) {
      refuseUnless(token.algorithm === algorithm, 'token-algorithm')
      const scheme = schemes[algorithm]
      const isSigned = await verifySignature(key.publicKey, scheme, signature, signedBytes)
      refuseUnless(isSigned, 'evidence-signature-invalid')
    }
  })
  await run.check('debug', () => {
    refuseUnless(!needResult(parsed).reading.isDebug, 'debug-enabled')
  })
  await run.check('configuration', () => {
    needResult(parsed).reading.checkConfiguration()
  })
  return toAppraisal(platform, run, parsed, ({ reading, root }) => ({
    root,
    tcb: { kind: 'none' },
    timeMs: claimInteger(reading.tokens[0].claims, 'iat') * 1000,
    ...reading.claims,
  }))
}
