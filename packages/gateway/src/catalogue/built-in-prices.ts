/** List prices of the providers, out of the data of genai-prices, as whole numbers (spec/metering.md ME5.3). */
import { calcPrice } from '@pydantic/genai-prices'
import {
  divideUp,
  fillRates,
  rateUnit,
  type PriceSheet,
  type PriceTier,
  type Rates,
} from '../metering/price-sheet.ts'
import { isObject, itemsAt, objectAt, type JsonObject } from '../metering/read-json.ts'
import type { UsageKind } from '@countersign/protocol/receipt/usage-kinds'

/** A built-in sheet, and what else the data says of the model. */
export type BuiltInPrice = {
  readonly sheet: PriceSheet
  readonly contextTokens: number | undefined
}

/** Why there is no built-in sheet. */
export type NoBuiltInPrice = 'model-unknown' | 'price-not-understood' | 'price-by-time-of-day'

/** Which list price is asked for. */
export type BuiltInQuery = {
  readonly provider: 'openai' | 'anthropic' | 'google' | 'xai'
  readonly model: string
  readonly atMs: number
  /** Atomic units of one US dollar. */
  readonly atomicPerUsd: bigint
  /** 100 is the list price. */
  readonly percent: bigint
}

// Each kind takes the first of these that has a price: what has none of its own is billed as what it is part of.
const priceKeys: readonly (readonly [UsageKind, readonly string[]])[] = [
  ['input', ['input_mtok']],
  ['input-audio', ['input_audio_mtok', 'input_mtok']],
  ['input-image', ['input_image_mtok', 'input_mtok']],
  ['input-video', ['input_video_mtok', 'input_mtok']],
  ['cache-read', ['cache_read_mtok', 'input_mtok']],
  [
    'cache-read-audio',
    ['cache_audio_read_mtok', 'cache_read_mtok', 'input_audio_mtok', 'input_mtok'],
  ],
  [
    'cache-read-image',
    ['cache_image_read_mtok', 'cache_read_mtok', 'input_image_mtok', 'input_mtok'],
  ],
  [
    'cache-read-video',
    ['cache_video_read_mtok', 'cache_read_mtok', 'input_video_mtok', 'input_mtok'],
  ],
  ['cache-write-5m', ['cache_write_5m_mtok', 'cache_write_mtok', 'input_mtok']],
  ['cache-write-1h', ['cache_write_1h_mtok', 'cache_write_mtok', 'input_mtok']],
  ['output', ['output_mtok']],
  ['output-audio', ['output_audio_mtok', 'output_mtok']],
  ['output-image', ['output_image_mtok', 'output_mtok']],
  ['output-video', ['output_video_mtok', 'output_mtok']],
  ['reasoning', ['output_reasoning_mtok', 'output_mtok']],
  ['audio-second', ['input_audio_hours', 'audio_hours']],
  ['web-search', ['web_searches_kcount']],
  ['file-search', ['storage_searches_kcount']],
]
const knownKeys: ReadonlySet<string> = new Set(priceKeys.flatMap(([, keys]) => keys))
const unitsOf: readonly (readonly [suffix: string, units: bigint])[] = [
  ['_mtok', 1_000_000n],
  ['_kcount', 1000n],
  ['_hours', 3600n],
]
const providerIds = { openai: 'openai', anthropic: 'anthropic', google: 'google', xai: 'x-ai' }
const decimal = /^([0-9]{1,12})(?:\.([0-9]{1,12}))?$/

/** The list price of a model, or why there is none. Nothing is taken from the network. */
export function findBuiltInPrice(query: BuiltInQuery): BuiltInPrice | NoBuiltInPrice {
  const found = lookUp(query)
  if (found === undefined) return 'model-unknown'
  const { model, model_price: prices } = found
  if (hasTimeOfDay(model.prices)) return 'price-by-time-of-day'
  const tiers = compileTiers(query, { ...prices })
  if (tiers === undefined) return 'price-not-understood'
  return { sheet: { perCallAtomic: 0n, tiers }, contextTokens: model.context_window }
}

type Found = NonNullable<ReturnType<typeof calcPrice>>

function lookUp({ provider, model, atMs }: BuiltInQuery): Found | undefined {
  try {
    const options = { providerId: providerIds[provider], timestamp: new Date(atMs) }
    // Names that Google's own paths put before a model.
    return calcPrice({}, model.replace(/^models\//, ''), options) ?? undefined
  } catch {
    return undefined
  }
}

function hasTimeOfDay(prices: unknown): boolean {
  return (
    Array.isArray(prices) &&
    prices.some(
      (price) => isObject(price) && objectAt(price, 'constraint')['type'] === 'time_of_date',
    )
  )
}

/** A price that holds when more tokens than `aboveInput` went in. */
type Step = { readonly aboveInput: number; readonly rate: bigint }

function compileTiers(query: BuiltInQuery, prices: JsonObject): PriceSheet['tiers'] | undefined {
  const steps = new Map<string, readonly Step[]>()
  for (const [key, value] of Object.entries(prices)) {
    const read = value === undefined ? [] : readSteps(query, key, value)
    // A price for something that is not counted here would be given away.
    if (read === undefined || !knownKeys.has(key)) return undefined
    steps.set(key, read)
  }
  const starts = new Set([...steps.values()].flat().map(({ aboveInput }) => aboveInput))
  starts.delete(0)
  const compile = (aboveInput: number): PriceTier => ({
    aboveInput,
    rates: compileRates(steps, aboveInput),
  })
  return [compile(0), ...[...starts].toSorted((a, b) => a - b).map(compile)]
}

function compileRates(steps: ReadonlyMap<string, readonly Step[]>, aboveInput: number): Rates {
  const rates: Partial<Record<UsageKind, bigint>> = {}
  for (const [kind, keys] of priceKeys) {
    const key = keys.find((name) => steps.has(name))
    const reached = steps.get(key ?? '')?.filter((step) => step.aboveInput <= aboveInput)
    rates[kind] = reached?.at(-1)?.rate ?? 0n
  }
  return fillRates(rates)
}

function readSteps(query: BuiltInQuery, key: string, value: unknown): readonly Step[] | undefined {
  const steps: Step[] = []
  const add = (aboveInput: unknown, usd: unknown): boolean => {
    const rate = toRate(query, key, usd)
    const isStart = typeof aboveInput === 'number' && Number.isSafeInteger(aboveInput)
    if (rate === undefined || !isStart || aboveInput < (steps.at(-1)?.aboveInput ?? 0)) return false
    steps.push({ aboveInput, rate })
    return true
  }
  if (!isObject(value)) return add(0, value) ? steps : undefined
  const tiers = itemsAt(value, 'tiers').filter(isObject)
  const isRead = add(0, value['base']) && tiers.every((tier) => add(tier['start'], tier['price']))
  return isRead ? steps : undefined
}

/** US dollars for the unit of the key, as atomic units for a million; rounded up once, here. */
function toRate(query: BuiltInQuery, key: string, usd: unknown): bigint | undefined {
  const units = unitsOf.find(([suffix]) => key.endsWith(suffix))?.[1]
  const digits = typeof usd === 'number' ? decimal.exec(String(usd)) : null
  if (units === undefined || digits === null) return undefined
  const fraction = digits[2] ?? ''
  const numerator = BigInt(`${digits[1] ?? ''}${fraction}`) * query.atomicPerUsd * query.percent
  return divideUp(numerator * rateUnit, 10n ** BigInt(fraction.length) * 100n * units)
}
