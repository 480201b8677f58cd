/**
 * HPKE (RFC 9180) for the one suite of sealed calls, written from the RFC for vectors: the sender's key follows from a
 * name, so that a fresh generation gives the same bytes. Never use it for anything else.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'

/** A context of either side: chunks in their order. */
export type HpkeContext = {
  readonly seal: (plain: Uint8Array, about: Uint8Array) => Uint8Array
  /** `undefined` when it is not what was sealed in its place. */
  readonly open: (sealed: Uint8Array, about: Uint8Array) => Uint8Array | undefined
  readonly exportSecret: (label: Uint8Array, length: number) => Uint8Array
}

const noBytes = new Uint8Array(0)
const privatePrefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
const publicPrefix = Buffer.from('302a300506032b656e032100', 'hex')
const kemSuite = concatBytes(encodeUtf8('KEM'), Uint8Array.of(0, 0x20))
const hpkeSuite = concatBytes(encodeUtf8('HPKE'), Uint8Array.of(0, 0x20, 0, 1, 0, 1))
const tagBytes = 16

/** The public key of 32 bytes of a private key. */
export function x25519Public(privateKey: Uint8Array): Uint8Array {
  const der = createPublicKey(toPrivate(privateKey)).export({ type: 'spki', format: 'der' })
  return Uint8Array.from(der.subarray(publicPrefix.length))
}

/** The secret of two keys; `undefined` for a point of low order. */
export function x25519Agree(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  try {
    const peer = createPublicKey({
      key: Buffer.concat([publicPrefix, publicKey]),
      format: 'der',
      type: 'spki',
    })
    const secret = diffieHellman({ privateKey: toPrivate(privateKey), publicKey: peer })
    return Uint8Array.from(secret)
  } catch {
    return undefined
  }
}

/** The context of a sender or of a recipient: `own` is the private key of this side. */
export function setUpHpke(
  own: Uint8Array,
  keys: { readonly peer: Uint8Array; readonly enc: Uint8Array; readonly recipient: Uint8Array },
  info: Uint8Array,
): HpkeContext {
  const shared = x25519Agree(own, keys.peer)
  if (shared === undefined) throw new Error('no secret')
  const context = concatBytes(keys.enc, keys.recipient)
  const extracted = labeledExtract(kemSuite, noBytes, 'eae_prk', shared)
  const secret = labeledExpand(kemSuite, extracted, 'shared_secret', context, 32)
  const schedule = concatBytes(
    Uint8Array.of(0),
    labeledExtract(hpkeSuite, noBytes, 'psk_id_hash', noBytes),
    labeledExtract(hpkeSuite, noBytes, 'info_hash', info),
  )
  const prk = labeledExtract(hpkeSuite, secret, 'secret', noBytes)
  const key = labeledExpand(hpkeSuite, prk, 'key', schedule, 16)
  const base = labeledExpand(hpkeSuite, prk, 'base_nonce', schedule, 12)
  const exporter = labeledExpand(hpkeSuite, prk, 'exp', schedule, 32)
  let count = 0
  const nextNonce = (): Uint8Array => {
    const nonce = Uint8Array.from(base)
    const view = new DataView(nonce.buffer)
    view.setUint32(8, (view.getUint32(8) ^ count) >>> 0)
    count += 1
    return nonce
  }
  return {
    seal: (plain, about) => aesSeal(key, nextNonce(), plain, about),
    open: (sealed, about) => aesOpen(key, nextNonce(), sealed, about),
    exportSecret: (label, length) => labeledExpand(hpkeSuite, exporter, 'sec', label, length),
  }
}

/** AES-128-GCM, the tag behind. */
export function aesSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  plain: Uint8Array,
  about: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv('aes-128-gcm', key, nonce).setAAD(about)
  return concatBytes(cipher.update(plain), cipher.final(), cipher.getAuthTag())
}

function aesOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  about: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < tagBytes) return undefined
  const end = sealed.length - tagBytes
  const cipher = createDecipheriv('aes-128-gcm', key, nonce).setAAD(about)
  cipher.setAuthTag(sealed.subarray(end))
  const plain = cipher.update(sealed.subarray(0, end))
  try {
    return concatBytes(plain, cipher.final())
  } catch {
    return undefined
  }
}

/** RFC 5869. */
export function hkdfExtract(salt: Uint8Array, secret: Uint8Array): Uint8Array {
  return hmac(salt, secret)
}

/** RFC 5869, for at most 32 bytes. */
export function hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  return hmac(prk, concatBytes(info, Uint8Array.of(1))).subarray(0, length)
}

function labeledExtract(
  suite: Uint8Array,
  salt: Uint8Array,
  label: string,
  secret: Uint8Array,
): Uint8Array {
  return hkdfExtract(salt, concatBytes(encodeUtf8('HPKE-v1'), suite, encodeUtf8(label), secret))
}

function labeledExpand(
  suite: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const head = [Uint8Array.of(0, length), encodeUtf8('HPKE-v1'), suite, encodeUtf8(label)]
  return hkdfExpand(prk, concatBytes(...head, info), length)
}

function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  return Uint8Array.from(createHmac('sha256', key).update(message).digest())
}

function toPrivate(bytes: Uint8Array): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([privatePrefix, bytes]),
    format: 'der',
    type: 'pkcs8',
  })
}
