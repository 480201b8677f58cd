import { expect, test } from 'vitest'
import {
  boundCharge,
  boundUsage,
  computeMaximum,
  type Authorisation,
  type ModelLimits,
} from '../../src/metering/bound-price.ts'
import type { RequestMeasure } from '../../src/metering/measure-request.ts'
import { fillRates, type PriceSheet } from '../../src/metering/price-sheet.ts'
import { chargeUsage, meterUsage, needsEstimate } from '../../src/metering/settle-usage.ts'
import type { Observation, ObservedUsage } from '../../src/metering/usage.ts'

const limits: ModelLimits = {
  contextTokens: 200_000,
  maxOutputTokens: 8000,
  tokensPerAttachment: 1500,
  maxServerToolCalls: 4,
  maxChargeAtomic: undefined,
  hidesReasoning: false,
  estimate: { percent: 100, tokensPerMessage: 4, tokensPerPrompt: 2 },
}
const plain: RequestMeasure = {
  bodyBytes: 1000,
  attachments: 0,
  maxOutputTokens: 100,
  choices: 1,
  isOpenEnded: false,
  hasCacheControl: false,
}
const rates = {
  input: 3_000_000n,
  'input-audio': 40_000_000n,
  'cache-write-5m': 4_000_000n,
  'cache-write-1h': 6_000_000n,
  output: 15_000_000n,
  'web-search': 10_000_000_000n,
}
const sheet: PriceSheet = { perCallAtomic: 5n, tiers: [{ aboveInput: 0, rates: fillRates(rates) }] }

const bounds: readonly (readonly [
  what: string,
  change: Partial<RequestMeasure>,
  maximum: bigint,
])[] = [
  // 3048 tokens in at the 5-minute cache rate, 100 out.
  ['a plain call', {}, 5n + 3048n * 4n + 100n * 15n],
  ['three answers', { choices: 3 }, 5n + 3048n * 4n + 300n * 15n],
  ['no limit of its own', { maxOutputTokens: undefined }, 5n + 3048n * 4n + 8000n * 15n],
  ['a limit above the model', { maxOutputTokens: 10 ** 9 }, 5n + 3048n * 4n + 200_000n * 15n],
  ['cache control', { hasCacheControl: true }, 5n + 3048n * 6n + 100n * 15n],
  ['an attachment, which could be audio', { attachments: 2 }, 5n + 6048n * 40n + 100n * 15n],
  ['a long body', { bodyBytes: 10 ** 7 }, 5n + 200_000n * 4n + 100n * 15n],
  ['tools of the provider', { isOpenEnded: true }, 5n + 200_000n * 40n + 100n * 15n + 40_000n],
]

test.each(bounds)('authorises the most that a request can cost: %s', (_, change, maximum) => {
  const bound = boundUsage({ ...plain, ...change }, limits)
  expect(computeMaximum(sheet, bound, limits)).toBe(maximum)
  expect(computeMaximum(sheet, bound, { ...limits, maxChargeAtomic: 99n })).toBe(99n)
})

test('takes the rates of the dearest tier that the input can reach', () => {
  const dear = fillRates({ input: 9_000_000n, output: 20_000_000n })
  const tiered: PriceSheet = {
    ...sheet,
    tiers: [sheet.tiers[0], { aboveInput: 3047, rates: dear }],
  }
  const bound = boundUsage(plain, limits)
  expect(computeMaximum(tiered, bound, limits)).toBe(5n + 3048n * 9n + 100n * 20n)
  const above: PriceSheet = { ...sheet, tiers: [sheet.tiers[0], { aboveInput: 3048, rates: dear }] }
  expect(computeMaximum(above, bound, limits)).toBe(5n + 3048n * 4n + 100n * 15n)
})

