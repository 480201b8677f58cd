/** The public area of a TPM key, TPMT_PUBLIC (TPM 2.0 Part 2 §12.2.4): what kind of key, what it may do, its name. */
import { compareBytes, concatBytes } from '../../bytes/byte-string.ts'
import { digest } from '../../crypto/digest.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { openTpmReader, type TpmReader } from './tpm-reader.ts'

/** Numbers of TPM 2.0 for algorithms. */
export const tpmAlgorithm = {
  rsa: 0x0001,
  aes: 0x0006,
  sha256: 0x000b,
  sha384: 0x000c,
  null: 0x0010,
  rsaSsa: 0x0014,
  ecdsa: 0x0018,
  ecc: 0x0023,
  cfb: 0x0043,
} as const

/** Bits of `attributes` (Part 2 §8.3). */
export const tpmAttribute = {
  fixedTpm: 0x2,
  fixedParent: 0x10,
  sensitiveDataOrigin: 0x20,
  restricted: 0x10000,
  decrypt: 0x20000,
  sign: 0x40000,
} as const

/** What is common to both kinds of key. `scheme` and `schemeHash` are 0 where the key fixes none. */
type TpmPublicCommon = {
  /** The bytes that were parsed. */
  readonly bytes: Uint8Array
  readonly nameAlgorithm: number
  readonly attributes: number
  readonly authPolicy: Uint8Array
  /** AES key bits of a storage key, 0 for a key that signs. */
  readonly symmetricBits: number
  readonly scheme: number
  readonly schemeHash: number
}

/** A key of a TPM. RSA: a modulus of `keyBits` and the exponent 65537. ECC: P-256 (x ‖ y) or P-384. */
export type TpmPublic =
  | (TpmPublicCommon & { readonly kind: 'rsa'; readonly modulus: Uint8Array })
  | (TpmPublicCommon & {
      readonly kind: 'ecc'
      readonly curve: 'P-256' | 'P-384'
      /** x ‖ y, each of the full width of the curve. */
      readonly point: Uint8Array
    })

const maxDigestBytes = 64
const maxModulusBytes = 512
const rsaExponent = 65_537
const curves: ReadonlyMap<number, readonly ['P-256' | 'P-384', number]> = new Map([
  [3, ['P-256', 32]],
  [4, ['P-384', 48]],
])

/**
 * Parses a TPMT_PUBLIC of an RSA or ECC key that fills the bytes.
 *
 * @throws EvidenceError `tpm-malformed`, also for other kinds of key, exponents and curves.
 */
export function parseTpmPublic(bytes: Uint8Array): TpmPublic {
  const reader = openTpmReader(bytes)
  const type = reader.u16()
  const head = {
    bytes,
    nameAlgorithm: reader.u16(),
    attributes: reader.u32(),
    authPolicy: reader.sized(maxDigestBytes),
    symmetricBits: readSymmetric(reader),
    ...readScheme(reader),
  }
  const key = type === tpmAlgorithm.rsa ? readRsa(reader) : readEcc(reader, type)
  reader.end()
  return { ...head, ...key }
}

/**
 * The name of an object: its name algorithm and that hash of its public area (Part 1 §16).
 *
 * @throws EvidenceError `tpm-malformed` for a name algorithm other than SHA-256 and SHA-384.
 */
export async function tpmName({ nameAlgorithm, bytes }: TpmPublic): Promise<Uint8Array> {
  const algorithm = Uint8Array.of(nameAlgorithm >> 8, nameAlgorithm & 255)
  return concatBytes(algorithm, await tpmHash(nameAlgorithm, bytes))
}

/**
 * SHA-256 or SHA-384 by its TPM number.
 *
 * @throws EvidenceError `tpm-malformed` for any other.
 */
export async function tpmHash(algorithm: number, bytes: Uint8Array): Promise<Uint8Array> {
  if (algorithm === tpmAlgorithm.sha256) return await digest('SHA-256', bytes)
  if (algorithm === tpmAlgorithm.sha384) return await digest('SHA-384', bytes)
  throw new EvidenceError('tpm-malformed')
}

/** True for a key that signs only what its own TPM made, and that cannot exist outside of it. */
export function isAttestationKey({ attributes }: TpmPublic): boolean {
  const { fixedTpm, fixedParent, sensitiveDataOrigin, restricted, sign, decrypt } = tpmAttribute
  const wanted = fixedTpm | fixedParent | sensitiveDataOrigin | restricted | sign
  // A key that also decrypts is a storage key to the TPM, whatever it signs.
  return (attributes & (wanted | decrypt)) === wanted
}

function readSymmetric(reader: TpmReader): number {
  const algorithm = reader.u16()
  if (algorithm === tpmAlgorithm.null) return 0
  const bits = reader.u16()
  if (algorithm !== tpmAlgorithm.aes || reader.u16() !== tpmAlgorithm.cfb || bits === 0) {
    throw new EvidenceError('tpm-malformed')
  }
  return bits
}

function readScheme(reader: TpmReader): { readonly scheme: number; readonly schemeHash: number } {
  const scheme = reader.u16()
  if (scheme === tpmAlgorithm.null) return { scheme: 0, schemeHash: 0 }
  if (scheme !== tpmAlgorithm.ecdsa && scheme !== tpmAlgorithm.rsaSsa) {
    throw new EvidenceError('tpm-malformed')
  }
  return { scheme, schemeHash: reader.u16() }
}

function readRsa(reader: TpmReader): { readonly kind: 'rsa'; readonly modulus: Uint8Array } {
  const keyBits = reader.u16()
  const exponent = reader.u32()
  const modulus = reader.sized(maxModulusBytes)
  // 0 stands for the default exponent.
  const isExponent = exponent === 0 || exponent === rsaExponent
  const isFull = compareBytes(modulus, Uint8Array.of(128)) >= 0
  const isModulus = keyBits >= 2048 && modulus.length * 8 === keyBits && isFull
  if (!isExponent || !isModulus) throw new EvidenceError('tpm-malformed')
  return { kind: 'rsa', modulus }
}

function readEcc(
  reader: TpmReader,
  type: number,
): {
  readonly kind: 'ecc'
  readonly curve: 'P-256' | 'P-384'
  readonly point: Uint8Array
} {
  const [curve, width] = curves.get(reader.u16()) ?? []
  const kdf = reader.u16()
  const x = reader.sized(maxDigestBytes)
  const y = reader.sized(maxDigestBytes)
  if (
    type !== tpmAlgorithm.ecc ||
    curve === undefined ||
    kdf !== tpmAlgorithm.null ||
    x.length !== width ||
    y.length !== width
  ) {
    throw new EvidenceError('tpm-malformed')
  }
  return { kind: 'ecc', curve, point: concatBytes(x, y) }
}
