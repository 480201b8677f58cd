/** The machine's side of an enrolment: shows its EK certificate, and proves that its AK is in the same TPM. */
import {
  encodeEnrolmentRequest,
  parseCredential,
} from '@countersign/protocol/attestation/tpm/challenge'
import { AttestationError } from '../attestation-error.ts'
import { withoutPadding } from './stored-certificate.ts'
import { activateCredential } from './tpm-client.ts'
import { asMalformed } from './tpm-command.ts'
import { readNv } from './tpm-nv.ts'
import { endorsementCertificateIndex } from './tpm-templates.ts'
import { withAttestationKey, withEndorsementKey, withTpm } from './tpm-session.ts'
import type { TpmAddress } from './tpm-transport.ts'

/** What the challenger offers: a challenge for a request, and the record for the right answer. */
export type Challenger = {
  challenge(request: Uint8Array): Promise<{
    readonly id: string
    /** CBOR of the credential. */
    readonly credential: Uint8Array
  }>
  conclude(id: string, answer: Uint8Array): Promise<Uint8Array>
}

/**
 * Has the AK of a TPM enrolled and gives the signed record.
 *
 * @throws AttestationError, `attester-refused` when the TPM finds that the credential is for another key.
 */
export function enrolTpm(
  address: TpmAddress,
  timeoutMs: number,
  challenger: Challenger,
): Promise<Uint8Array> {
  return withTpm(address, timeoutMs, async (tpm) => {
    const stored = await readNv(tpm, endorsementCertificateIndex)
    if (stored === undefined) {
      throw new AttestationError('attester-malformed', 'the TPM has no RSA EK certificate')
    }
    const ekCertificate = withoutPadding(stored)
    return withEndorsementKey(tpm, (ek) =>
      withAttestationKey(tpm, async (ak) => {
        const request = encodeEnrolmentRequest({
          ekCertificate,
          ekPublic: ek.public.bytes,
          akPublic: ak.public.bytes,
        })
        const { id, credential } = await challenger.challenge(request)
        const parsed = asMalformed('credential', () => parseCredential(credential))
        const answer = await activateCredential(tpm, ak, ek, parsed)
        return challenger.conclude(id, answer)
      }),
    )
  })
}
