/** The public area of a TPM key, TPMT_PUBLIC (TPM 2.0 Part 2 §12.2.4): what kind of key, what it may do, its name. */
import { concatBytes } from '../../bytes/byte-string.ts'
import { digest } from '../../crypto/digest.ts'
import type { HashName, PublicKey } from '../../crypto/verify-signature.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { createEcKey } from '../x509/algorithm.ts'
import { openTpmReader, type TpmReader } from './tpm-reader.ts'
import { maxDigestBytes, maxTpmRsaBytes } from '../limits.ts'
import {
  decrypt,
  defaultExponent,
  fixedParent,
  fixedTpm,
  restricted,
  sensitiveDataOrigin,
  sign,
  tpmAes,
  tpmCfb,
  tpmEcc,
  tpmEcdsa,
  tpmNull,
  tpmRsa,
  tpmRsaSsa,
  tpmSha256,
  tpmSha384,
} from './tpm-numbers.ts'

/** A key of a TPM. `schemeHash` is 0 where the key fixes no scheme. */
export type TpmPublic = {
  /** The bytes that were parsed. */
  readonly bytes: Uint8Array
  readonly nameAlgorithm: number
  readonly attributes: number
  /** AES key bits of a storage key, 0 for a key that signs. */
  readonly symmetricBits: number
  readonly schemeHash: number
  /** RSA of at least 2,048 bits with the exponent 65,537, P-256 or P-384. */
  readonly key: PublicKey
}

const code = 'tpm-malformed'
/** The hashes that a key or a name can have here, by their numbers. */
export const tpmHashes: ReadonlyMap<number, HashName> = new Map([
  [tpmSha256, 'SHA-256'],
  [tpmSha384, 'SHA-384'],
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
  const nameAlgorithm = reader.u16()
  const attributes = reader.u32()
  // What its use would have to be authorized by.
  reader.sized(maxDigestBytes)
  const symmetricBits = readSymmetric(reader)
  const scheme = reader.u16()
  refuseUnless([tpmNull, tpmEcdsa, tpmRsaSsa].includes(scheme), code)
  const schemeHash = scheme === tpmNull ? 0 : reader.u16()
  refuseUnless(type === tpmRsa || type === tpmEcc, code)
  const key = type === tpmRsa ? readRsa(reader) : readEcc(reader)
  reader.end()
  return { bytes, nameAlgorithm, attributes, symmetricBits, schemeHash, key }
}

/**
 * The name of an object: its name algorithm and that hash of its public area (Part 1 §16).
 *
 * @throws EvidenceError `tpm-malformed` for a name algorithm other than SHA-256 and SHA-384.
 */
export async function tpmName({ nameAlgorithm, bytes }: TpmPublic): Promise<Uint8Array> {
  const hash = tpmHashes.get(nameAlgorithm) ?? refuse(code)
  const algorithm = Uint8Array.of(nameAlgorithm >> 8, nameAlgorithm & 255)
  return concatBytes(algorithm, await digest(hash, bytes))
}

/** True for a key that signs only what its own TPM made, and that cannot exist outside of it. */
export function isAttestationKey({ attributes }: TpmPublic): boolean {
  const wanted = fixedTpm | fixedParent | sensitiveDataOrigin | restricted | sign
  // A key that also decrypts is a storage key to the TPM, whatever it signs.
  return (attributes & (wanted | decrypt)) === wanted
}

function readSymmetric(reader: TpmReader): number {
  const algorithm = reader.u16()
  if (algorithm === tpmNull) return 0
  const bits = reader.u16()
  const isAesCfb = algorithm === tpmAes && reader.u16() === tpmCfb
  refuseUnless(isAesCfb && bits > 0, code)
  return bits
}

function readRsa(reader: TpmReader): PublicKey {
  const keyBits = reader.u16()
  const exponent = reader.u32()
  const modulus = reader.sized(maxTpmRsaBytes)
  // 0 stands for the default exponent.
  const isExponent = exponent === 0 || exponent === defaultExponent
  const isFull = modulus.length * 8 === keyBits && Number(modulus[0]) >= 0x80
  refuseUnless(isExponent && keyBits >= 2048 && isFull, code)
  return { kind: 'RSA', bytes: modulus }
}

function readEcc(reader: TpmReader): PublicKey {
  const curve = curves.get(reader.u16())
  refuseUnless(reader.u16() === tpmNull, code)
  const x = reader.sized(maxDigestBytes)
  const y = reader.sized(maxDigestBytes)
  refuseUnless(x.length === y.length, code)
  return createEcKey(curve, concatBytes(Uint8Array.of(4), x, y), code)
}
