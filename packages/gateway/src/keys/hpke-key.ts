/** An X25519 key for sealed calls; it leaves the process for the gateway's own workers only (spec/sealed.md). */
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'

/** The key, and the proof that it is held (ST5.8). */
export type HpkeKey = {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  readonly privateKey: Uint8Array
  /** HMAC of the message under the secret with this share; `undefined` for a share that gives zero. */
  confirm(share: Uint8Array, message: Uint8Array): Uint8Array | undefined
}

const keyBytes = 32
const spkiPrefix = Buffer.from('302a300506032b656e032100', 'hex')
const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')

/** Makes a new key. */
export function createHpkeKey(): HpkeKey {
  return toHpkeKey(generateKeyPairSync('x25519').privateKey)
}

/** The key of these 32 bytes, which another process of this gateway has made. */
export function importHpkeKey(privateKey: Uint8Array): HpkeKey {
  const key = Buffer.concat([pkcs8Prefix, privateKey])
  return toHpkeKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' }))
}

function toHpkeKey(privateKey: KeyObject): HpkeKey {
  const publicKey = createPublicKey(privateKey)
  return {
    publicKey: Uint8Array.from(
      publicKey.export({ type: 'spki', format: 'der' }).subarray(-keyBytes),
    ),
    privateKey: Uint8Array.from(
      privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-keyBytes),
    ),
    confirm: (share, message) => {
      const secret = agree(share, privateKey)
      return secret && createHmac('sha256', secret).update(message).digest()
    },
  }
}

/** OpenSSL refuses shares of low order: their secret is known to everybody. */
function agree(share: Uint8Array, privateKey: KeyObject): Uint8Array | undefined {
  const der = Buffer.concat([spkiPrefix, share])
  try {
    const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return diffieHellman({ privateKey, publicKey })
  } catch {
    return undefined
  }
}
