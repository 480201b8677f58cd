import { expect, test } from 'vitest'
import { estimateRuleOf } from '../../src/metering/estimate-rule.ts'
import { createCatalogue, type Catalogue } from '../../src/catalogue/catalogue.ts'
import { modelsSchema, pricesSchema } from '../../src/catalogue/models-schema.ts'
import { ConfigError } from '../../src/config/load-config.ts'

const atMs = Date.UTC(2026, 10, 21)
const mini = { name: 'mini', upstream: 'openai', provider: 'openai', upstreamModel: 'gpt-5-mini' }

function create(models: readonly object[], prices: object = {}): Catalogue {
  return createCatalogue({
    models: modelsSchema.parse(models),
    prices: pricesSchema.parse(prices),
    atMs,
  })
}

function ratesOf(
  price: object,
  more: object = { limits: { contextTokens: 1000 } },
): Record<string, bigint> {
  const rates = create([{ ...mini, price, ...more }]).models[0]?.sheet.tiers[0].rates
  if (rates === undefined) throw new Error('no model')
  return Object.fromEntries(Object.entries(rates).filter(([, rate]) => rate > 0n))
}

test('finds a model by its name and its aliases, and says what the upstream is asked for', () => {
  const catalogue = create([
    { ...mini, aliases: ['small', 'cheap'], price: { builtIn: {} } },
    { name: 'own', upstream: 'local', provider: 'openai', price: { perCallAtomic: '5' } },
  ])
  for (const name of ['mini', 'small', 'cheap']) {
    expect(catalogue.find(name)).toMatchObject({ name: 'mini', upstreamModel: 'gpt-5-mini' })
  }
  expect(catalogue.find('own')).toMatchObject({
    upstreamModel: 'own',
    sheet: { perCallAtomic: 5n },
  })
  expect(catalogue.find('gpt-5-mini')).toBeUndefined()
  expect(catalogue.find('__proto__')).toBeUndefined()
  expect(catalogue.sheetsDigest).toHaveLength(32)
})

test('takes list prices in whole units, at a percentage, in any asset', () => {
  // 0.25, 0.025 and 2 dollars a million.
  expect(ratesOf({ builtIn: {} }, {})).toMatchObject({
    input: 250_000n,
    'cache-read': 25_000n,
    output: 2_000_000n,
    reasoning: 2_000_000n,
    'web-search': 10_000_000_000n,
  })
  expect(ratesOf({ builtIn: { percent: 110 } }, {})).toMatchObject({
    input: 275_000n,
    'cache-read': 27_500n,
  })
  const coarse = create([{ ...mini, price: { builtIn: {} } }], { atomicPerUsd: '1' })
  // Rounded up, never to nothing.
  expect(coarse.models[0]?.sheet.tiers[0].rates).toMatchObject({ input: 1n, output: 2n })
})

test('adds and replaces rates of a list price', () => {
  const price = {
    builtIn: {},
    perCallAtomic: '3',
    perMillionAtomic: { 'code-session': '30000000000', output: '1' },
  }
  const rates = ratesOf(price, {})
  expect(rates).toMatchObject({ 'code-session': 30_000_000_000n, output: 1n, input: 250_000n })
})

test('bills what has no rate of its own as what it is part of', () => {
  expect(ratesOf({ perMillionAtomic: { input: '10', output: '20' } })).toEqual({
    input: 10n,
    'input-audio': 10n,
    'input-image': 10n,
    'input-video': 10n,
    'cache-read': 10n,
    'cache-read-audio': 10n,
    'cache-read-image': 10n,
    'cache-read-video': 10n,
    'cache-write-5m': 10n,
    'cache-write-1h': 10n,
    output: 20n,
    'output-audio': 20n,
    'output-image': 20n,
    'output-video': 20n,
    reasoning: 20n,
  })
  const own = {
    input: '10',
    output: '20',
    'cache-read': '1',
    'cache-write-5m': '12',
    reasoning: '0',
  }
  expect(ratesOf({ perMillionAtomic: own })).toMatchObject({
    'cache-read-audio': 1n,
    'cache-write-1h': 12n,
  })
  expect(ratesOf({ perMillionAtomic: own })).not.toHaveProperty('reasoning')
})

test('compiles tiers, built-in and own', () => {
  const gemini = {
    name: 'g',
    upstream: 'google',
    provider: 'google',
    upstreamModel: 'gemini-3-pro-preview',
    price: { builtIn: {} },
    limits: { contextTokens: 1_000_000 },
  }
  expect(create([gemini]).models[0]?.sheet.tiers).toMatchObject([
    { aboveInput: 0, rates: { input: 2_000_000n, output: 12_000_000n } },
    { aboveInput: 200_000, rates: { input: 4_000_000n, output: 18_000_000n } },
  ])
  const price = {
    perMillionAtomic: { input: '1', output: '2' },
    aboveInput: [{ tokens: 9, perMillionAtomic: { input: '3' } }],
  }
  expect(
    create([{ ...mini, price, limits: { contextTokens: 10 } }]).models[0]?.sheet.tiers,
  ).toMatchObject([
    { aboveInput: 0, rates: { input: 1n, 'cache-read': 1n, output: 2n } },
    { aboveInput: 9, rates: { input: 3n, 'cache-read': 3n, output: 2n } },
  ])
})

