/**
 * The RSA key of OpenGradient's profile: made at start, never written down (spec/opengradient.md OG1). It leaves the
 * process for the gateway's own workers only.
 */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto'
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Attester } from '../enclave/attester.ts'
import { hashMessage, hashText } from './open-gradient-hash.ts'

/** The members that are added to an answer. */
export type TeeMembers = {
  readonly tee_signature: string
  readonly tee_request_hash: string
  readonly tee_output_hash: string
  readonly tee_timestamp: number
  readonly tee_id: string
}

/** Owner of the key. */
export type OpenGradientSigner = {
  readonly teeId: string
  readonly publicKeyPem: string
  /** SubjectPublicKeyInfo. */
  readonly publicKeyDer: Uint8Array
  /** Signs the output of a request. About 0.3 ms of the event loop. */
  sign(requestHash: Uint8Array, output: string, nowMs: number): TeeMembers
}

/** The profile of a gateway that has it switched on. */
export type OpenGradientProfile = {
  readonly signer: OpenGradientSigner
  readonly attester: Attester
}

/** Makes a key of 2,048 bits. */
export function createOpenGradientSigner(): OpenGradientSigner {
  return toSigner(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
}

/** Makes a key for several processes: PKCS #8, DER. */
export function createOpenGradientKey(): Uint8Array {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return Uint8Array.from(privateKey.export({ type: 'pkcs8', format: 'der' }))
}

/** Signs with the key of these bytes, which another process of this gateway has made. */
export function importOpenGradientSigner(key: Uint8Array): OpenGradientSigner {
  return toSigner(createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' }))
}

function toSigner(privateKey: KeyObject): OpenGradientSigner {
  const publicKey = createPublicKey(privateKey)
  const publicKeyDer = Uint8Array.from(publicKey.export({ type: 'spki', format: 'der' }))
  const teeId = `0x${toHex(keccak256(publicKeyDer))}`
  return {
    teeId,
    publicKeyDer,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    sign(requestHash, output, nowMs) {
      const timestamp = Math.floor(nowMs / 1000)
      const outputHash = hashText(output)
      const message = hashMessage(requestHash, outputHash, timestamp)
      const { RSA_PKCS1_PSS_PADDING: padding } = constants
      const signature = sign('sha256', message, { key: privateKey, padding, saltLength: 32 })
      return {
        tee_signature: signature.toString('base64'),
        tee_request_hash: toHex(requestHash),
        tee_output_hash: toHex(outputHash),
        tee_timestamp: timestamp,
        tee_id: teeId,
      }
    },
  }
}
