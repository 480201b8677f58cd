/** Why a TPM's AK is worth something: the certificate of an EK and an enrolment, or a certificate of the AK itself. */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { decodeCbor } from '../../bytes/cbor-decode.ts'
import { isCborArray } from '../../bytes/cbor-encode.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import type { PublicKey } from '../../crypto/verify-signature.ts'
import { keyId } from '../../receipt/cose.ts'
import { EvidenceNotChecked, type PlatformEvidence } from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import {
  checkDates,
  checkIssuance,
  checkRoot,
  checkSigner,
  endsOf,
  type RootPins,
} from '../x509/chain.ts'
import { openSequence, toOidHex } from '../x509/der.ts'
import {
  checkNotRevoked,
  checkRevocationList,
  parseRevocationList,
} from '../x509/revocation-list.ts'
import { isSignedByChallenger, parseEnrolment, type SignedEnrolment } from './enrolment.ts'
import { tpmCollateral } from './tpm-evidence.ts'
import { tpmName, type TpmPublic } from './tpm-public.ts'

/** What endorses an AK, parsed. `chain` is root first and ends in the certificate of the EK or of the AK. */
export type TpmEndorsement =
  | {
      readonly kind: 'enrolment'
      readonly chain: readonly Certificate[]
      readonly enrolment: SignedEnrolment
    }
  | { readonly kind: 'certificate'; readonly chain: readonly Certificate[] }

const maxChainBytes = 32_768
const maxChain = 6
const rsaExponent = Uint8Array.of(1, 0, 1)
const extendedKeyUsage = toOidHex('2.5.29.37')
const subjectAlternativeName = toOidHex('2.5.29.17')
/** tcg-kp-EKCertificate: without it a certificate for any other use would do. */
const endorsementUse = toOidHex('2.23.133.8.1')
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
  if (record !== undefined && akChain !== undefined) {
    throw new EvidenceError('tpm-malformed', 'two endorsements')
  }
  if (record !== undefined) {
    const enrolment = parseEnrolment(record)
    return { kind: 'enrolment', enrolment, chain: enrolment.endorsementChain.map(parseCertificate) }
  }
  if (akChain === undefined) {
    throw new EvidenceNotChecked('collateral-missing', tpmCollateral.enrolment)
  }
  return { kind: 'certificate', chain: parseChain(akChain) }
}

/**
 * Refuses roots and challengers that are not pinned. A challenger's pin is the SHA-256 of its key, x ‖ y.
 *
 * @throws EvidenceError `chain-root-untrusted`, `tpm-challenger-untrusted`.
 */
export function checkEndorsementRoots(endorsement: TpmEndorsement, pins: RootPins): void {
  checkRoot(endorsement.chain, pins)
  if (endorsement.kind === 'certificate') return
  if (!pins.has(challengerPin(endorsement))) {
    throw new EvidenceError('tpm-challenger-untrusted')
  }
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
    if (!isSameKey(leaf.publicKey, toPublicKey(ak))) {
      throw new EvidenceError('tpm-enrolment-mismatch')
    }
    return
  }
  if (!isEndorsementCertificate(leaf)) throw new EvidenceError('tpm-endorsement-certificate')
  const { enrolment } = endorsement
  if (!(await isSignedByChallenger(enrolment))) throw new EvidenceError('tpm-enrolment-invalid')
  if (!equalBytes(enrolment.akName, await tpmName(ak)))
    throw new EvidenceError('tpm-enrolment-mismatch')
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
  // Written so that a time that is no number is refused.
  const isInForce = asOfMs >= notBeforeMs && asOfMs <= notAfterMs
  if (!isInForce) throw new EvidenceError('tpm-enrolment-not-valid')
}

/**
 * Refuses a revoked certificate. Each authority's list is the collateral `crl-` and its place in the chain, the root's
 * `crl-0`; those that are there are judged even when another is missing.
 *
 * @throws EvidenceNotChecked `collateral-missing`, EvidenceError `crl-…`, `certificate-revoked`.
 */
export async function checkEndorsementRevocation(
  { chain }: TpmEndorsement,
  { collateral }: PlatformEvidence,
  asOfMs: number,
): Promise<void> {
  let missing = ''
  let issuer: Certificate | undefined
  for (const [depth, certificate] of chain.entries()) {
    if (issuer !== undefined) {
      const name = `crl-${depth - 1}`
      const bytes = collateral.get(name)
      if (bytes === undefined) missing = name
      else {
        const list = parseRevocationList(bytes)
        await checkRevocationList(list, issuer, asOfMs)
        checkNotRevoked(list, certificate, asOfMs)
      }
    }
    issuer = certificate
  }
  if (missing !== '') throw new EvidenceNotChecked('collateral-missing', missing)
}

/** True for a certificate that says that its key is the EK of a TPM, and that is no authority. */
export function isEndorsementCertificate({ extensions, authority }: Certificate): boolean {
  const extension = extensions.get(extendedKeyUsage)
  if (extension === undefined || authority !== undefined) return false
  const uses = openSequence(extension.value, 'certificate-malformed')
  const found = new Set<string>()
  while (uses.peek() !== undefined) found.add(toHex(uses.take(6).content))
  return found.has(endorsementUse)
}

/** The key as signatures are verified with. */
export function toPublicKey(key: TpmPublic): PublicKey {
  return key.kind === 'ecc'
    ? { kind: 'ec', curve: key.curve, point: concatBytes(Uint8Array.of(4), key.point) }
    : { kind: 'rsa', modulus: key.modulus, exponent: rsaExponent }
}

/** True when both are one key. */
export function isSameKey(a: PublicKey, b: PublicKey): boolean {
  if (a.kind === 'ec') {
    return b.kind === 'ec' && a.curve === b.curve && equalBytes(a.point, b.point)
  }
  return b.kind === 'rsa' && equalBytes(a.modulus, b.modulus) && equalBytes(a.exponent, b.exponent)
}

function parseChain(bytes: Uint8Array): readonly Certificate[] {
  return decodeChain(bytes).map(parseCertificate)
}

function decodeChain(bytes: Uint8Array): readonly Uint8Array[] {
  try {
    const decoded = decodeCbor(bytes, maxChainBytes)
    const list = isCborArray(decoded) ? decoded : []
    const chain = list.filter((item) => item instanceof Uint8Array)
    if (chain.length > 0 && chain.length === list.length && chain.length <= maxChain) return chain
  } catch (cause) {
    throw new EvidenceError('tpm-malformed', 'AK chain', { cause })
  }
  throw new EvidenceError('tpm-malformed', 'AK chain')
}
