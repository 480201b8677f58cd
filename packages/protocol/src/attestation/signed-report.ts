/** Reports that the last key of a P-384 chain signs, as those of AWS and NVIDIA are (spec/attestation.md AT3). */
import {
  needResult,
  type AppraisalOptions,
  type EvidenceResult,
  type EvidenceRun,
  type PlatformEvidence,
} from './appraisal.ts'
import { refuseUnless } from './evidence-errors.ts'
import { checkEcdsa } from './x509/algorithm.ts'
import type { Certificate } from './x509/certificate.ts'
import { checkDates, checkIssuance, checkRoot, checkSigner, endsOf } from './x509/chain.ts'
import { checkRevocation } from './x509/revocation-list.ts'
import { minSignedReportChain } from './limits.ts'

/** A parsed report: the chain root first, the signature r ‖ s. */
export type SignedReport = {
  readonly chain: readonly Certificate[]
  readonly signedBytes: Uint8Array
  readonly signature: Uint8Array
}

// Root and leaf included. The parsers of both platforms take ten at most.
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
  await run.check('revocation', async () => {
    const { chain } = needResult(report)
    for (const [depth, name] of listNames.entries()) {
      const [issuer, certificate] = chain.slice(depth)
      refuseUnless(issuer !== undefined && certificate !== undefined, 'chain-length')
      await checkRevocation(evidence, name, issuer, [certificate], asOfMs)
    }
  })
  await run.check('signature', () => {
    const { chain, signature, signedBytes } = needResult(report)
    return checkEcdsa(endsOf(chain).leaf.publicKey, 384, signature, signedBytes)
  })
}

async function checkChain(chain: readonly Certificate[]): Promise<void> {
  refuseUnless(chain.length >= minSignedReportChain, 'chain-length')
  for (const { publicKey } of chain) refuseUnless(publicKey.kind === 'P-384', 'certificate-key')
  await checkIssuance(chain)
  checkSigner(endsOf(chain).leaf)
}
