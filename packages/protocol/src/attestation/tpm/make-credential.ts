/** TPM2_MakeCredential in software (TPM 2.0 Part 1 §24): a secret that only the TPM with this EK and this AK reads. */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, encodeUtf8 } from '../../bytes/byte-string.ts'
import { toBase64url } from '../../bytes/text-encoding.ts'
import { rsaExponent } from '../../crypto/verify-signature.ts'
import { EvidenceError } from '../evidence-errors.ts'
import type { TpmPublic } from './tpm-public.ts'
import {
  decrypt,
  fixedParent,
  fixedTpm,
  restricted,
  sensitiveDataOrigin,
  sign,
  tpmSha256,
} from './tpm-numbers.ts'

/** What ActivateCredential takes: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, both without their lengths. */
export type TpmCredential = {
  readonly idObject: Uint8Array
  readonly encryptedSecret: Uint8Array
}

const blockBytes = 16
const hashBits = 256
const label = 'IDENTITY\0'
const noBytes = new Uint8Array(0)

/**
 * Encrypts `secret` to the EK so that its TPM gives it away only when it also holds the object named `akName`.
 *
 * `seed` (32 bytes) and `secret` (16 to 32 bytes) are new random bytes for each challenge.
 *
 * @throws EvidenceError `tpm-key` when the EK is no RSA storage key with SHA-256 and AES-128 that its TPM made for itself.
 */
export async function makeCredential(
  ek: TpmPublic,
  akName: Uint8Array,
  secret: Uint8Array,
  seed: Uint8Array,
): Promise<TpmCredential> {
  if (!isEndorsementKey(ek)) throw new EvidenceError('tpm-key')
  const encryptionKey = deriveKey(seed, 'STORAGE', akName, blockBytes * 8)
  const identity = await encryptCfb(encryptionKey, sized(secret))
  const integrityKey = deriveKey(seed, 'INTEGRITY', noBytes, hashBits)
  const integrity = hmac(sha256, integrityKey, concatBytes(identity, akName))
  return {
    idObject: concatBytes(sized(integrity), identity),
    encryptedSecret: await encryptOaep(ek.key.bytes, seed),
  }
}

/** True for a storage key that cannot leave its TPM: what an EK is. */
function isEndorsementKey({ key, attributes, nameAlgorithm, symmetricBits }: TpmPublic): boolean {
  const wanted = fixedTpm | fixedParent | sensitiveDataOrigin | restricted | decrypt
  return (
    key.kind === 'RSA' &&
    (attributes & (wanted | sign)) === wanted &&
    nameAlgorithm === tpmSha256 &&
    symmetricBits === blockBytes * 8
  )
}

/** KDFa (Part 1 §11.4.10.2) with SHA-256, for at most one block of it. */
function deriveKey(seed: Uint8Array, use: string, context: Uint8Array, bits: number): Uint8Array {
  const counter = Uint8Array.of(0, 0, 0, 1)
  const size = Uint8Array.of(0, 0, bits >> 8, bits & 255)
  const message = concatBytes(counter, encodeUtf8(`${use}\0`), context, size)
  return hmac(sha256, seed, message).subarray(0, bits / 8)
}

/** AES-128-CFB with a zero IV. WebCrypto has no CFB: each block is CTR with the block before it as the counter. */
async function encryptCfb(key: Uint8Array, plain: Uint8Array): Promise<Uint8Array> {
  const subtle = subtleCrypto()
  const imported = await subtle.importKey('raw', key, { name: 'AES-CTR' }, false, ['encrypt'])
  const blocks: Uint8Array[] = []
  let counter: Uint8Array = new Uint8Array(blockBytes)
  for (let start = 0; start < plain.length; start += blockBytes) {
    const algorithm = { name: 'AES-CTR', counter, length: blockBytes * 8 } as const
    const block = plain.subarray(start, start + blockBytes)
    counter = new Uint8Array(await subtle.encrypt(algorithm, imported, block))
    blocks.push(counter)
  }
  return concatBytes(...blocks)
}

async function encryptOaep(modulus: Uint8Array, seed: Uint8Array): Promise<Uint8Array> {
  const subtle = subtleCrypto()
  const jwk = { kty: 'RSA', n: toBase64url(modulus), e: rsaExponent } as const
  const algorithm = { name: 'RSA-OAEP', hash: 'SHA-256' } as const
  const key = await subtle.importKey('jwk', jwk, algorithm, false, ['encrypt'])
  const parameters = { name: 'RSA-OAEP', label: encodeUtf8(label) } as const
  return new Uint8Array(await subtle.encrypt(parameters, key, seed))
}

function subtleCrypto(): NonNullable<typeof crypto.subtle> {
  const { subtle } = crypto
  if (subtle === undefined) throw new Error('no WebCrypto here: a page needs https or localhost')
  return subtle
}

function sized(bytes: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes)
}