test('bounds images and recordings by what a sheet has a price for', () => {
  const priced = fillRates({ image: 40_000_000_000n, 'audio-second': 100_000_000n })
  const media: PriceSheet = { perCallAtomic: 0n, tiers: [{ aboveInput: 0, rates: priced }] }
  const images = boundUsage({ ...plain, choices: 2 }, limits)
  expect(computeMaximum(media, images, limits)).toBe(80_000n)
  const recording = boundUsage({ ...plain, attachments: 1, bodyBytes: 5001 }, limits)
  expect(computeMaximum(media, recording, limits)).toBe(40_000n + 11n * 100n)
})

function authorise(change: Partial<ModelLimits> = {}): Authorisation {
  const own = { ...limits, ...change }
  const bound = boundUsage(plain, own)
  return { sheet, limits: own, bound, maximumAtomic: computeMaximum(sheet, bound, own) }
}

test('charges the most seconds of a recording that nobody counted, and no less than the running bound', () => {
  const priced = fillRates({ 'audio-second': 100_000_000n })
  const media: PriceSheet = { perCallAtomic: 0n, tiers: [{ aboveInput: 0, rates: priced }] }
  const bound = boundUsage({ ...plain, attachments: 1, bodyBytes: 5001 }, limits)
  const maximumAtomic = computeMaximum(media, bound, limits)
  const authorisation = { sheet: media, limits, bound, maximumAtomic }
  const uncounted = seen({ kind: 'none', counts: {} }, { isTerminated: true })
  expect(needsEstimate(authorisation, uncounted)).toBe(true)
  for (const estimate of [undefined, { input: 10, output: 20 }]) {
    const metered = meterUsage(authorisation, uncounted, estimate)
    expect(metered).toMatchObject({ source: 'estimated', counts: { 'audio-second': 11 } })
    expect(chargeUsage(authorisation, metered)).toEqual({ amountAtomic: 1100n, isCapped: false })
  }
  expect(boundCharge(authorisation, uncounted, 0)).toBe(1100n)
  const counted = seen({ kind: 'none', counts: { 'audio-second': 3 } }, { isTerminated: true })
  const metered = meterUsage(authorisation, counted, undefined)
  expect(chargeUsage(authorisation, metered).amountAtomic).toBe(300n)
})

function seen(usage: ObservedUsage, more: Partial<Observation> = {}): Observation {
  return {
    model: null,
    finish: null,
    serviceTier: null,
    usage,
    isTerminated: false,
    hasError: false,
    ...more,
  }
}

const none: ObservedUsage = { kind: 'none', counts: {} }
const counted = (kind: 'exact' | 'input-only', counts: object): ObservedUsage => ({
  kind,
  counts,
  raw: null,
  notes: [],
  providerTicks: null,
})

test('charges the provider’s figures where there are some', () => {
  const observation = seen(counted('exact', { input: 10, output: 20 }))
  expect(needsEstimate(authorise(), observation)).toBe(false)
  const metered = meterUsage(authorise(), observation, undefined)
  expect(metered).toEqual({ source: 'provider', counts: { input: 10, output: 20 } })
  expect(chargeUsage(authorise(), metered)).toEqual({ amountAtomic: 335n, isCapped: false })
  expect(boundCharge(authorise(), observation, 10 ** 6)).toBe(335n)
})

test('estimates what is missing, never beyond the bound of the request', () => {
  const open = seen(none)
  expect(needsEstimate(authorise(), open)).toBe(true)
  expect(meterUsage(authorise(), open, { input: 7, output: 8 })).toEqual({
    source: 'estimated',
    counts: { input: 7, output: 8 },
  })
  const most = { source: 'estimated', counts: { input: 3048, output: 100 } }
  expect(meterUsage(authorise(), open, { input: 10 ** 9, output: 10 ** 9 })).toEqual(most)
  expect(meterUsage(authorise(), open, undefined)).toEqual(most)
})

