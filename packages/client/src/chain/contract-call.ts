/** Calls of contracts whose arguments and answers are words of 32 bytes: nothing more is needed here. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { hashText } from '@countersign/protocol/payment/eip712'
import { encodeWord, type Hex } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import type { ChainReader } from './chain-reader.ts'

/** The data of a call. @example encodeCall('balanceOf(address)', [owner]) */
export function encodeCall(signature: string, words: readonly (bigint | Hex)[]): Hex {
  const selector = toHex(hashText(signature).subarray(0, 4))
  return `0x${selector}${words.map((word) => toHex(encodeWord(word))).join('')}`
}

/**
 * The words that a contract answers, just so many.
 *
 * @throws ClientError `chain-unreachable`, also when there is no such contract.
 */
export async function readWords(
  reader: ChainReader,
  to: Hex,
  signature: string,
  words: readonly (bigint | Hex)[],
  count: number,
): Promise<readonly bigint[]> {
  const answer = await reader.call(to, encodeCall(signature, words))
  if (answer.length !== 2 + 64 * count) {
    throw new ClientError('chain-unreachable', { detail: `${signature} at ${to}: another answer` })
  }
  return Array.from({ length: count }, (_, index) =>
    BigInt(`0x${answer.slice(2 + 64 * index, 66 + 64 * index)}`),
  )
}

/** The one word that a contract answers. @throws ClientError `chain-unreachable`. */
export async function readWord(
  reader: ChainReader,
  to: Hex,
  signature: string,
  words: readonly (bigint | Hex)[] = [],
): Promise<bigint> {
  const [word = 0n] = await readWords(reader, to, signature, words, 1)
  return word
}
