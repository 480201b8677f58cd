/** Ranges of blocks in which events are asked for: public nodes answer only so many blocks at once. */

/** Both ends included. */
export type BlockRange = { readonly fromBlock: bigint; readonly toBlock: bigint }

/** What public nodes answer at once, and how often we ask: 100,000 blocks are more than two days. */
const blocksPerRead = 5000n
const maxReads = 20

/** The latest blocks first, none before `fromBlock`, and not more than we ask for. */
export function latestRanges(fromBlock: bigint, toBlock: bigint): readonly BlockRange[] {
  const ranges: BlockRange[] = []
  let last = toBlock
  while (ranges.length < maxReads && last >= fromBlock) {
    const first = last - blocksPerRead + 1n
    const range = { fromBlock: first > fromBlock ? first : fromBlock, toBlock: last }
    ranges.push(range)
    last = range.fromBlock - 1n
  }
  return ranges
}

/** The first blocks since `fromBlock`, in order; then the latest of those behind them. */
export function rangesSince(fromBlock: bigint, toBlock: bigint): readonly BlockRange[] {
  const ranges: BlockRange[] = []
  let first = fromBlock
  while (ranges.length < maxReads && first <= toBlock) {
    const last = first + blocksPerRead - 1n
    const range = { fromBlock: first, toBlock: last < toBlock ? last : toBlock }
    ranges.push(range)
    first = range.toBlock + 1n
  }
  return [...ranges, ...latestRanges(first, toBlock)]
}
