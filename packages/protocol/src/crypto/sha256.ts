/** SHA-256, synchronous and the same everywhere. */
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'

/** SHA-256 of the bytes: 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

/** Writes the SHA-256 of the bytes into the target, from this offset on. The bytes may be part of the target. */
export type Sha256Into = (bytes: Uint8Array, target: Uint8Array, offset: number) => void

/** The portable SHA-256. */
export const sha256: Sha256 = (bytes) => nobleSha256(bytes)

/** The same, written in place. A caller on a hot path may pass a native one where a parameter allows it. */
export const sha256Into: Sha256Into = (bytes, target, offset) => {
  target.set(nobleSha256(bytes), offset)
}
