/** Whether a list of nodes and a number that must agree are a rule (spec/payment.md PA29.1). */

/** Each URL counts once. By default the least number that two contradicting answers cannot both reach. */
export function defaultAgree(count: number): number {
  return Math.floor(count / 2) + 1
}

/** What is wrong with them, in words; `undefined` when nothing is. */
export function findNodeListFault(
  urls: readonly string[],
  agree: number | undefined,
): string | undefined {
  const count = urls.length
  const different = new Set(urls.map((url) => new URL(url).href))
  if (different.size < count) return 'otherNodes names a node twice, or rpcUrl'
  if (agree !== undefined && (agree > count || agree * 2 <= count)) {
    return `agree must be more than half of ${count} nodes, and not more than all`
  }
  return undefined
}
