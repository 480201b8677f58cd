/** An X25519 key for sealed calls that never leaves the process (spec/sealed.md). */
import { createHmac, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'

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

/** Makes a new key. */
export function createHpkeKey(): HpkeKey {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
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
function agree(
  share: Uint8Array,
  privateKey: Parameters<typeof diffieHellman>[0]['privateKey'],
): Uint8Array | undefined {
  const der = Buffer.concat([spkiPrefix, share])
  try {
    const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return diffieHellman({ privateKey, publicKey })
  } catch {
    return undefined
  }
}
