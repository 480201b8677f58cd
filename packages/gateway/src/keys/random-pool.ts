/** Random bytes drawn from the system in large pieces. */
import { randomFillSync } from 'node:crypto'

/** Gives fresh random bytes; each byte is given once. */
export type RandomBytes = (length: number) => Uint8Array

const poolBytes = 16_384

/** A pool of its own. Pieces are views of a buffer that is never written again. */
export function createRandomPool(): RandomBytes {
  let pool = new Uint8Array(0)
  let offset = 0
  return (length) => {
    if (offset + length > pool.length) {
      pool = randomFillSync(new Uint8Array(Math.max(poolBytes, length)))
      offset = 0
    }
    const piece = pool.subarray(offset, offset + length)
    offset += length
    return piece
  }
}
