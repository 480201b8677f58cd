/** ES256 keys of a test gateway, made anew in each process. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { toLowS, type Es256Signer } from '@countersign/protocol/crypto/es256'

/** A fresh P-256 key. */
export function createTestSigner(): Es256Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return {
    publicKey: Uint8Array.from(spki.subarray(-64)),
    sign: (message) =>
      toLowS(
        Uint8Array.from(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
      ),
  }
}