test('takes limits from the data where the configuration has none', () => {
  expect(create([{ ...mini, price: { builtIn: {} } }]).models[0]?.limits).toEqual({
    contextTokens: 400_000,
    maxOutputTokens: 400_000,
    tokensPerAttachment: 400_000,
    maxServerToolCalls: 16,
    maxChargeAtomic: undefined,
    hidesReasoning: true,
    estimate: estimateRuleOf('openai', 'gpt-5-mini'),
  })
  const limits = {
    contextTokens: 9,
    maxOutputTokens: 8,
    tokensPerAttachment: 7,
    maxServerToolCalls: 0,
    maxChargeAtomic: '6',
    hidesReasoning: false,
  }
  expect(create([{ ...mini, price: { builtIn: {} }, limits }]).models[0]?.limits).toEqual({
    ...limits,
    maxChargeAtomic: 6n,
    estimate: estimateRuleOf('openai', 'gpt-5-mini'),
  })
})

const digest = (model: object, prices: object = {}): string =>
  Buffer.from(create([model], prices).sheetsDigest).toString('hex')

test('changes its digest with every price, and with nothing else', () => {
  const base = { ...mini, price: { builtIn: {} } }
  expect(digest({ ...base, upstream: 'other', aliases: ['x'] })).toBe(digest(base))
  const others = [
    digest(base),
    digest({ ...base, name: 'maxi' }),
    digest({ ...base, price: { builtIn: { percent: 101 } } }),
    digest({ ...base, price: { builtIn: {}, perCallAtomic: '1' } }),
    digest({ ...base, price: { builtIn: {}, perMillionAtomic: { image: '1' } } }),
    digest(base, { atomicPerUsd: '1000' }),
  ]
  expect(new Set(others).size).toBe(others.length)
})

test('takes the list price of its day', () => {
  const sonnet = {
    name: 's',
    upstream: 'a',
    provider: 'anthropic',
    upstreamModel: 'claude-sonnet-4-6',
    price: { builtIn: {} },
  }
  const tiersAt = (ms: number): number | undefined =>
    createCatalogue({
      models: modelsSchema.parse([sonnet]),
      prices: pricesSchema.parse({}),
      atMs: ms,
    }).models[0]?.sheet.tiers.length
  // Long prompts had a price of their own until this day.
  expect(tiersAt(Date.UTC(2026, 2, 12))).toBe(2)
  expect(tiersAt(Date.UTC(2026, 2, 14))).toBe(1)
})

const refused: readonly (readonly [what: string, models: readonly object[], message: RegExp])[] = [
  [
    'two models of one name',
    [
      { ...mini, price: { builtIn: {} } },
      { ...mini, price: { builtIn: {} } },
    ],
    /listed twice/,
  ],
  [
    'an alias that is a name',
    [{ ...mini, aliases: ['mini'], price: { builtIn: {} } }],
    /listed twice/,
  ],
  [
    'a model without a list price',
    [{ ...mini, upstreamModel: 'unheard-of', price: { builtIn: {} } }],
    /model-unknown/,
  ],
  [
    'a list price of things not counted',
    [{ ...mini, provider: 'xai', upstreamModel: 'grok-voice-latest', price: { builtIn: {} } }],
    /price-not-understood/,
  ],
  [
    'tokens without a bound',
    [{ ...mini, price: { perMillionAtomic: { output: '1' } } }],
    /contextTokens/,
  ],
]

test.each(refused)('refuses %s', (_, models, message) => {
  expect(() => create(models)).toThrow(ConfigError)
  expect(() => create(models)).toThrow(message)
})

const malformed: readonly object[] = [
  { ...mini },
  { ...mini, price: {} },
  { ...mini, price: { perCallAtomic: '1.5' } },
  { ...mini, price: { perCallAtomic: 1 } },
  { ...mini, price: { perCallAtomic: '-1' } },
  { ...mini, price: { perMillionAtomic: { telepathy: '1' } } },
  { ...mini, price: { builtIn: {}, aboveInput: [{ tokens: 1, perMillionAtomic: {} }] } },
  {
    ...mini,
    price: {
      perMillionAtomic: {},
      aboveInput: [
        { tokens: 5, perMillionAtomic: {} },
        { tokens: 5, perMillionAtomic: {} },
      ],
    },
  },
  { ...mini, name: '../x', price: { perCallAtomic: '1' } },
  { ...mini, name: 'a?b', price: { perCallAtomic: '1' } },
  { ...mini, provider: 'other', price: { perCallAtomic: '1' } },
  { ...mini, price: { perCallAtomic: '1' }, extra: 1 },
]

test.each(malformed)('the schema refuses %j', (model) => {
  expect(modelsSchema.safeParse([model]).success).toBe(false)
})
