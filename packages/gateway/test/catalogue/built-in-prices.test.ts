import { findProvider } from '@pydantic/genai-prices'
import { expect, test } from 'vitest'
import { findBuiltInPrice } from '../../src/catalogue/built-in-prices.ts'

const query = { atMs: Date.UTC(2026, 10, 21), atomicPerUsd: 1_000_000n, percent: 100n } as const

test('compiles the list price of every model of the four providers that it can bill', () => {
  const without: string[] = []
  let compiled = 0
  for (const provider of ['openai', 'anthropic', 'google', 'xai'] as const) {
    const models =
      findProvider({ providerId: provider === 'xai' ? 'x-ai' : provider })?.models ?? []
    for (const { id } of models) {
      const found = findBuiltInPrice({ ...query, provider, model: id })
      if (typeof found === 'string') without.push(`${id}: ${found}`)
      else compiled++
    }
  }
  expect(compiled).toBeGreaterThan(180)
  // The first two are patterns of names, no names.
  expect(without).toEqual([
    'ft:gpt-4o: model-unknown',
    'ft:gpt-4o-mini: model-unknown',
    'grok-voice-latest: price-not-understood',
    'grok-voice-think-fast-1.0: price-not-understood',
    'grok-voice-think-fast-2.0: price-not-understood',
  ])
})

test('knows the prices of kinds that have one of their own', () => {
  const opus = findBuiltInPrice({ ...query, provider: 'anthropic', model: 'claude-opus-5' })
  expect(opus).toMatchObject({
    sheet: {
      tiers: [
        {
          rates: {
            input: 5_000_000n,
            'cache-read': 500_000n,
            'cache-write-5m': 6_250_000n,
            'cache-write-1h': 10_000_000n,
            output: 25_000_000n,
            'web-search': 10_000_000_000n,
          },
        },
      ],
    },
  })
  const whisper = findBuiltInPrice({ ...query, provider: 'openai', model: 'whisper-1' })
  // 0.36 dollars an hour.
  expect(whisper).toMatchObject({
    sheet: { tiers: [{ rates: { 'audio-second': 100_000_000n, input: 0n } }] },
  })
})

test('reads names with a version, and with the path that Google puts before them', () => {
  const same = (provider: 'openai' | 'google', a: string, b: string): void => {
    expect(findBuiltInPrice({ ...query, provider, model: a })).toEqual(
      findBuiltInPrice({ ...query, provider, model: b }),
    )
  }
  same('openai', 'gpt-5-mini', 'gpt-5-mini-2025-08-07')
  same('google', 'gemini-2.5-flash', 'models/gemini-2.5-flash')
  expect(findBuiltInPrice({ ...query, provider: 'openai', model: 'claude-opus-5' })).toBe(
    'model-unknown',
  )
})
