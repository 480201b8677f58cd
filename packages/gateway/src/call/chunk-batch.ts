/** Joins chunks that arrive in one turn: a read from the network often holds many small ones. */

/** Owner of the chunks of the turn. */
export type ChunkBatch = {
  push(chunk: Buffer): void
  /** Hands over at once what waits. */
  flush(): void
  /** Forgets what waits, for ever. */
  drop(): void
}

/** Hands over the bytes when `schedule` runs its task, in one piece. */
export function createChunkBatch(
  take: (bytes: Buffer) => void,
  schedule: (task: () => void) => void,
): ChunkBatch {
  let chunks: Buffer[] = []

  function flush(): void {
    const waiting = chunks
    const [first] = waiting
    chunks = []
    if (first !== undefined) take(waiting.length === 1 ? first : Buffer.concat(waiting))
  }

  return {
    push: (chunk) => {
      if (chunks.push(chunk) === 1) schedule(flush)
    },
    flush,
    drop: () => {
      chunks = []
    },
  }
}
