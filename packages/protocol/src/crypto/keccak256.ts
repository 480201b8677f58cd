/** Keccak-256 as the EVM has it: not SHA3-256, which pads differently. */
import { keccak_256 } from '@noble/hashes/sha3.js'

/** 32 bytes. */
export function keccak256(bytes: Uint8Array): Uint8Array {
  return keccak_256(bytes)
}
