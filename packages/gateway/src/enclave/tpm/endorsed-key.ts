/** The key that quotes, and why anybody should believe that it is in a TPM. */
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { parseEnrolment } from '@countersign/protocol/attestation/tpm/enrolment'
import { isSameKey } from '@countersign/protocol/attestation/x509/algorithm'
import { tpmCollateral } from '@countersign/protocol/attestation/tpm/tpm-evidence'
import { tpmName } from '@countersign/protocol/attestation/tpm/tpm-public'
import { parseCertificate } from '@countersign/protocol/attestation/x509/certificate'
import { AttestationError } from '../attestation-error.ts'
import { asMalformed } from './tpm-command.ts'
import { readNv } from './tpm-nv.ts'
import { attestationKeyTemplate } from './tpm-templates.ts'
import { withPrimary } from './tpm-session.ts'
import type { TpmTransport } from './tpm-transport.ts'
import { withoutPadding } from './stored-certificate.ts'

/**
 * Where an AK comes from. `enrolment`: ours, and a record that binds it to the EK. `certificate`: a platform's, with a
 * certificate at an NV index and its template at the next one; `authorities` are DER, root first.
 */
export type AkSource =
  | { readonly kind: 'enrolment'; readonly record: Uint8Array }
  | {
      readonly kind: 'certificate'
      readonly index: number
      readonly authorities: readonly Uint8Array[]
    }

/** The template that makes the key, and what endorses it: a name of collateral and its bytes. */
export type EndorsedKey = {
  readonly template: Uint8Array
  readonly collateral: readonly [name: string, bytes: Uint8Array]
}

/**
 * Makes the key once, and finds whether the endorsement is for it.
 *
 * @throws AttestationError `enrolment-mismatch`, `attester-malformed` when there is no such certificate.
 */
export async function openEndorsedKey(tpm: TpmTransport, source: AkSource): Promise<EndorsedKey> {
  return source.kind === 'enrolment'
    ? openEnrolled(tpm, source.record)
    : openCertified(tpm, source.index, source.authorities)
}

async function openEnrolled(tpm: TpmTransport, record: Uint8Array): Promise<EndorsedKey> {
  const template = attestationKeyTemplate
  const { akName } = asMalformed('enrolment record', () => parseEnrolment(record))
  const name = await withPrimary(tpm, template, (key) => tpmName(key.public))
  if (!equalBytes(akName, name)) throw new AttestationError('enrolment-mismatch', 'name of the AK')
  return { template, collateral: [tpmCollateral.enrolment, record] }
}

async function openCertified(
  tpm: TpmTransport,
  index: number,
  authorities: readonly Uint8Array[],
): Promise<EndorsedKey> {
  const stored = await readNv(tpm, index)
  const template = await readNv(tpm, index + 1)
  if (stored === undefined || template === undefined) {
    throw new AttestationError('attester-malformed', 'no certificate of an AK at its index')
  }
  const encoded = Uint8Array.from(withoutPadding(stored))
  const certificate = asMalformed('certificate of the AK', () => parseCertificate(encoded))
  const key = await withPrimary(tpm, template, async (ak) => ak.public.key)
  if (!isSameKey(certificate.publicKey, key)) {
    throw new AttestationError('enrolment-mismatch', 'certificate of the AK')
  }
  return { template, collateral: [tpmCollateral.akChain, encodeCbor([...authorities, encoded])] }
}
