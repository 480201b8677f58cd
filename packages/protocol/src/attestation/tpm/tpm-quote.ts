/** What a TPM signs: a quote as TPMS_ATTEST (TPM 2.0 Part 2 §10.12.12), and the signature as TPMT_SIGNATURE. */
import { concatBytes } from '../../bytes/byte-string.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { toWidth } from '../x509/algorithm.ts'
import { openTpmReader, type TpmReader } from './tpm-reader.ts'
import {
  maxBitmapBytes,
  maxDigestBytes,
  maxSelections,
  maxTpmNameBytes,
  maxTpmRsaBytes,
} from '../limits.ts'
import { generatedValue, tpmEcdsa, tpmRsaSsa, typeQuote } from './tpm-numbers.ts'

/** PCRs of one bank, in ascending order. */
export type PcrSelection = { readonly hash: number; readonly pcrs: readonly number[] }

/** A quote, parsed. Nothing of it is verified. */
export type TpmQuote = {
  /** What the caller of the TPM passed in. */
  readonly extraData: Uint8Array
  readonly resetCount: number
  readonly restartCount: number
  /** False when the TPM lost time since it was last shut down in order. */
  readonly isClockSafe: boolean
  readonly selections: readonly PcrSelection[]
  /** Hash of the selected PCRs, one after the other. */
  readonly pcrDigest: Uint8Array
}

/** A signature as WebCrypto takes it: r ‖ s, or the RSA signature. */
export type TpmSignature = {
  readonly name: 'ECDSA' | 'RSASSA-PKCS1-v1_5'
  readonly hash: number
  readonly bytes: Uint8Array
}

const code = 'tpm-malformed'

/**
 * Parses a quote that fills the bytes.
 *
 * @throws EvidenceError `tpm-malformed`.
 */
export function parseTpmQuote(bytes: Uint8Array): TpmQuote {
  const reader = openTpmReader(bytes)
  refuseUnless(reader.u32() === generatedValue && reader.u16() === typeQuote, code)
  // Qualified name of the key that signed.
  reader.sized(maxTpmNameBytes)
  const extraData = reader.sized(maxTpmNameBytes)
  // Milliseconds of its clock.
  reader.take(8)
  const resetCount = reader.u32()
  const restartCount = reader.u32()
  const safe = reader.u8()
  refuseUnless(safe < 2, code)
  // Version of its firmware.
  reader.take(8)
  const selections = readSelections(reader)
  const pcrDigest = reader.sized(maxDigestBytes)
  reader.end()
  return { extraData, resetCount, restartCount, isClockSafe: safe === 1, selections, pcrDigest }
}

/**
 * Parses a signature by ECDSA or RSASSA that fills the bytes; `coordinateBytes` is the width of r and of s.
 *
 * @throws EvidenceError `tpm-malformed`, also for integers longer than that and for other schemes.
 */
export function parseTpmSignature(bytes: Uint8Array, coordinateBytes: number): TpmSignature {
  const reader = openTpmReader(bytes)
  const scheme = reader.u16()
  const hash = reader.u16()
  const isEcdsa = scheme === tpmEcdsa
  refuseUnless(isEcdsa || scheme === tpmRsaSsa, code)
  const signature = isEcdsa
    ? concatBytes(readInteger(reader, coordinateBytes), readInteger(reader, coordinateBytes))
    : reader.sized(maxTpmRsaBytes)
  reader.end()
  return { name: isEcdsa ? 'ECDSA' : 'RSASSA-PKCS1-v1_5', hash, bytes: signature }
}

/**
 * A TPML_PCR_SELECTION: banks in the order given, bitmaps of at most three bytes.
 *
 * @throws EvidenceError `tpm-malformed`, also for a bank that comes twice.
 */
export function readSelections(reader: TpmReader): readonly PcrSelection[] {
  const selections = Array.from({ length: reader.count(maxSelections) }, () => {
    const hash = reader.u16()
    const size = reader.u8()
    refuseUnless(size <= maxBitmapBytes, code)
    return { hash, pcrs: toPcrs(reader.take(size)) }
  })
  const banks = new Set(selections.map(({ hash }) => hash))
  refuseUnless(banks.size === selections.length, code)
  return selections
}

function toPcrs(bitmap: Uint8Array): readonly number[] {
  const pcrs = Array.from({ length: 8 * bitmap.length }, (_, pcr) => pcr)
  return pcrs.filter((pcr) => (Number(bitmap[pcr >> 3]) & (1 << (pcr & 7))) !== 0)
}

/** TPMs differ in whether they keep leading zeros: both forms are one number, widened here. */
function readInteger(reader: TpmReader, width: number): Uint8Array {
  const integer = toWidth(reader.sized(width), width, code)
  refuseUnless(
    integer.some((byte) => byte !== 0),
    code,
  )
  return integer
}
