/** What a TPM signs: a quote as TPMS_ATTEST (TPM 2.0 Part 2 §10.12.12), and the signature as TPMT_SIGNATURE. */
import { compareBytes, concatBytes } from '../../bytes/byte-string.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { tpmAlgorithm } from './tpm-public.ts'
import { openTpmReader, type TpmReader } from './tpm-reader.ts'

/** PCRs of one bank, in ascending order. */
export type PcrSelection = { readonly hash: number; readonly pcrs: readonly number[] }

/** A quote, parsed. Nothing of it is verified. */
export type TpmQuote = {
  /** Qualified name of the key that signed. */
  readonly signer: Uint8Array
  /** What the caller of the TPM passed in. */
  readonly extraData: Uint8Array
  readonly clockMs: bigint
  readonly resetCount: number
  readonly restartCount: number
  /** False when the TPM lost time since it was last shut down in order. */
  readonly isClockSafe: boolean
  readonly firmwareVersion: bigint
  readonly selections: readonly PcrSelection[]
  /** Hash of the selected PCRs, one after the other. */
  readonly pcrDigest: Uint8Array
}

/** A signature as WebCrypto takes it: r ‖ s, or the RSA signature. */
export type TpmSignature = {
  readonly scheme: 'ecdsa' | 'rsassa'
  readonly hash: number
  readonly bytes: Uint8Array
}

const magic = 0xff544347
const typeQuote = 0x8018
const maxNameBytes = 66
const maxExtraBytes = 66
const maxDigestBytes = 64
const maxSelections = 4
const maxBitmapBytes = 3
const maxRsaBytes = 512
const bits = [0, 1, 2, 3, 4, 5, 6, 7] as const

/**
 * Parses a quote that fills the bytes.
 *
 * @throws EvidenceError `tpm-malformed`.
 */
export function parseTpmQuote(bytes: Uint8Array): TpmQuote {
  const reader = openTpmReader(bytes)
  if (reader.u32() !== magic || reader.u16() !== typeQuote) refuse()
  const quote = {
    signer: reader.sized(maxNameBytes),
    extraData: reader.sized(maxExtraBytes),
    clockMs: reader.u64(),
    resetCount: reader.u32(),
    restartCount: reader.u32(),
    isClockSafe: readBoolean(reader),
    firmwareVersion: reader.u64(),
    selections: readSelections(reader),
    pcrDigest: reader.sized(maxDigestBytes),
  }
  reader.end()
  return quote
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
  const signature = readSignature(reader, scheme, coordinateBytes)
  reader.end()
  return { ...signature, hash }
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
    if (size > maxBitmapBytes) refuse()
    return { hash, pcrs: toPcrs(reader.take(size)) }
  })
  if (new Set(selections.map(({ hash }) => hash)).size !== selections.length) refuse()
  return selections
}

function toPcrs(bitmap: Uint8Array): readonly number[] {
  return Array.from(bitmap).flatMap((byte, place) =>
    bits.filter((bit) => (byte & (1 << bit)) !== 0).map((bit) => 8 * place + bit),
  )
}

function readBoolean(reader: TpmReader): boolean {
  const value = reader.u8()
  if (value > 1) refuse()
  return value === 1
}

function readSignature(
  reader: TpmReader,
  scheme: number,
  coordinateBytes: number,
): Pick<TpmSignature, 'scheme' | 'bytes'> {
  if (scheme === tpmAlgorithm.ecdsa) {
    const r = readInteger(reader, coordinateBytes)
    const s = readInteger(reader, coordinateBytes)
    return { scheme: 'ecdsa', bytes: concatBytes(r, s) }
  }
  if (scheme !== tpmAlgorithm.rsaSsa) refuse()
  return { scheme: 'rsassa', bytes: reader.sized(maxRsaBytes) }
}

/** TPMs differ in whether they keep leading zeros: both forms are one number, widened here. */
function readInteger(reader: TpmReader, width: number): Uint8Array {
  const bytes = reader.sized(width)
  const integer = concatBytes(new Uint8Array(width - bytes.length), bytes)
  if (compareBytes(integer, new Uint8Array(width)) === 0) refuse()
  return integer
}

function refuse(): never {
  throw new EvidenceError('tpm-malformed')
}
