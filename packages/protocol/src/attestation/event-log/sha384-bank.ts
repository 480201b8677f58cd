/** The SHA-384 bank: RTMRs of TDX. Apart from the other one, because most verifiers never need its code. */
import { sha384 } from '@noble/hashes/sha2.js'
import type { RegisterBank } from './tcg-log.ts'

/** For `replayBootLog` and `checkBootLog`. */
export const sha384Bank: RegisterBank = {
  algorithm: 0x0c,
  bytes: 48,
  digest: (bytes) => sha384(bytes),
}
