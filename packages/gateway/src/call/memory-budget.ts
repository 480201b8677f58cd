/** How much of all request bodies together may be held: nobody has paid when a body arrives. */

/** Owner of the sum. */
export type MemoryBudget = {
  readonly takenBytes: number
  /** False, and nothing is taken, when it would be more than the limit. */
  take(sizeBytes: number): boolean
  give(sizeBytes: number): void
}

/** A budget of which nothing is taken. */
export function createMemoryBudget(limitBytes: number): MemoryBudget {
  let takenBytes = 0
  return {
    get takenBytes() {
      return takenBytes
    },
    take: (sizeBytes) => {
      if (takenBytes + sizeBytes > limitBytes) return false
      takenBytes += sizeBytes
      return true
    },
    give: (sizeBytes) => {
      takenBytes -= sizeBytes
    },
  }
}
