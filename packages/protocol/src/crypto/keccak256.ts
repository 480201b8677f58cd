/** Keccak-256 as the EVM has it: not SHA3-256, which pads differently. */
import { keccak_256 } from '@noble/hashes/sha3.js'

/** 32 bytes. */
export type Keccak256 = (bytes: Uint8Array) => Uint8Array

/** The portable Keccak-256. A caller on a hot path may pass a faster one where a parameter allows it. */
export const keccak256: Keccak256 = (bytes) => keccak_256(bytes)
