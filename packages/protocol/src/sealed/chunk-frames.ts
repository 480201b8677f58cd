/** The frames of a chunked message (spec/sealed.md SE3): each chunk by its length, the last one by 0 and its end. */
import { concatBytes } from '../bytes/byte-string.ts'
import { encodeInteger, readInteger } from './quic-integer.ts'
import { SealedError } from './sealed-error.ts'

/** Most bytes of one sealed chunk. */
export const maxChunkBytes = 65_536

/** Cuts a body that arrives in pieces. */
export type FrameReader = {
  /** The chunks, in their order, that are whole now; never the last one. */
  push(piece: Uint8Array): readonly Uint8Array[]
  /** The last chunk, when the body has ended. */
  end(): Uint8Array
}

/** A chunk that is not the last. */
export function encodeFrame(sealed: Uint8Array): Uint8Array {
  return concatBytes(encodeInteger(sealed.length), sealed)
}

/** The last chunk: it ends with the body. */
export function encodeLastFrame(sealed: Uint8Array): Uint8Array {
  return concatBytes(encodeInteger(0), sealed)
}

/**
 * A reader of one body. What it holds back is at most one chunk and the piece that was pushed.
 *
 * @param maxChunks - most chunks before the last; one more is `sealed-malformed` as soon as it is seen.
 * @throws SealedError `sealed-malformed`, `sealed-truncated`, from its methods.
 */
export function createFrameReader(maxChunks: number = Infinity): FrameReader {
  // Owned by this reader: what came, how far it was read, and how many chunks there were.
  let held = new Uint8Array(0)
  let at = 0
  let count = 0
  let isLast = false

  /** The next chunk, when it is whole. */
  function take(): Uint8Array | undefined {
    const length = isLast ? undefined : readInteger(held, at)
    if (length === undefined) return undefined
    if (length.value > maxChunkBytes) throw new SealedError('sealed-malformed')
    const end = length.end + length.value
    isLast = length.value === 0
    if (!isLast && held.length < end) return undefined
    at = end
    if (isLast) return undefined
    count++
    if (count > maxChunks) throw new SealedError('sealed-malformed')
    return held.slice(length.end, end)
  }

  return {
    push: (piece) => {
      held = new Uint8Array(concatBytes(held.subarray(at), piece))
      at = 0
      const chunks: Uint8Array[] = []
      for (let chunk = take(); chunk !== undefined; chunk = take()) chunks.push(chunk)
      if (isLast && held.length - at > maxChunkBytes) throw new SealedError('sealed-malformed')
      return chunks
    },
    end: () => {
      if (!isLast) throw new SealedError('sealed-truncated')
      return held.subarray(at)
    },
  }
}
