/** A P-256 key that never leaves the process, and fast ES256 with it. */
import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { toLowS, type Es256Signer } from '@countersign/protocol/crypto/es256'

/** Makes a new key. The private part exists only in this process. */
export function createReceiptKey(): Es256Signer {
  return createEs256Signer(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
}

/** Signs with a P-256 key that is there already. */
export function createEs256Signer(privateKey: KeyObject): Es256Signer {
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return {
    publicKey: Uint8Array.from(spki.subarray(spki.length - 64)),
    sign: (message) => signLowS(privateKey, message),
  }
}

/** DER and our own conversion: half the time of `dsaEncoding: 'ieee-p1363'` on Node 24. */
function signLowS(privateKey: KeyObject, message: Uint8Array): Uint8Array {
  const der = sign('sha256', message, privateKey)
  const raw = new Uint8Array(64)
  const rLength = der[3] ?? 0
  copyInteger(der.subarray(4, 4 + rLength), raw, 32)
  copyInteger(der.subarray(6 + rLength), raw, 64)
  return toLowS(raw)
}

/** Writes a DER integer so that it ends at `end`, without its sign byte. */
function copyInteger(integer: Uint8Array, raw: Uint8Array, end: number): void {
  const bytes = integer.length > 32 ? integer.subarray(integer.length - 32) : integer
  raw.set(bytes, end - bytes.length)
}
