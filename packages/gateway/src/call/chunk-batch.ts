/** Joins chunks that arrive in one turn: a read from the network often holds many small ones. */

/** Owner of the chunks of the turn. */
export type ChunkBatch = {
  push(chunk: Buffer): void
  /** Hands over at once what waits. */
  flush(): void
  /** Forgets what waits, for ever. */
  drop(): void
}

/** Hands over the bytes before the process reads or writes again, so nothing is delayed. */
export function createChunkBatch(take: (bytes: Buffer) => void): ChunkBatch {
  let chunks: Buffer[] = []

  function flush(): void {
    const waiting = chunks
    const [first] = waiting
    chunks = []
    if (first !== undefined) take(waiting.length === 1 ? first : Buffer.concat(waiting))
  }

  return {
    push: (chunk) => {
      if (chunks.push(chunk) === 1) process.nextTick(flush)
    },
    flush,
    drop: () => {
      chunks = []
    },
  }
}
