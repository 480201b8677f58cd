/** The caller may hang up after any event: what it is then charged is bound at each of them (spec/metering.md ME9). */
import { expect, test } from 'vitest'
import { findBuiltInPrice } from '../../src/catalogue/built-in-prices.ts'
import {
  boundCharge,
  boundUsage,
  computeMaximum,
  type Authorisation,
  type ModelLimits,
} from '../../src/metering/bound-price.ts'
import { createUsageObserver } from '../../src/metering/observe-usage.ts'
import { computePrice, type PriceSheet } from '../../src/metering/price-sheet.ts'
import { chargeUsage, meterUsage, needsEstimate } from '../../src/metering/settle-usage.ts'
import { totalOutput, type Observation } from '../../src/metering/usage.ts'
import { countStreamText } from '../../src/metering/visible-text.ts'
import { absence, hasRecordings } from '../../../../test/provider/recordings.ts'
import { readRecordings, type Recording } from './recordings.ts'

const limits: ModelLimits = {
  contextTokens: 1_000_000,
  maxOutputTokens: 128_000,
  tokensPerAttachment: 1_000_000,
  maxServerToolCalls: 16,
  maxChargeAtomic: undefined,
  hidesReasoning: true,
}
const request = Buffer.from(`{"messages":[{"role":"user","content":"${'why? '.repeat(60)}"}]}`)

function sheetOf({ wire, path }: Recording): PriceSheet {
  const models = {
    openai: 'gpt-5-mini',
    anthropic: 'claude-opus-5',
    google: 'gemini-3-pro-preview',
    xai: 'grok-3-mini',
  }
  const provider = (['openai', 'anthropic', 'google', 'xai'] as const).find((name) =>
    wire.startsWith(name),
  )
  if (provider === undefined) throw new Error(path)
  const found = findBuiltInPrice({
    provider,
    model: models[provider],
    atMs: Date.UTC(2026, 10, 21),
    atomicPerUsd: 1_000_000n,
    percent: 100n,
  })
  if (typeof found === 'string') throw new Error(`${path}: ${found}`)
  return found.sheet
}

/** Three budgets: that of the request, one that just covers the answer, and one that does not. */
function authorisations(sheet: PriceSheet, last: Observation): readonly Authorisation[] {
  const used = last.usage.kind === 'exact' ? last.usage.counts : {}
  const measure = {
    bodyBytes: request.length,
    attachments: 0,
    maxOutputTokens: totalOutput(used),
    choices: 1,
    isOpenEnded: (used['web-search'] ?? 0) > 0 || (used['server-tool'] ?? 0) > 0,
    hasCacheControl: true,
  }
  const bound = boundUsage(measure, limits)
  const price = computePrice(sheet, used)
  const maximumAtomic = computeMaximum(sheet, bound, limits)
  const own = { sheet, limits, bound }
  return [
    { ...own, maximumAtomic },
    { ...own, maximumAtomic: price },
    { ...own, maximumAtomic: price / 2n },
    { ...own, limits: { ...limits, hidesReasoning: false }, maximumAtomic },
  ]
}

test.skipIf(!hasRecordings)(
  `charges no more than its bound, and that no more than was authorised, at every event${absence}`,
  () => {
    let cuts = 0
    let estimated = 0
    let capped = 0
    for (const recording of readRecordings()) {
      const sheet = sheetOf(recording)
      for (const answer of recording.answers) {
        if (answer.kind === 'body') continue
        const whole = createUsageObserver(recording.wire)
        for (const event of answer.events) whole.observe(event)
        const budgets = authorisations(sheet, whole.result())
        const observer = createUsageObserver(recording.wire)
        let seenBytes = 0
        // Texts of events add up: counting each once gives the text of every prefix.
        let textBytes = 0
        for (const event of [Buffer.alloc(0), ...answer.events]) {
          observer.observe(event)
          seenBytes += event.length
          textBytes += countStreamText(event)
          const seen = observer.result()
          for (const budget of budgets) {
            const estimate = needsEstimate(budget, seen)
              ? { input: request.length, output: textBytes }
              : undefined
            const metered = meterUsage(budget, seen, estimate)
            const charge = chargeUsage(budget, metered)
            const bound = boundCharge(budget, seen, seenBytes)
            expect(charge.amountAtomic <= bound, recording.path).toBe(true)
            expect(bound <= budget.maximumAtomic, recording.path).toBe(true)
            cuts++
            if (metered.source === 'estimated') estimated++
            if (charge.isCapped) capped++
          }
        }
      }
    }
    expect(cuts).toBeGreaterThan(16_000)
    expect(estimated).toBeGreaterThan(10_000)
    expect(capped).toBeGreaterThan(100)
  },
)

test.skipIf(!hasRecordings)(
  `never takes back what it counted, and never counts more than the last snapshot${absence}`,
  () => {
    let snapshots = 0
    for (const recording of readRecordings()) {
      const sheet = sheetOf(recording)
      for (const answer of recording.answers) {
        if (answer.kind === 'body') continue
        const observer = createUsageObserver(recording.wire)
        let last = 0n
        for (const event of answer.events) {
          observer.observe(event)
          const { usage } = observer.result()
          if (usage.kind === 'none') continue
          const price = computePrice(sheet, usage.counts)
          expect(price >= last, recording.path).toBe(true)
          if (price > last) snapshots++
          last = price
        }
      }
    }
    expect(snapshots).toBeGreaterThan(40)
  },
)

test.skipIf(!hasRecordings)(
  `finds no recording whose visible output has more tokens than bytes of text${absence}`,
  () => {
    let compared = 0
    for (const { path, answers, wire } of readRecordings()) {
      for (const answer of answers) {
        if (answer.kind === 'body') continue
        const observer = createUsageObserver(wire)
        for (const event of answer.events) observer.observe(event)
        const { usage } = observer.result()
        if (usage.kind === 'none' || path.includes('duplicate') || path === trimmed) continue
        const visible = totalOutput(usage.counts) - (usage.counts.reasoning ?? 0)
        expect(countStreamText(Buffer.concat(answer.events)), path).toBeGreaterThanOrEqual(visible)
        compared++
      }
    }
    expect(compared).toBeGreaterThan(30)
  },
)

// Cut by hand: 8 of some 290 events, with the usage of all.
const trimmed = 'xai/native/xai-text.chunks.txt'
