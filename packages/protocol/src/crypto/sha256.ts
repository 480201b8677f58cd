/** SHA-256, synchronous and the same everywhere. */
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'

/** SHA-256 of the bytes: 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

/** The portable SHA-256. A caller on a hot path may pass a native one where a parameter allows it. */
export const sha256: Sha256 = (bytes) => nobleSha256(bytes)
