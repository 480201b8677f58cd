/** How long a payment may hold (spec/payment.md PA7.7, PA17.2): what is owed by it is kept, and tried, until its end. */

/** By how much the clocks of payers may be ahead. */
const skewSeconds = 600n

/** The last second at which a payment may end that is presented now. */
export function latestEndSeconds(
  nowSeconds: bigint,
  { maxTimeoutSeconds }: { readonly maxTimeoutSeconds: number },
): bigint {
  return nowSeconds + BigInt(maxTimeoutSeconds) + skewSeconds
}
