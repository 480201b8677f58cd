/** The public area of a TPM key, TPMT_PUBLIC (TPM 2.0 Part 2 §12.2.4): what kind of key, what it may do, its name. */
import { concatBytes } from '../../bytes/byte-string.ts'
import { digest } from '../../crypto/digest.ts'
import type { HashName, PublicKey } from '../../crypto/verify-signature.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { createEcKey } from '../x509/algorithm.ts'
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

/** A key of a TPM. `scheme` and `schemeHash` are 0 where the key fixes none. */
export type TpmPublic = {
  /** The bytes that were parsed. */
  readonly bytes: Uint8Array
  readonly nameAlgorithm: number
  readonly attributes: number
  readonly authPolicy: Uint8Array
  /** AES key bits of a storage key, 0 for a key that signs. */
  readonly symmetricBits: number
  readonly scheme: number
  readonly schemeHash: number
  /** RSA of at least 2,048 bits with the exponent 65,537, P-256 or P-384. */
  readonly key: PublicKey
}

const code = 'tpm-malformed'
const maxDigestBytes = 64
const maxModulusBytes = 512
const rsaExponent = 65_537
/** The hashes that a key or a name can have here, by their numbers. */
export const tpmHashes: ReadonlyMap<number, HashName> = new Map([
  [tpmAlgorithm.sha256, 'SHA-256'],
  [tpmAlgorithm.sha384, 'SHA-384'],
])
const curves: ReadonlyMap<number, 'P-256' | 'P-384'> = new Map([
  [3, 'P-256'],
  [4, 'P-384'],
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
  refuseUnless(type === tpmAlgorithm.rsa || type === tpmAlgorithm.ecc, code)
  const key = type === tpmAlgorithm.rsa ? readRsa(reader) : readEcc(reader)
  reader.end()
  return { ...head, key }
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
  return await digest(tpmHashes.get(algorithm) ?? refuse(code), bytes)
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
  const isAesCfb = algorithm === tpmAlgorithm.aes && reader.u16() === tpmAlgorithm.cfb
  refuseUnless(isAesCfb && bits > 0, code)
  return bits
}

function readScheme(reader: TpmReader): { readonly scheme: number; readonly schemeHash: number } {
  const scheme = reader.u16()
  if (scheme === tpmAlgorithm.null) return { scheme: 0, schemeHash: 0 }
  refuseUnless(scheme === tpmAlgorithm.ecdsa || scheme === tpmAlgorithm.rsaSsa, code)
  return { scheme, schemeHash: reader.u16() }
}

function readRsa(reader: TpmReader): PublicKey {
  const keyBits = reader.u16()
  const exponent = reader.u32()
  const modulus = reader.sized(maxModulusBytes)
  // 0 stands for the default exponent.
  const isExponent = exponent === 0 || exponent === rsaExponent
  const isFull = modulus.length * 8 === keyBits && Number(modulus[0]) >= 0x80
  refuseUnless(isExponent && keyBits >= 2048 && isFull, code)
  return { kind: 'RSA', bytes: modulus }
}

function readEcc(reader: TpmReader): PublicKey {
  const curve = curves.get(reader.u16())
  refuseUnless(reader.u16() === tpmAlgorithm.null, code)
  const x = reader.sized(maxDigestBytes)
  const y = reader.sized(maxDigestBytes)
  refuseUnless(x.length === y.length, code)
  return createEcKey(curve, concatBytes(Uint8Array.of(4), x, y), code)
}
