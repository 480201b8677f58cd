/** Addresses and 32-byte words of the EVM, in lower-case hex outside and as bytes inside digests. */
import { fromHex } from '../bytes/text-encoding.ts'

/** `0x` and lower-case hex digits. */
export type Hex = `0x${string}`

const addressForm = /^0x[0-9a-fA-F]{40}$/
const wordForm = /^0x[0-9a-fA-F]{64}$/
const decimalForm = /^(?:0|[1-9][0-9]{0,77})$/

/** The address of no account. */
export const zeroAddress: Hex = `0x${'0'.repeat(40)}`

/** An address of any case, in lower case. Checksums are not judged: another address is another address. */
export function parseAddress(value: unknown): Hex | undefined {
  return typeof value === 'string' && addressForm.test(value) ? toLowerHex(value) : undefined
}

/** 32 bytes of any case, in lower case. */
export function parseWord(value: unknown): Hex | undefined {
  return typeof value === 'string' && wordForm.test(value) ? toLowerHex(value) : undefined
}

/** A whole number below 2^bits in its one decimal form. */
export function parseDecimal(value: unknown, bits: bigint): bigint | undefined {
  if (typeof value !== 'string' || !decimalForm.test(value)) return undefined
  const number = BigInt(value)
  return number < 1n << bits ? number : undefined
}

/**
 * Writes 32 bytes big-endian.
 *
 * @throws RangeError for a number below 0 or of more than 256 bits: the caller's own mistake.
 */
export function writeUint(target: DataView, offset: number, value: bigint): void {
  if (value < 0n || value >> 256n !== 0n) throw new RangeError('not a 256-bit number')
  // Each write takes the lowest 64 bits.
  target.setBigUint64(offset, value >> 192n)
  target.setBigUint64(offset + 8, value >> 128n)
  target.setBigUint64(offset + 16, value >> 64n)
  target.setBigUint64(offset + 24, value)
}

/** A word of 32 bytes: numbers big-endian, hex (addresses) padded on the left. @throws RangeError when it does not fit. */
export function encodeWord(value: bigint | Hex): Uint8Array {
  const word = new Uint8Array(32)
  if (typeof value === 'bigint') {
    writeUint(new DataView(word.buffer), 0, value)
    return word
  }
  const bytes = fromHex(value.slice(2))
  if (bytes === undefined || bytes.length > 32) throw new RangeError('not a word in lower-case hex')
  word.set(bytes, 32 - bytes.length)
  return word
}

function toLowerHex(text: string): Hex {
  return `0x${text.slice(2).toLowerCase()}`
}
