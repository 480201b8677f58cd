import { readFileSync } from 'node:fs'
import { calcPrice } from '@pydantic/genai-prices'
import { expect, test, vi } from 'vitest'
import { findBuiltInPrice, type BuiltInPrice } from '../../src/catalogue/built-in-prices.ts'
import {
  createUsageObserver,
  observeBody,
  type MeterWire,
} from '../../src/metering/observe-usage.ts'
import { computePrice } from '../../src/metering/price-sheet.ts'
import {
  compactCounts,
  totalInput,
  totalOutput,
  type Observation,
  type UsageCounts,
} from '../../src/metering/usage.ts'
import { absence, hasRecordings } from '../../../../test/provider/recordings.ts'
import { readRecordings, type RecordedAnswer } from './recordings.ts'

// The figures of every recording, written down apart from them.
const expectedUsage: unknown = JSON.parse(
  readFileSync(new URL('expected-usage.json', import.meta.url), 'utf8'),
)
const atMs = Date.UTC(2026, 10, 21)

function observe(wire: MeterWire, answer: RecordedAnswer): Observation {
  if (answer.kind === 'body') return observeBody(wire, answer.body)
  const observer = createUsageObserver(wire)
  for (const event of answer.events) observer.observe(event)
  return observer.result()
}

function toRow({ model, finish, usage, isTerminated, hasError }: Observation): unknown {
  const flags = [...(isTerminated ? [] : ['open']), ...(hasError ? ['error'] : [])]
  if (usage.kind === 'none') {
    return { model, finish, usage: null, ...(flags.length > 0 ? { flags } : {}) }
  }
  expect(usage.kind).toBe('exact')
  flags.push(...usage.notes)
  return {
    model,
    finish,
    usage: compactCounts(usage.counts),
    ...(flags.length > 0 ? { flags } : {}),
    ...(usage.providerTicks === null ? {} : { ticks: usage.providerTicks }),
  }
}

function listPrice(wire: MeterWire, model: string, atomicPerUsd: bigint): BuiltInPrice | undefined {
  const family = wire.split('-')[0]
  const provider = (['openai', 'anthropic', 'google', 'xai'] as const).find(
    (name) => name === family,
  )
  if (provider === undefined) return undefined
  const found = findBuiltInPrice({ provider, model, atMs, atomicPerUsd, percent: 100n })
  return typeof found === 'string' ? undefined : found
}

/** US dollars, by the library that the list prices come from. */
function secondOpinion(wire: MeterWire, model: string, counts: UsageCounts): number {
  const theirs = calcPrice(
    {
      input_tokens: totalInput(counts),
      cache_read_tokens: counts['cache-read'] ?? 0,
      cache_write_tokens: (counts['cache-write-5m'] ?? 0) + (counts['cache-write-1h'] ?? 0),
      output_tokens: totalOutput(counts),
      web_searches: counts['web-search'] ?? 0,
      storage_searches: counts['file-search'] ?? 0,
    },
    model,
    {
      providerId: wire.startsWith('xai') ? 'x-ai' : (wire.split('-')[0] ?? ''),
      timestamp: new Date(atMs),
    },
  )
  return theirs?.total_price ?? Number.NaN
}

test.skipIf(!hasRecordings)(`meters every recording to the token${absence}`, () => {
  const seen = Object.fromEntries(
    readRecordings().map(({ path, wire, answers }) => [
      path,
      answers.map((answer) => toRow(observe(wire, answer))),
    ]),
  )
  expect(Object.keys(seen)).toHaveLength(64)
  expect(Object.values(seen).flat()).toHaveLength(67)
  expect(seen).toEqual(expectedUsage)
})

test.skipIf(!hasRecordings)(
  `reads a recording the same with and without its framing${absence}`,
  () => {
    let compared = 0
    for (const { wire, answers } of readRecordings()) {
      for (const answer of answers) {
        if (answer.kind === 'body') continue
        const observer = createUsageObserver(wire)
        for (const event of answer.events) {
          const line = event
            .toString()
            .split(/\r?\n/)
            .find((text) => text.startsWith('data: '))
          observer.observeData(line?.slice(6) ?? '')
        }
        expect(observer.result()).toEqual(observe(wire, answer))
        compared++
      }
    }
    expect(compared).toBeGreaterThan(34)
  },
)

test.skipIf(!hasRecordings)(`prices xAI's recordings as xAI billed them${absence}`, () => {
  const billed: number[] = []
  for (const { path, wire, answers } of readRecordings()) {
    if (wire !== 'xai-chat') continue
    for (const answer of answers) {
      const { usage, model } = observe(wire, answer)
      if (usage.kind !== 'exact' || usage.providerTicks === null) continue
      // 10^10 of xAI's ticks are one US dollar.
      const price = listPrice(wire, model ?? '', 10_000_000_000n)
      if (price === undefined) throw new Error(`no price for ${path}`)
      expect(computePrice(price.sheet, usage.counts), path).toBe(BigInt(usage.providerTicks))
      billed.push(usage.providerTicks)
    }
  }
  expect(billed).toEqual([1_466_250, 1_176_500])
})

test.skipIf(!hasRecordings)(`agrees with a second opinion on every price${absence}`, () => {
  let compared = 0
  for (const { path, wire, answers } of readRecordings()) {
    for (const answer of answers) {
      const { usage, model } = observe(wire, answer)
      const price = model === null ? undefined : listPrice(wire, model, 1_000_000n)
      if (usage.kind !== 'exact' || price === undefined) continue
      const atomic = secondOpinion(wire, model ?? '', usage.counts) * 1_000_000
      const ours = Number(computePrice(price.sheet, usage.counts))
      // Ours is rounded up, theirs a float.
      expect(ours - atomic, path).toBeGreaterThan(-1e-6)
      expect(ours - atomic, path).toBeLessThan(1 + 1e-6)
      compared++
    }
  }
  expect(compared).toBeGreaterThan(50)
})

test.skipIf(!hasRecordings)(`parses only the few events that can matter${absence}`, () => {
  // Google counts in each of its few chunks.
  const streams = readRecordings().flatMap(({ wire, answers }) =>
    answers.flatMap((answer) =>
      answer.kind === 'body' || wire === 'google' ? [] : [{ wire, answer }],
    ),
  )
  const parse = vi.spyOn(JSON, 'parse')
  let seen = 0
  try {
    for (const { wire, answer } of streams) {
      observe(wire, answer)
      seen += answer.events.length
    }
    expect(seen).toBeGreaterThan(4000)
    expect(parse.mock.calls.length).toBeGreaterThan(streams.length)
    expect(parse.mock.calls.length / seen).toBeLessThan(0.06)
  } finally {
    parse.mockRestore()
  }
})
