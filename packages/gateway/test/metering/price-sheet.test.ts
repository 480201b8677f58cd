import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  computeCharge,
  computePrice,
  computeSheetsDigest,
  fillRates,
  highestRate,
  isMetered,
  pricesTokens,
  type PriceSheet,
} from '../../src/metering/price-sheet.ts'
import { usageKinds } from '@countersign/protocol/receipt/usage-kinds'
import type { UsageCounts } from '../../src/metering/usage.ts'

const sheet: PriceSheet = {
  perCallAtomic: 7n,
  tiers: [
    {
      aboveInput: 0,
      rates: fillRates({ input: 300_000n, 'cache-read': 75_000n, reasoning: 500_000n }),
    },
    { aboveInput: 1000, rates: fillRates({ input: 600_000n, output: 1_000_000n }) },
  ],
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('sums all kinds and rounds up once', () => {
  // 1 × 0.3 + 11 × 0.075 + 291 × 0.5 = 146.625
  expect(computePrice(sheet, { input: 1, 'cache-read': 11, reasoning: 291 })).toBe(7n + 147n)
  expect(computePrice(sheet, { input: 10 })).toBe(7n + 3n)
  expect(computePrice(sheet, { input: 1 })).toBe(7n + 1n)
  expect(computePrice(sheet, {})).toBe(7n)
})

test('applies a tier to the whole call, and only above its start', () => {
  expect(computePrice(sheet, { input: 1000 })).toBe(7n + 300n)
  expect(computePrice(sheet, { input: 1001 })).toBe(7n + 601n)
  // Cached tokens count as input; here they have no rate in the second tier.
  expect(computePrice(sheet, { input: 1, 'cache-read': 1000 })).toBe(7n + 1n)
  // What came out does not.
  expect(computePrice(sheet, { input: 1, output: 5000 })).toBe(7n + 1n)
})

test('charges at most what was authorised, and says when that was less', () => {
  expect(computeCharge(sheet, { input: 10 }, 10n)).toEqual({ amountAtomic: 10n, isCapped: false })
  expect(computeCharge(sheet, { input: 10 }, 9n)).toEqual({ amountAtomic: 9n, isCapped: true })
})

test('never loses a part of a unit, and never adds more than one', () => {
  const counts = fc.dictionary(fc.constantFrom(...usageKinds), fc.nat({ max: 10_000_000 }))
  const rates = fc.dictionary(
    fc.constantFrom(...usageKinds),
    fc.bigInt({ min: 0n, max: 10n ** 12n }),
  )
  fc.assert(
    fc.property(counts, rates, (used: UsageCounts, some) => {
      const filled = fillRates(some)
      const exact = usageKinds.reduce(
        (sum, kind) => sum + BigInt(used[kind] ?? 0) * filled[kind],
        0n,
      )
      const price = computePrice(
        { perCallAtomic: 0n, tiers: [{ aboveInput: 0, rates: filled }] },
        used,
      )
      expect(price * 1_000_000n >= exact && (price - 1n) * 1_000_000n < exact).toBe(true)
    }),
  )
})

test('finds the highest rate that a call can reach', () => {
  expect(highestRate(sheet, ['input', 'cache-read'], 1000)).toBe(300_000n)
  expect(highestRate(sheet, ['input', 'cache-read'], 1001)).toBe(600_000n)
  expect(highestRate(sheet, ['reasoning'], 5000)).toBe(500_000n)
  expect(highestRate(sheet, ['image'], 5000)).toBe(0n)
})

const fixed = (rates: PriceSheet['tiers'][0]['rates']): PriceSheet => ({
  perCallAtomic: 1n,
  tiers: [{ aboveInput: 0, rates }],
})

test('knows a fixed price from a metered one', () => {
  expect([isMetered(fixed(fillRates({}))), pricesTokens(fixed(fillRates({})))]).toEqual([
    false,
    false,
  ])
  expect([
    isMetered(fixed(fillRates({ image: 1n }))),
    pricesTokens(fixed(fillRates({ image: 1n }))),
  ]).toEqual([true, false])
  expect([isMetered(sheet), pricesTokens(sheet)]).toEqual([true, true])
  expect(pricesTokens(fixed(fillRates({ output: 1n })))).toBe(true)
})

test('digests what is charged, in one form', () => {
  const other: PriceSheet = { ...sheet, perCallAtomic: 8n }
  const digest = hex(
    computeSheetsDigest([
      ['a', sheet],
      ['b', other],
    ]),
  )
  expect(
    hex(
      computeSheetsDigest([
        ['b', other],
        ['a', sheet],
      ]),
    ),
  ).toBe(digest)
  // SHA-256 of the text that spec/metering.md ME5.5 gives as its example.
  expect(
    hex(
      computeSheetsDigest([
        [
          'm',
          {
            perCallAtomic: 5n,
            tiers: [{ aboveInput: 0, rates: fillRates({ output: 2n, input: 1n }) }],
          },
        ],
      ]),
    ),
  ).toBe('2db9e02d06514200d31d16b1614f3811ed47f0c221a8287c7b56a6e9d6a603ef')
  const changed: readonly PriceSheet[] = [
    other,
    { ...sheet, tiers: [sheet.tiers[0]] },
    {
      ...sheet,
      tiers: [
        sheet.tiers[0],
        { aboveInput: 1001, rates: fillRates({ input: 600_000n, output: 1_000_000n }) },
      ],
    },
    {
      ...sheet,
      tiers: [
        sheet.tiers[0],
        { aboveInput: 1000, rates: fillRates({ input: 600_000n, output: 1_000_001n }) },
      ],
    },
  ]
  const digests = [sheet, ...changed].map((one) => hex(computeSheetsDigest([['a', one]])))
  expect(new Set(digests).size).toBe(5)
  expect(hex(computeSheetsDigest([['c', sheet]]))).not.toBe(digests[0])
})
