/** What a quote is judged with: certificates, lists and statements, each parsed (spec/attestation.md AT7.3 to AT7.5). */
import { verifySignature } from '../../crypto/verify-signature.ts'
import { needCollateral, type PlatformEvidence } from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import { checkDates, checkIssuance, checkRoot, checkSigner, type RootPins } from '../x509/chain.ts'
import { parsePemCertificates } from '../x509/pem.ts'
import {
  checkNotRevoked,
  checkRevocationList,
  parseRevocationList,
} from '../x509/revocation-list.ts'
import type { Dated } from './statement.ts'

/** A statement of the vendor, and who signed it. */
export type SignedStatement<T extends Dated> = { readonly content: T; readonly chain: Chain }

/** Root first. */
export type Chain = readonly Certificate[]

const p256 = { name: 'ECDSA', hash: 'SHA-256' } as const

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
  const [, signer] = chain
  if (signer === undefined || chain.length > 2) throw new EvidenceError('chain-length')
  checkRoot(chain, roots)
  await checkIssuance(chain)
  checkSigner(signer)
  // The text as it came: written again it would be another.
  const isSigned = await verifiesP256(signer, signature, bytes)
  if (!isSigned) throw new EvidenceError('collateral-signature-invalid', name)
  return { content: parse(bytes), chain }
}

/** Whether the P-256 key of a certificate made the signature r ‖ s. */
export async function verifiesP256(
  { publicKey }: Certificate,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  const isP256 = publicKey.kind === 'ec' && publicKey.curve === 'P-256'
  return isP256 && (await verifySignature(publicKey, p256, signature, message))
}

/** Whether the P-256 key x ‖ y made the signature r ‖ s. */
export async function verifiesRawP256(
  key: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  const point = Uint8Array.of(4, ...key)
  return await verifySignature({ kind: 'ec', curve: 'P-256', point }, p256, signature, message)
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
    if (!(asOfMs >= content.issueMs)) throw new EvidenceError('collateral-not-yet-valid')
    if (asOfMs > content.nextUpdateMs) throw new EvidenceError('collateral-expired')
  }
}

/**
 * Refuses certificates that were revoked, by two lists that are in force: one of the root, and one of the authority
 * that certified this processor.
 *
 * @param pckChain - root, authority, processor.
 * @param signers - who signed the statements; the root issued them.
 * @throws EvidenceError `crl-…`, `certificate-revoked`; EvidenceNotChecked `collateral-missing`.
 */
export async function checkRevocation(
  evidence: PlatformEvidence,
  [root, authority, processor]: readonly [Certificate, Certificate, Certificate],
  signers: Chain,
  asOfMs: number,
): Promise<void> {
  const rootList = parseRevocationList(needCollateral(evidence, 'root-crl'))
  const authorityList = parseRevocationList(needCollateral(evidence, 'pck-crl'))
  await checkRevocationList(rootList, root, asOfMs)
  await checkRevocationList(authorityList, authority, asOfMs)
  for (const certificate of [authority, ...signers]) checkNotRevoked(rootList, certificate, asOfMs)
  checkNotRevoked(authorityList, processor, asOfMs)
}
