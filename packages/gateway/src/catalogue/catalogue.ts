/** The models of the configuration, each with its compiled price sheet (spec/metering.md ME5, ME7). */
import type { BehaviourConfig } from '../config/behaviour-schema.ts'
import { ConfigError } from '../config/load-config.ts'
import type { ModelLimits } from '../metering/bound-price.ts'
import { estimateRuleOf } from '../metering/estimate-rule.ts'
import {
  computeSheetsDigest,
  fillRates,
  pricesTokens,
  type PriceSheet,
  type Rates,
} from '../metering/price-sheet.ts'
import { usageKinds, type UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import { findBuiltInPrice, type BuiltInPrice } from './built-in-prices.ts'
import type { ModelConfig, PricesConfig } from './models-schema.ts'

/** A model that callers can ask for. */
export type CatalogueModel = {
  /** Its public name, also when it was asked for by an alias. */
  readonly name: string
  readonly aliases: readonly string[]
  readonly upstream: string
  readonly provider: ModelConfig['provider']
  readonly upstreamModel: string
  readonly weight: number
  /** Further upstreams that serve it. */
  readonly routes: readonly CatalogueRoute[]
  /** Whether callers of another wire may ask for it. */
  readonly translate: boolean
  readonly behaviour: BehaviourConfig
  readonly sheet: PriceSheet
  readonly limits: ModelLimits
  readonly addUsage: boolean | undefined
}

/** A further upstream of a model. */
export type CatalogueRoute = {
  readonly upstream: string
  readonly upstreamModel: string
  readonly weight: number
}

/** What can be asked for, and what it costs. */
export type Catalogue = {
  /** By public name or alias. */
  find(name: string): CatalogueModel | undefined
  readonly models: readonly CatalogueModel[]
  /** Of all sheets, under the public names; stands in the claim `price`. */
  readonly sheetsDigest: Uint8Array
}

/** What a catalogue is compiled from. */
export type CatalogueOptions = {
  readonly models: readonly ModelConfig[]
  readonly prices: PricesConfig
  /** List prices change by the day: those of this moment are taken. */
  readonly atMs: number
}

/**
 * Compiles a catalogue.
 *
 * @throws ConfigError when two models share a name, a price is not known, or a bound is missing.
 */
export function createCatalogue({ models, prices, atMs }: CatalogueOptions): Catalogue {
  const compiled = models.map((model) => compileModel(model, BigInt(prices.atomicPerUsd), atMs))
  const byName = new Map<string, CatalogueModel>()
  for (const model of compiled) {
    for (const name of [model.name, ...model.aliases]) {
      if (byName.has(name)) throw new ConfigError(`model ${JSON.stringify(name)} is listed twice`)
      byName.set(name, model)
    }
  }
  return {
    find: (name) => byName.get(name),
    models: compiled,
    sheetsDigest: computeSheetsDigest(compiled.map(({ name, sheet }) => [name, sheet])),
  }
}

function compileModel(model: ModelConfig, atomicPerUsd: bigint, atMs: number): CatalogueModel {
  const { name, aliases, upstream, provider, upstreamModel = name } = model
  const builtIn = findBuiltIn(model, upstreamModel, atomicPerUsd, atMs)
  const sheet = compileSheet(model, builtIn?.sheet)
  const limits = compileLimits(model, sheet, upstreamModel, builtIn?.contextTokens)
  const { addUsage, weight, timeouts, retry, onDisconnect } = model
  const routes = model.routes.map((route) => ({
    ...route,
    upstreamModel: route.upstreamModel ?? upstreamModel,
  }))
  const behaviour = {
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(retry === undefined ? {} : { retry }),
    ...(onDisconnect === undefined ? {} : { onDisconnect }),
  }
  return {
    name,
    aliases,
    upstream,
    provider,
    upstreamModel,
    weight,
    routes,
    translate: model.translate,
    behaviour,
    sheet,
    limits,
    addUsage,
  }
}

function findBuiltIn(
  { name, provider, price }: ModelConfig,
  upstreamModel: string,
  atomicPerUsd: bigint,
  atMs: number,
): BuiltInPrice | undefined {
  if (price.builtIn === undefined) return undefined
  const percent = BigInt(price.builtIn.percent)
  const found = findBuiltInPrice({ provider, model: upstreamModel, atMs, atomicPerUsd, percent })
  if (typeof found !== 'string') return found
  throw new ConfigError(`model ${JSON.stringify(name)} has no built-in price: ${found}`)
}

function compileSheet({ price }: ModelConfig, builtIn: PriceSheet | undefined): PriceSheet {
  const perCallAtomic = BigInt(price.perCallAtomic ?? '0')
  const own = toBigInts(price.perMillionAtomic ?? {})
  if (builtIn !== undefined) {
    const [first, ...others] = builtIn.tiers
    const replace = (tier: typeof first): typeof first => ({
      ...tier,
      rates: { ...tier.rates, ...own },
    })
    return { perCallAtomic, tiers: [replace(first), ...others.map(replace)] }
  }
  return {
    perCallAtomic,
    tiers: [
      { aboveInput: 0, rates: completeRates(own) },
      ...price.aboveInput.map(({ tokens, perMillionAtomic }) => ({
        aboveInput: tokens,
        rates: completeRates({ ...own, ...toBigInts(perMillionAtomic) }),
      })),
    ],
  }
}

type SomeRates = Readonly<Partial<Record<UsageKind, bigint>>>

function toBigInts(rates: Readonly<Partial<Record<UsageKind, string>>>): SomeRates {
  const numbers: Partial<Record<UsageKind, bigint>> = {}
  for (const kind of usageKinds) {
    const rate = rates[kind]
    if (rate !== undefined) numbers[kind] = BigInt(rate)
  }
  return numbers
}

/** What has no rate of its own is billed as what it is part of: nothing is free because it was forgotten (ME5.2). */
function completeRates(own: SomeRates): Rates {
  const { input = 0n, output = 0n } = own
  const cacheRead = own['cache-read'] ?? input
  return fillRates({
    'input-audio': input,
    'input-image': input,
    'input-video': input,
    'cache-read': cacheRead,
    'cache-read-audio': cacheRead,
    'cache-read-image': cacheRead,
    'cache-read-video': cacheRead,
    'cache-write-5m': input,
    'cache-write-1h': own['cache-write-5m'] ?? input,
    'output-audio': output,
    'output-image': output,
    'output-video': output,
    reasoning: output,
    ...own,
  })
}

function compileLimits(
  { name, provider, limits }: ModelConfig,
  sheet: PriceSheet,
  upstreamModel: string,
  builtInContext: number | undefined,
): ModelLimits {
  const contextTokens = limits.contextTokens ?? builtInContext
  if (contextTokens === undefined && pricesTokens(sheet)) {
    throw new ConfigError(
      `model ${JSON.stringify(name)} needs limits.contextTokens: its tokens have a price`,
    )
  }
  const context = contextTokens ?? 0
  return {
    contextTokens: context,
    maxOutputTokens: limits.maxOutputTokens ?? context,
    tokensPerAttachment: limits.tokensPerAttachment ?? context,
    maxServerToolCalls: limits.maxServerToolCalls,
    maxChargeAtomic:
      limits.maxChargeAtomic === undefined ? undefined : BigInt(limits.maxChargeAtomic),
    hidesReasoning: limits.hidesReasoning,
    estimate: estimateRuleOf(provider, upstreamModel),
  }
}
