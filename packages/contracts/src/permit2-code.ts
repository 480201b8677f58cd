/**
 * Development time only: the run-time code of Permit2 from its creation code. Its constructor writes two words into the
 * code: the EIP-712 domain separator, and the chain id that this separator is for. On any other chain the code computes
 * the separator at each call, so it is right everywhere.
 */

import { encodeAbiParameters, keccak256, parseAbiParameters, toBytes } from 'viem'

/** The salt with which Permit2 is deployed through the CREATE2 factory. */
export const permit2Salt =
  '0x0000000000000000000000000000000000000000d3af2663da51c10215000000' as const

/** Where the run-time code begins in the creation code, and where the two words stand in it. */
const RUNTIME_OFFSET = 0xc1
const CHAIN_ID_OFFSET = 0x1b21
const SEPARATOR_OFFSET = 0x1b47
const WORD_DIGITS = 64

/**
 * What the constructor would leave at `address` on the chain `chainId`. Lower-case hex without 0x.
 *
 * @throws Error when one of the two places is not empty: then this is another creation code.
 */
export function createPermit2RuntimeCode(
  creationCode: string,
  chainId: number,
  address: `0x${string}`,
): string {
  const separator = keccak256(
    encodeAbiParameters(parseAbiParameters('bytes32, bytes32, uint256, address'), [
      keccak256(toBytes('EIP712Domain(string name,uint256 chainId,address verifyingContract)')),
      keccak256(toBytes('Permit2')),
      BigInt(chainId),
      address,
    ]),
  )
  const words = new Map([
    [CHAIN_ID_OFFSET, chainId.toString(16).padStart(WORD_DIGITS, '0')],
    [SEPARATOR_OFFSET, separator.slice(2)],
  ])
  return fillWords(creationCode.slice(2 * RUNTIME_OFFSET), words)
}

/**
 * Run-time code with words of 32 bytes written at byte offsets.
 *
 * @throws Error when a place is not all zero, or a word is not 64 hex digits.
 */
export function fillWords(code: string, words: ReadonlyMap<number, string>): string {
  let filled = code
  for (const [offset, word] of words) {
    const place = 2 * offset
    const old = filled.slice(place, place + WORD_DIGITS)
    if (old !== '0'.repeat(WORD_DIGITS) || !/^[0-9a-f]{64}$/.test(word)) {
      throw new Error(`no empty word at ${String(offset)}`)
    }
    filled = filled.slice(0, place) + word + filled.slice(place + WORD_DIGITS)
  }
  return filled
}
