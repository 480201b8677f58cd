/** The challenger's side of an enrolment: is this AK in the TPM that the EK certificate is for? */
import { equalBytes } from '../../bytes/byte-string.ts'
import { encodeCbor } from '../../bytes/cbor-encode.ts'
import type { Es256Signer } from '../../crypto/es256.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { isSameKey } from '../x509/algorithm.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import { checkDates, checkIssuance, checkRoot, type RootPins } from '../x509/chain.ts'
import { createEnrolment } from './enrolment.ts'
import { makeCredential, type TpmCredential } from './make-credential.ts'
import { isEndorsementCertificate, understoodInEndorsement } from './tpm-endorsement.ts'
import { readTpmMap } from './tpm-map.ts'
import { isAttestationKey, parseTpmPublic, tpmName } from './tpm-public.ts'
import { maxTpmChain } from '../limits.ts'

/** What a machine asks to have enrolled: DER of the EK certificate, TPMT_PUBLIC of both keys. */
export type EnrolmentRequest = {
  readonly ekCertificate: Uint8Array
  readonly ekPublic: Uint8Array
  readonly akPublic: Uint8Array
}

/** Which makers of TPMs a challenger trusts. `certificates`: roots and intermediates, DER in any order. */
export type EndorsementAuthorities = {
  readonly roots: RootPins
  readonly certificates: readonly Uint8Array[]
}

/** A challenge under way. It stays with the challenger: `secret` is what the machine has to give back. */
export type TpmChallenge = {
  readonly credential: TpmCredential
  readonly endorsementChain: readonly Uint8Array[]
  readonly akName: Uint8Array
  readonly secret: Uint8Array
}

const maxRequestBytes = 16_384
const maxPartBytes = 8192

/** The bytes of a request. */
export function encodeEnrolmentRequest(request: EnrolmentRequest): Uint8Array {
  return encodeCbor(
    new Map<number, number | Uint8Array>([
      [1, 1],
      [2, request.ekCertificate],
      [3, request.ekPublic],
      [4, request.akPublic],
    ]),
  )
}

/** The bytes of what the challenger sends back. */
export function encodeCredential({ idObject, encryptedSecret }: TpmCredential): Uint8Array {
  return encodeCbor(
    new Map<number, number | Uint8Array>([
      [1, 1],
      [2, idObject],
      [3, encryptedSecret],
    ]),
  )
}

/**
 * Parses what a challenger sent.
 *
 * @throws EvidenceError `tpm-malformed`.
 */
export function parseCredential(bytes: Uint8Array): TpmCredential {
  return readTpmMap(bytes, maxRequestBytes, [2, 3], (fields) => ({
    idObject: fields.bytes(2, 1, maxPartBytes),
    encryptedSecret: fields.bytes(3, 1, maxPartBytes),
  }))
}

/**
 * Judges a request and makes a challenge for it. `random`: 32 bytes each, new for every challenge.
 *
 * @throws EvidenceError `tpm-malformed`, `tpm-key`, `tpm-endorsement-certificate`, `certificate-…`, `chain-…`.
 */
export async function challengeTpm(
  request: Uint8Array,
  authorities: EndorsementAuthorities,
  asOfMs: number,
  random: { readonly secret: Uint8Array; readonly seed: Uint8Array },
): Promise<TpmChallenge> {
  const { ekCertificate, ekPublic, akPublic } = parseRequest(request)
  const certificate = parseCertificate(ekCertificate)
  const ek = parseTpmPublic(ekPublic)
  const ak = parseTpmPublic(akPublic)
  if (!isAttestationKey(ak)) throw new EvidenceError('tpm-key')
  if (!isEndorsementCertificate(certificate) || !isSameKey(certificate.publicKey, ek.key)) {
    throw new EvidenceError('tpm-endorsement-certificate')
  }
  const chain = buildChain(certificate, authorities.certificates.map(parseCertificate))
  checkRoot(chain, authorities.roots)
  await checkIssuance(chain, understoodInEndorsement)
  checkDates(chain, asOfMs)
  const akName = await tpmName(ak)
  return {
    credential: await makeCredential(ek, akName, random.secret, random.seed),
    endorsementChain: chain.map(({ encoded }) => encoded),
    akName,
    secret: random.secret,
  }
}

/**
 * The signed record, when the machine gave back the secret. A challenge is for one answer, right or wrong.
 *
 * @throws EvidenceError `tpm-challenge-failed`.
 */
export function concludeChallenge(
  challenge: TpmChallenge,
  answer: Uint8Array,
  challenger: Es256Signer,
  dates: { readonly notBeforeMs: number; readonly notAfterMs: number },
): Uint8Array {
  // The secret is used once: nothing is learnt from how long a comparison takes.
  if (!equalBytes(answer, challenge.secret)) throw new EvidenceError('tpm-challenge-failed')
  const { endorsementChain, akName } = challenge
  return createEnrolment({ endorsementChain, akName, ...dates }, challenger)
}

function parseRequest(bytes: Uint8Array): EnrolmentRequest {
  return readTpmMap(bytes, maxRequestBytes, [2, 3, 4], (fields) => ({
    ekCertificate: fields.bytes(2, 1, maxPartBytes),
    ekPublic: fields.bytes(3, 1, maxPartBytes),
    akPublic: fields.bytes(4, 1, maxPartBytes),
  }))
}

/** Root first, by the names of issuers; ends where nobody is the issuer, which no pin will match. */
function buildChain(
  leaf: Certificate,
  authorities: readonly Certificate[],
): readonly Certificate[] {
  const chain = [leaf]
  for (let below = leaf; chain.length < maxTpmChain;) {
    const { issuer } = below
    const isRoot = equalBytes(issuer, below.subject)
    const above = isRoot
      ? undefined
      : authorities.find(({ subject }) => equalBytes(subject, issuer))
    if (above === undefined) break
    chain.unshift(above)
    below = above
  }
  return chain
}