test('keeps a counted input and estimates the output only', () => {
  const observation = seen(counted('input-only', { input: 9, 'cache-read': 4, output: 1 }))
  expect(meterUsage(authorise(), observation, { input: 700, output: 8 })).toEqual({
    source: 'estimated',
    counts: { input: 9, 'cache-read': 4, output: 8 },
  })
  expect(boundCharge(authorise(), observation, 8)).toBe(5n + 27n + 120n)
})

test('does not give hidden reasoning away to who forbids its count', () => {
  const hiding = authorise({ hidesReasoning: true })
  const estimate = { input: 7, output: 8 }
  expect(meterUsage(hiding, seen(none, { isTerminated: true }), estimate).counts.output).toBe(100)
  expect(meterUsage(hiding, seen(none), estimate).counts.output).toBe(8)
  expect(meterUsage(authorise(), seen(none, { isTerminated: true }), estimate).counts.output).toBe(
    8,
  )
})

test('charges nothing for a failure without figures', () => {
  const failure = seen(none, { hasError: true, isTerminated: true })
  expect(needsEstimate(authorise(), failure)).toBe(false)
  const metered = meterUsage(authorise(), failure, undefined)
  expect(metered).toEqual({ source: 'none', counts: {} })
  expect(chargeUsage(authorise(), metered).amountAtomic).toBe(0n)
})

test('charges a fixed price whatever was used', () => {
  const fixed: PriceSheet = { perCallAtomic: 9n, tiers: [{ aboveInput: 0, rates: fillRates({}) }] }
  const authorisation = { ...authorise(), sheet: fixed, maximumAtomic: 9n }
  expect(needsEstimate(authorisation, seen(none))).toBe(false)
  const metered = meterUsage(authorisation, seen(none), undefined)
  expect(chargeUsage(authorisation, metered).amountAtomic).toBe(9n)
})

test('charges by the image where a model counts no tokens', () => {
  const priced: PriceSheet = {
    perCallAtomic: 0n,
    tiers: [{ aboveInput: 0, rates: fillRates({ image: 40_000_000_000n }) }],
  }
  const authorisation = { ...authorise(), sheet: priced, maximumAtomic: 100_000n }
  const drawn = seen({ kind: 'none', counts: { image: 2 } }, { isTerminated: true })
  expect(needsEstimate(authorisation, drawn)).toBe(false)
  const metered = meterUsage(authorisation, drawn, undefined)
  expect(metered).toEqual({ source: 'provider', counts: { image: 2 } })
  expect(chargeUsage(authorisation, metered).amountAtomic).toBe(80_000n)
  expect(boundCharge(authorisation, drawn, 500)).toBe(80_000n)
})

test('bounds a call that ends now by its bytes, or by what it may have hidden', () => {
  const hiding = authorise({ hidesReasoning: true })
  const input = 5n + 3048n * 4n
  expect(boundCharge(hiding, seen(none), 30)).toBe(input + 30n * 15n)
  expect(boundCharge(hiding, seen(none, { isTerminated: true }), 30)).toBe(input + 100n * 15n)
  expect(boundCharge(authorise(), seen(none, { isTerminated: true }), 30)).toBe(input + 30n * 15n)
  expect(boundCharge(hiding, seen(none), 10 ** 9)).toBe(hiding.maximumAtomic)
})

test('bounds an input that outgrew its request by the tier that it reached', () => {
  const dear = fillRates({ input: 9_000_000n, output: 20_000_000n })
  const tiers = [sheet.tiers[0], { aboveInput: 5000, rates: dear }] as const
  const authorisation = { ...authorise(), sheet: { ...sheet, tiers }, maximumAtomic: 10n ** 9n }
  const grown = seen(counted('input-only', { input: 6000, output: 1 }))
  const metered = meterUsage(authorisation, grown, { input: 0, output: 10 })
  expect(chargeUsage(authorisation, metered).amountAtomic).toBe(5n + 54_000n + 200n)
  expect(boundCharge(authorisation, grown, 10)).toBe(5n + 54_000n + 200n)
})
