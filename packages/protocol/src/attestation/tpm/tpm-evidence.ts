/** What a TPM gives as evidence: a quote, the key that signed it, and the PCR values behind it. */
import { encodeCbor, type CborValue } from '../../bytes/cbor-encode.ts'
import { ProtocolError } from '../../errors.ts'
import { coordinateBytes } from '../../crypto/verify-signature.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { readTpmMap } from './tpm-map.ts'
import { parseTpmPublic, type TpmPublic } from './tpm-public.ts'
import { parseTpmQuote, parseTpmSignature, type TpmQuote, type TpmSignature } from './tpm-quote.ts'
import { maxPcrs, maxTpmBytes, maxTpmPartBytes, pcrBytes } from '../limits.ts'
import { tpmSha256 } from './tpm-numbers.ts'

/** The parts, each as the TPM gave it. */
export type TpmEvidenceParts = {
  /** TPMS_ATTEST: what is signed. */
  readonly attest: Uint8Array
  /** TPMT_SIGNATURE */
  readonly signature: Uint8Array
  /** TPMT_PUBLIC of the AK. */
  readonly akPublic: Uint8Array
  /** The selected PCRs in ascending order. */
  readonly pcrValues: readonly Uint8Array[]
}

/** Evidence, parsed. Nothing of it is verified. */
export type TpmEvidence = {
  readonly attest: Uint8Array
  readonly quote: TpmQuote
  readonly signature: TpmSignature
  readonly ak: TpmPublic
  /** PCR values of the SHA-256 bank by their number. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>
}

/** Names of what travels beside the quote (spec/attestation.md). */
export const tpmCollateral = {
  /** A signed enrolment record: binds the AK to the certificate of an EK. */
  enrolment: 'tpm-enrolment',
  /** CBOR array of DER, root first: the certificate of the AK itself, where a platform issues one. */
  akChain: 'tpm-ak-chain',
  /** What the gateway measured. */
  measuredLog: 'tpm-measured-log',
  /** What firmware and boot loader measured, in the format of the TCG. */
  bootLog: 'tpm-boot-log',
} as const

/** The bytes of evidence. */
export function encodeTpmEvidence(parts: TpmEvidenceParts): Uint8Array {
  const fields = new Map<number, CborValue>([
    [1, 1],
    [2, parts.attest],
    [3, parts.signature],
    [4, parts.akPublic],
    [5, parts.pcrValues],
  ])
  return encodeCbor(fields)
}

/**
 * Parses evidence over PCRs of the SHA-256 bank alone.
 *
 * @throws EvidenceError `tpm-malformed`.
 */
export function parseTpmEvidence(bytes: Uint8Array): TpmEvidence {
  const parts = readParts(bytes)
  const quote = parseTpmQuote(parts.attest)
  const ak = parseTpmPublic(parts.akPublic)
  const { kind } = ak.key
  const signature = parseTpmSignature(parts.signature, kind === 'RSA' ? 0 : coordinateBytes[kind])
  const [selection, ...others] = quote.selections
  refuseUnless(
    selection?.hash === tpmSha256 &&
      selection.pcrs.length === parts.pcrValues.length &&
      others.length === 0,
    'tpm-malformed',
    'PCR selection',
  )
  const pcrs = new Map<number, Uint8Array>()
  for (const [place, value] of parts.pcrValues.entries())
    pcrs.set(Number(selection.pcrs[place]), value)
  return { attest: parts.attest, quote, signature, ak, pcrs }
}

function readParts(bytes: Uint8Array): TpmEvidenceParts {
  return readTpmMap(bytes, maxTpmBytes, [2, 3, 4, 5], (fields) => ({
    attest: fields.bytes(2, 1, maxTpmPartBytes),
    signature: fields.bytes(3, 1, maxTpmPartBytes),
    akPublic: fields.bytes(4, 1, maxTpmPartBytes),
    pcrValues: fields.array(5, 1, maxPcrs).map(readPcr),
  }))
}

function readPcr(value: CborValue): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== pcrBytes) {
    throw new ProtocolError('evidence-malformed')
  }
  return value
}
