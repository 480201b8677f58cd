/** Collects a body that arrives in pieces. A list of pieces would do: but a sender of single bytes makes it huge. */

/** Owner of the bytes collected so far. */
export type BodyCollector = {
  append(piece: Uint8Array): void
  /** All bytes so far; do not change them. */
  bytes(): Buffer
}

const noBytes = Buffer.alloc(0)

/** An empty collector. It holds at most twice the bytes that it was given, in however many pieces they came. */
export function createBodyCollector(): BodyCollector {
  let room: Buffer = noBytes
  let length = 0
  return {
    append: (piece) => {
      if (length === 0) {
        // The usual body is one piece: kept as it is, never written to, because it has no room for another.
        room = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
      } else {
        const needed = length + piece.length
        if (needed > room.length) room = withRoom(room, Math.max(needed, 2 * room.length))
        room.set(piece, length)
      }
      length += piece.length
    },
    bytes: () => room.subarray(0, length),
  }
}

/** Owner of a body that is kept as long as it is small. */
export type BodyKeeper = {
  push(chunk: Buffer): void
  /** `undefined` once it was too large. */
  body(): Buffer | undefined
}

/** Keeps up to `maxBytes`. */
export function createBodyKeeper(maxBytes: number): BodyKeeper {
  let collected: BodyCollector | undefined = createBodyCollector()
  let sizeBytes = 0
  return {
    push(chunk) {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) collected = undefined
      collected?.append(chunk)
    },
    body: () => collected?.bytes(),
  }
}

/** The same bytes at the beginning of more room. */
export function withRoom(room: Buffer, sizeBytes: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(sizeBytes)
  room.copy(larger)
  return larger
}
