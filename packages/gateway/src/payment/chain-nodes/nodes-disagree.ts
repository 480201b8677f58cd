/** Nodes of which too few say the same: nothing is believed (spec/payment.md PA29.3). */
import { BaseError } from 'viem'

/** Enough nodes answered, and not enough of them alike. */
export class NodesDisagree extends BaseError {
  constructor(method: string) {
    super(`the nodes disagree about ${method}`, { name: 'NodesDisagree' })
  }
}

/** Whether this is why the chain could not be read. */
export function isDisagreement(error: unknown): boolean {
  // Errors of viem and ours name what caused them; longer chains than this one has nobody.
  let inner: unknown = error
  for (let depth = 0; depth < 16 && inner instanceof Error; depth++) {
    if (inner instanceof NodesDisagree) return true
    inner = inner.cause
  }
  return false
}
