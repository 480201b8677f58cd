/** Keys and nonces of a sealed answer (spec/sealed.md SE4), by WebCrypto. */
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { SealedError } from './sealed-error.ts'

/** Bytes of the response nonce, and of the secret that both sides export. */
export const responseNonceBytes = 16

/** Label of that secret. */
export const responseLabel = 'message/bhttp chunked response'

/** Seals or opens the chunks of one answer, in their order. One at a time: await each. */
export type ChunkCipher = {
  seal(plain: Uint8Array, isLast: boolean): Promise<Uint8Array>
  /** @throws SealedError `sealed-tampered`. */
  open(sealed: Uint8Array, isLast: boolean): Promise<Uint8Array>
}

const keyBytes = 16
const nonceBytes = 12
const aesGcm = { name: 'AES-GCM' } as const
const noBytes = new Uint8Array(0)
const lastChunk = encodeUtf8('final')

/**
 * The cipher of an answer: AES-128-GCM, the nonce counts the chunks.
 *
 * @throws Error in a page without WebCrypto (not https, not localhost).
 * @param secret - what the HPKE context exports for `responseLabel`.
 */
export async function createResponseCipher(
  secret: Uint8Array,
  encapsulated: Uint8Array,
  responseNonce: Uint8Array,
): Promise<ChunkCipher> {
  const { subtle } = crypto
  if (subtle === undefined) throw new Error('no WebCrypto here: a page needs https or localhost')
  const salt = concatBytes(encapsulated, responseNonce)
  const raw = hkdf(sha256, secret, salt, encodeUtf8('key'), keyBytes)
  const key = await subtle.importKey('raw', raw, aesGcm, false, ['encrypt', 'decrypt'])
  const base = hkdf(sha256, secret, salt, encodeUtf8('nonce'), nonceBytes)
  // Owned here: chunks so far.
  let count = 0
  const next = (isLast: boolean) => {
    const iv = Uint8Array.from(base)
    const view = new DataView(iv.buffer)
    view.setUint32(8, (view.getUint32(8) ^ count) >>> 0)
    count += 1
    return { name: 'AES-GCM', iv, additionalData: isLast ? lastChunk : noBytes } as const
  }
  return {
    seal: async (plain, isLast) => new Uint8Array(await subtle.encrypt(next(isLast), key, plain)),
    open: async (sealed, isLast) => {
      try {
        return new Uint8Array(await subtle.decrypt(next(isLast), key, sealed))
      } catch (cause) {
        throw new SealedError('sealed-tampered', { cause })
      }
    },
  }
}
