/** Reports that the last key of a P-384 chain signs, as those of AWS and NVIDIA are (spec/attestation.md AT3). */
import { verifySignature } from '../crypto/verify-signature.ts'
import {
  needCollateral,
  needResult,
  type AppraisalOptions,
  type EvidenceResult,
  type EvidenceRun,
  type PlatformEvidence,
} from './appraisal.ts'
import { EvidenceError } from './evidence-errors.ts'
import type { Certificate } from './x509/certificate.ts'
import { checkDates, checkIssuance, checkRoot, checkSigner, endsOf } from './x509/chain.ts'
import {
  checkNotRevoked,
  checkRevocationList,
  parseRevocationList,
} from './x509/revocation-list.ts'

/** A parsed report: the chain root first, the signature r ‖ s. */
export type SignedReport = {
  readonly chain: readonly Certificate[]
  readonly signedBytes: Uint8Array
  readonly signature: Uint8Array
}

// Root and leaf included. The parsers of both platforms take ten at most.
const minimumLength = 3
// The list of the issuer at this depth of the chain. The vendors publish none for those below.
const listNames = ['root-crl', 'intermediate-crl']

/** Runs the checks from `root` to `signature` on the report that the check `format` gave. */
export async function checkSignedReport(
  run: EvidenceRun,
  report: EvidenceResult<SignedReport>,
  evidence: PlatformEvidence,
  { asOfMs, roots }: AppraisalOptions,
): Promise<void> {
  await run.check('root', () => {
    checkRoot(needResult(report).chain, roots)
  })
  await run.check('chain', () => checkChain(needResult(report).chain))
  await run.check('validity', () => {
    checkDates(needResult(report).chain, asOfMs)
  })
  await run.check('revocation', () => checkRevocation(needResult(report).chain, evidence, asOfMs))
  await run.check('signature', () => checkSignature(needResult(report)))
}

async function checkChain(chain: readonly Certificate[]): Promise<void> {
  if (chain.length < minimumLength) throw new EvidenceError('chain-length')
  for (const { publicKey } of chain) {
    const isTaken = publicKey.kind === 'ec' && publicKey.curve === 'P-384'
    if (!isTaken) throw new EvidenceError('certificate-key')
  }
  await checkIssuance(chain)
  checkSigner(endsOf(chain).leaf)
}

async function checkRevocation(
  chain: readonly Certificate[],
  evidence: PlatformEvidence,
  asOfMs: number,
): Promise<void> {
  for (const [depth, name] of listNames.entries()) {
    const [issuer, certificate] = chain.slice(depth)
    if (issuer === undefined || certificate === undefined) throw new EvidenceError('chain-length')
    const list = parseRevocationList(needCollateral(evidence, name))
    await checkRevocationList(list, issuer, asOfMs)
    checkNotRevoked(list, certificate, asOfMs)
  }
}

async function checkSignature({ chain, signedBytes, signature }: SignedReport): Promise<void> {
  const { publicKey } = endsOf(chain).leaf
  const scheme = { name: 'ECDSA', hash: 'SHA-384' } as const
  const isSigned = await verifySignature(publicKey, scheme, signature, signedBytes)
  if (!isSigned) throw new EvidenceError('evidence-signature-invalid')
}
