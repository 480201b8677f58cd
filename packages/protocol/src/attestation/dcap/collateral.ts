/** What a quote is judged with: certificates, lists and statements, each parsed (spec/attestation.md AT7.3 to AT7.5). */
import { needCollateral, type PlatformEvidence } from '../appraisal.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { checkEcdsa } from '../x509/algorithm.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import { checkDates, checkIssuance, checkRoot, checkSigner, type RootPins } from '../x509/chain.ts'
import { parsePemCertificates } from '../x509/pem.ts'
import type { Dated } from './statement.ts'

/** A statement of the vendor, and who signed it. */
export type SignedStatement<T extends Dated> = { readonly content: T; readonly chain: Chain }

/** Root first. */
export type Chain = readonly Certificate[]

/**
 * The certificates of a PEM text that has the leaf first, root first.
 *
 * @throws EvidenceError `pem-malformed`, `certificate-…`.
 */
export function parseChain(pem: Uint8Array): Chain {
  return parsePemCertificates(pem).map(parseCertificate).toReversed()
}

/**
 * A statement whose signature verifies, by a chain of two under one of these roots.
 *
 * @throws EvidenceError `collateral-malformed`, `collateral-signature-invalid`, refusals of its chain;
 *   EvidenceNotChecked `collateral-missing`.
 */
export async function openStatement<T extends Dated>(
  evidence: PlatformEvidence,
  name: 'tcb-info' | 'qe-identity',
  parse: (bytes: Uint8Array) => T,
  roots: RootPins,
): Promise<SignedStatement<T>> {
  const bytes = needCollateral(evidence, name)
  const signature = needCollateral(evidence, `${name}-signature`)
  const chain = parseChain(needCollateral(evidence, `${name}-chain`))
  const signer = chain[1] ?? refuse('chain-length')
  refuseUnless(chain.length === 2, 'chain-length')
  checkRoot(chain, roots)
  await checkIssuance(chain)
  checkSigner(signer)
  // The text as it came: written again it would be another.
  await checkEcdsa(signer.publicKey, 256, signature, bytes, 'collateral-signature-invalid', name)
  return { content: parse(bytes), chain }
}

/**
 * Refuses certificates and statements that had not begun or had ended.
 *
 * @throws EvidenceError `certificate-…`, `collateral-not-yet-valid`, `collateral-expired`.
 */
export function checkAllDates(
  pckChain: Chain,
  statements: readonly SignedStatement<Dated>[],
  asOfMs: number,
): void {
  checkDates(pckChain, asOfMs)
  for (const { chain, content } of statements) {
    checkDates(chain, asOfMs)
    refuseUnless(asOfMs >= content.issueMs, 'collateral-not-yet-valid')
    refuseUnless(asOfMs <= content.nextUpdateMs, 'collateral-expired')
  }
}
