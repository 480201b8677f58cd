/** Ranges of blocks in which events are asked for. */
import { expect, test } from 'vitest'
import { latestRanges, rangesSince, type BlockRange } from '../src/payment/log-ranges.ts'

const lengths = (ranges: readonly BlockRange[]): readonly bigint[] =>
  ranges.map(({ fromBlock, toBlock }) => toBlock - fromBlock + 1n)

test('the latest blocks are asked for first, and not more than 100,000', () => {
  expect(latestRanges(0n, 0n)).toEqual([{ fromBlock: 0n, toBlock: 0n }])
  expect(latestRanges(7n, 6n)).toEqual([])
  expect(latestRanges(10n, 5010n)).toEqual([
    { fromBlock: 11n, toBlock: 5010n },
    { fromBlock: 10n, toBlock: 10n },
  ])
  const many = latestRanges(0n, 1_000_000n)
  expect(lengths(many)).toEqual(Array<bigint>(20).fill(5000n))
  expect([many[0]?.toBlock, many.at(-1)?.fromBlock]).toEqual([1_000_000n, 900_001n])
})

test('since a block: the first 100,000 in order, then the latest 100,000, none twice', () => {
  expect(rangesSince(7n, 6n)).toEqual([])
  expect(rangesSince(7n, 7n)).toEqual([{ fromBlock: 7n, toBlock: 7n }])
  const short = rangesSince(100n, 12_099n)
  expect(lengths(short)).toEqual([5000n, 5000n, 2000n])
  // Everything is covered while it is not more than 200,000 blocks.
  for (const count of [100_000n, 100_001n, 150_000n, 200_000n]) {
    const ranges = rangesSince(50n, 49n + count)
    const sorted = ranges.toSorted((a, b) => (a.fromBlock < b.fromBlock ? -1 : 1))
    let next = 50n
    for (const { fromBlock, toBlock } of sorted) {
      expect(fromBlock).toBe(next)
      expect(toBlock - fromBlock).toBeLessThan(5000n)
      next = toBlock + 1n
    }
    expect(next).toBe(50n + count)
  }
  const long = rangesSince(0n, 10_000_000n)
  expect(long).toHaveLength(40)
  expect(long[0]).toEqual({ fromBlock: 0n, toBlock: 4999n })
  expect(long[19]).toEqual({ fromBlock: 95_000n, toBlock: 99_999n })
  expect(long[20]).toEqual({ fromBlock: 9_995_001n, toBlock: 10_000_000n })
})
