/** Enrolment of a TPM: a challenger's word that this AK lives in the TPM with that EK (spec/attestation.md). */
import { equalBytes } from '../../bytes/byte-string.ts'
import { encodeCbor, type CborValue } from '../../bytes/cbor-encode.ts'
import type { Es256Signer } from '../../crypto/es256.ts'
import { ProtocolError } from '../../errors.ts'
import {
  judgeCoseSignature,
  keyId,
  parseCoseHeader,
  parseCoseSign1,
  signCoseSign1,
  type CoseSign1,
} from '../../receipt/cose.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { readTpmMap } from './tpm-map.ts'
import { maxEnrolmentBytes, maxTpmChain } from '../limits.ts'

/** What a challenger states after ActivateCredential gave back its secret. Times are milliseconds. */
export type Enrolment = {
  /** x ‖ y of the challenger's P-256 key. */
  readonly challengerKey: Uint8Array
  /** DER, from the root to the EK certificate, both included. */
  readonly endorsementChain: readonly Uint8Array[]
  /** Name of the AK. */
  readonly akName: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** An enrolment as it came, with what is needed to judge its signature. */
export type SignedEnrolment = Enrolment & { readonly cose: CoseSign1; readonly kid: Uint8Array }

const contentType = 'application/countersign-tpm-enrolment+cbor'
const maxCertificateBytes = 8192

/** Signs an enrolment record. */
export function createEnrolment(
  input: Omit<Enrolment, 'challengerKey'>,
  challenger: Es256Signer,
): Uint8Array {
  const payload = new Map<number, CborValue>([
    [1, 1],
    [2, challenger.publicKey],
    [3, input.endorsementChain],
    [4, input.akName],
    [5, input.notBeforeMs],
    [6, input.notAfterMs],
  ])
  return signCoseSign1(contentType, [], encodeCbor(payload), challenger)
}

/**
 * Parses an enrolment record; the signature is not judged.
 *
 * @throws EvidenceError `tpm-malformed`.
 */
export function parseEnrolment(bytes: Uint8Array): SignedEnrolment {
  try {
    return readEnrolment(bytes)
  } catch (cause) {
    throw new EvidenceError('tpm-malformed', 'enrolment', { cause })
  }
}

/** Whether the challenger that the record names has signed it. */
export async function isSignedByChallenger(enrolment: SignedEnrolment): Promise<boolean> {
  const { cose, kid, challengerKey } = enrolment
  const refused = await judgeCoseSignature(cose, challengerKey)
  return refused === undefined && equalBytes(kid, keyId(challengerKey))
}

function readEnrolment(bytes: Uint8Array): SignedEnrolment {
  const cose = parseCoseSign1(bytes, maxEnrolmentBytes)
  const { kid } = parseCoseHeader(cose.protectedBytes, contentType, [])
  return readTpmMap(cose.payloadBytes, maxEnrolmentBytes, [2, 3, 4, 5, 6], (fields) => ({
    cose,
    kid,
    challengerKey: fields.bytes(2, 64, 64),
    endorsementChain: fields.array(3, 1, maxTpmChain).map(toCertificate),
    akName: fields.bytes(4, 34, 50),
    notBeforeMs: fields.integer(5),
    notAfterMs: fields.integer(6),
  }))
}

function toCertificate(value: CborValue): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length > maxCertificateBytes) {
    throw new ProtocolError('evidence-malformed')
  }
  return value
}
