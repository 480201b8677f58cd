/** Integers of variable length (RFC 9000 §16), in their shortest form. */
import { SealedError } from './sealed-error.ts'

/** Most that is ever written here: what two, four or fewer bytes hold. */
const maxInteger = 0x3fffffff

/** An integer and where it ends; `undefined` when the bytes end first. */
export type ReadInteger = { readonly value: number; readonly end: number } | undefined

/** @throws RangeError above 2^30 − 1. */
export function encodeInteger(value: number): Uint8Array {
  if (value < 0x40) return Uint8Array.of(value)
  if (value < 0x4000) return Uint8Array.of(0x40 | (value >> 8), value & 0xff)
  if (value > maxInteger) throw new RangeError('an integer above 2^30 − 1')
  return Uint8Array.of(
    0x80 | (value >> 24),
    (value >> 16) & 0xff,
    (value >> 8) & 0xff,
    value & 0xff,
  )
}

/** @throws SealedError `sealed-malformed` for a longer form than needed, or more than 2^30 − 1. */
export function readInteger(bytes: Uint8Array, at: number): ReadInteger {
  const first = bytes[at]
  if (first === undefined) return undefined
  const length = 1 << (first >> 6)
  if (length === 8) throw new SealedError('sealed-malformed')
  if (at + length > bytes.length) return undefined
  let value = first & 0x3f
  for (const byte of bytes.subarray(at + 1, at + length)) value = value * 256 + byte
  if (encodeInteger(value).length !== length) throw new SealedError('sealed-malformed')
  return { value, end: at + length }
}
