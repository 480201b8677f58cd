/** How much of all request bodies together may be held: nobody has paid when a body arrives. */

/** Owner of the sum. */
export type MemoryBudget = {
  readonly takenBytes: number
  /** Sets the limit; what is taken stays taken. */
  limit(limitBytes: number): void
  /** False, and nothing is taken, when it would be more than the limit. */
  take(sizeBytes: number): boolean
  give(sizeBytes: number): void
}

/** A budget of which nothing is taken. */
export function createMemoryBudget(initialLimitBytes: number): MemoryBudget {
  let limitBytes = initialLimitBytes
  let takenBytes = 0
  return {
    get takenBytes() {
      return takenBytes
    },
    limit: (newLimitBytes) => {
      limitBytes = newLimitBytes
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
