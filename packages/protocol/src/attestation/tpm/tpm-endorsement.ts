/** Why a TPM's AK is worth something: the certificate of an EK and an enrolment, or a certificate of the AK itself. */
import { equalBytes } from '../../bytes/byte-string.ts'
import { decodeCbor } from '../../bytes/cbor-decode.ts'
import { isCborArray } from '../../bytes/cbor-encode.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { keyId } from '../../receipt/cose.ts'
import { EvidenceNotChecked, type PlatformEvidence } from '../appraisal.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { isSameKey } from '../x509/algorithm.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import {
  checkDates,
  checkIssuance,
  checkRoot,
  checkSigner,
  endsOf,
  type RootPins,
} from '../x509/chain.ts'
import { openSequence } from '../x509/der.ts'
import { oidTag } from '../x509/der-numbers.ts'
import { checkRevocation } from '../x509/revocation-list.ts'
import { isSignedByChallenger, parseEnrolment, type SignedEnrolment } from './enrolment.ts'
import { tpmCollateral } from './tpm-evidence.ts'
import { tpmName, type TpmPublic } from './tpm-public.ts'
import { maxEnrolmentBytes, maxTpmChain } from '../limits.ts'

/** What endorses an AK, parsed. `chain` is root first and ends in the certificate of the EK or of the AK. */
export type TpmEndorsement =
  | {
      readonly kind: 'enrolment'
      readonly chain: readonly Certificate[]
      readonly enrolment: SignedEnrolment
    }
  | { readonly kind: 'certificate'; readonly chain: readonly Certificate[] }

// 2.5.29.37 and 2.5.29.17.
const extendedKeyUsage = '551d25'
const subjectAlternativeName = '551d11'
/** tcg-kp-EKCertificate, 2.23.133.8.1: without it a certificate for any other use would do. */
const endorsementUse = '6781050801'
/** EK certificates name the TPM there, critical where the subject is empty; the name is for people. */
export const understoodInEndorsement: ReadonlySet<string> = new Set([
  extendedKeyUsage,
  subjectAlternativeName,
])

/**
 * The endorsement that came with evidence.
 *
 * @throws EvidenceNotChecked `collateral-missing`, EvidenceError `tpm-malformed`, `certificate-…`.
 */
export function parseEndorsement({ collateral }: PlatformEvidence): TpmEndorsement {
  const record = collateral.get(tpmCollateral.enrolment)
  const akChain = collateral.get(tpmCollateral.akChain)
  if (record !== undefined) {
    refuseUnless(akChain === undefined, 'tpm-malformed', 'two endorsements')
    const enrolment = parseEnrolment(record)
    return { kind: 'enrolment', enrolment, chain: enrolment.endorsementChain.map(parseCertificate) }
  }
  if (akChain === undefined) {
    throw new EvidenceNotChecked('collateral-missing', tpmCollateral.enrolment)
  }
  return { kind: 'certificate', chain: decodeChain(akChain).map(parseCertificate) }
}

/**
 * Refuses roots and challengers that are not pinned. A challenger's pin is the SHA-256 of its key, x ‖ y.
 *
 * @throws EvidenceError `chain-root-untrusted`, `tpm-challenger-untrusted`.
 */
export function checkEndorsementRoots(endorsement: TpmEndorsement, pins: RootPins): void {
  checkRoot(endorsement.chain, pins)
  const isTrusted = endorsement.kind === 'certificate' || pins.has(challengerPin(endorsement))
  refuseUnless(isTrusted, 'tpm-challenger-untrusted')
}

/** The pin of the challenger that an enrolment rests on. */
export function challengerPin({
  enrolment,
}: TpmEndorsement & { readonly kind: 'enrolment' }): string {
  return toHex(keyId(enrolment.challengerKey))
}

/**
 * Refuses an endorsement that does not hold, or holds for another key.
 *
 * @throws EvidenceError `chain-…`, `certificate-extension-critical`, `tpm-endorsement-certificate`,
 *   `tpm-enrolment-invalid`, `tpm-enrolment-mismatch`.
 */
export async function checkEndorsement(endorsement: TpmEndorsement, ak: TpmPublic): Promise<void> {
  await checkIssuance(endorsement.chain, understoodInEndorsement)
  const { leaf } = endsOf(endorsement.chain)
  if (endorsement.kind === 'certificate') {
    checkSigner(leaf)
    refuseUnless(isSameKey(leaf.publicKey, ak.key), 'tpm-enrolment-mismatch')
    return
  }
  refuseUnless(isEndorsementCertificate(leaf), 'tpm-endorsement-certificate')
  const { enrolment } = endorsement
  refuseUnless(await isSignedByChallenger(enrolment), 'tpm-enrolment-invalid')
  refuseUnless(equalBytes(enrolment.akName, await tpmName(ak)), 'tpm-enrolment-mismatch')
}

/**
 * Refuses certificates and enrolments outside their dates, both included.
 *
 * @throws EvidenceError `certificate-not-yet-valid`, `certificate-expired`, `tpm-enrolment-not-valid`.
 */
export function checkEndorsementDates(endorsement: TpmEndorsement, asOfMs: number): void {
  checkDates(endorsement.chain, asOfMs)
  if (endorsement.kind === 'certificate') return
  const { notBeforeMs, notAfterMs } = endorsement.enrolment
  refuseUnless(asOfMs >= notBeforeMs && asOfMs <= notAfterMs, 'tpm-enrolment-not-valid')
}

/**
 * Refuses a revoked certificate. Each authority's list is the collateral `crl-` and its place in the chain, the root's
 * `crl-0`; those that are there are judged even when another is missing.
 *
 * @throws EvidenceNotChecked `collateral-missing`, EvidenceError `crl-…`, `certificate-revoked`.
 */
export async function checkEndorsementRevocation(
  { chain }: TpmEndorsement,
  evidence: PlatformEvidence,
  asOfMs: number,
): Promise<void> {
  let missing: string | undefined
  for (const [depth, issuer] of chain.slice(0, -1).entries()) {
    const name = `crl-${depth}`
    const issued = chain.slice(depth + 1, depth + 2)
    if (evidence.collateral.has(name)) {
      await checkRevocation(evidence, name, issuer, issued, asOfMs)
    } else missing = name
  }
  if (missing !== undefined) throw new EvidenceNotChecked('collateral-missing', missing)
}

/** True for a certificate that says that its key is the EK of a TPM, and that is no authority. */
export function isEndorsementCertificate({ extensions, authority }: Certificate): boolean {
  const extension = extensions.get(extendedKeyUsage)
  if (extension === undefined || authority !== undefined) return false
  const uses = openSequence(extension.value, 'certificate-malformed')
  const found = new Set<string>()
  while (uses.peek() !== undefined) found.add(toHex(uses.take(oidTag).content))
  return found.has(endorsementUse)
}

function decodeChain(bytes: Uint8Array): readonly Uint8Array[] {
  try {
    const decoded = decodeCbor(bytes, maxEnrolmentBytes)
    const list = isCborArray(decoded) ? decoded : []
    const chain = list.filter((item) => item instanceof Uint8Array)
    if (chain.length > 0 && chain.length === list.length && chain.length <= maxTpmChain)
      return chain
  } catch (cause) {
    refuse('tpm-malformed', 'AK chain', cause)
  }
  return refuse('tpm-malformed', 'AK chain')
}
