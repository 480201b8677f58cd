/** Two programs compute the price of a call: the gateway, and whoever recomputes a bill from a receipt. They must agree. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRates, priceUse } from '@countersign/protocol/receipt/bill'
import {
  computePrice,
  encodeSheet,
  fillRates,
  type PriceSheet,
} from '../../src/metering/price-sheet.ts'
import { usageKinds, type UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import type { UsageCounts } from '../../src/metering/usage.ts'

const rates = fc.dictionary(fc.constantFrom(...usageKinds), fc.bigInt(0n, 10n ** 12n))
const counts = fc.dictionary(fc.constantFrom(...usageKinds), fc.integer({ min: 0, max: 2 ** 46 }))
const sheets = fc
  .tuple(
    fc.bigInt(0n, 10n ** 9n),
    rates,
    fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 2 ** 40 }), rates), {
      maxLength: 3,
      selector: ([above]) => above,
    }),
  )
  .map(([perCallAtomic, first, more]): PriceSheet => {
    const later = more
      .toSorted(([a], [b]) => a - b)
      .map(([aboveInput, given]) => ({ aboveInput, rates: fill(given) }))
    return { perCallAtomic, tiers: [{ aboveInput: 0, rates: fill(first) }, ...later] }
  })

function fill(given: Readonly<Partial<Record<UsageKind, bigint>>>): ReturnType<typeof fillRates> {
  return fillRates(given)
}

test('a stated sheet is read back, and gives the price that the gateway charged', () => {
  let priced = 0
  const property = fc.property(sheets, counts, (sheet, used: UsageCounts) => {
    const text = encodeSheet('a model', sheet)
    const stated = parseRates(text)
    expect(stated.model).toBe('a model')
    const use = new Map(Object.entries(used))
    const price = computePrice(sheet, used)
    expect(priceUse(stated, use)).toBe(price)
    if (price > sheet.perCallAtomic) priced += 1
  })
  fc.assert(property, { numRuns: 500 })
  expect(priced).toBeGreaterThan(50)
})
