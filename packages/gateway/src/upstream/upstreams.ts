/** The providers of the configuration: one pool each, and which model goes where. */
import type { Config, UpstreamConfig } from '../config/schema.ts'
import { ConfigError } from '../config/load-config.ts'
import { dialectOfKind, type Dialect, type UpstreamKind, type Wire } from '../http/wire-routes.ts'
import type { Catalogue, CatalogueModel } from '../catalogue/catalogue.ts'
import type { ModelLimits } from '../metering/bound-price.ts'
import {
  createCallSheet,
  encodeSheet,
  isMetered,
  type PriceSheet,
} from '../metering/price-sheet.ts'
import { findAdapter, findTranslatedDialect, type Adapter } from '../translation/adapters.ts'
import { createRouteBehaviour, type RouteBehaviour } from './route-behaviour.ts'
import type { UpstreamPool } from './renewed-pool.ts'
import { leavePools, takePools, type SharedPools } from './shared-pools.ts'
import { createUpstreamRest, type UpstreamRest } from './upstream-rest.ts'

/** Where a call goes and what it costs. */
export type Route = {
  readonly upstream: Upstream
  /** As the caller asked. */
  readonly model: string
  /** As the configuration lists it: its name, or `*`. */
  readonly label: string
  /** What the upstream is asked for. */
  readonly upstreamModel: string
  /** Price of the call alone. */
  readonly priceAtomic: bigint
  /** Prices by use; `undefined` when a call costs the same whatever it uses. */
  readonly metering: RouteMetering | undefined
  /** Whether a chat stream that does not ask for its usage is made to. */
  readonly addUsage: boolean
  readonly behaviour: RouteBehaviour
  /** Its share among the routes of the model. */
  readonly weight: number
  /** Further routes of the same model, of the same kind, at the same price. */
  readonly others: readonly Route[]
  /** Whether callers of another wire may ask for it. */
  readonly isTranslated: boolean
}

/** What a call costs by its use. */
type RouteMetering = {
  readonly sheet: PriceSheet
  readonly limits: ModelLimits
  /** The sheet as receipts state it, under the name that was asked for (ME7.4). */
  readonly rates: string
}

/** One provider. */
export type Upstream = {
  readonly name: string
  readonly kind: UpstreamKind
  readonly dialect: Dialect
  readonly host: string
  readonly basePath: string
  /** The operator's: the header of its provider, and its value. */
  readonly credential: readonly [name: string, value: string] | undefined
  readonly pool: UpstreamPool
  /** Where no model says otherwise. */
  readonly behaviour: RouteBehaviour
  readonly rest: UpstreamRest
}

/** A model that callers can name. */
export type ListedModel = {
  readonly id: string
  readonly upstream: string
  readonly dialect: Dialect
  /** The other dialect in which it is served, translated. */
  readonly translatedDialect: Dialect | undefined
  readonly sheet: PriceSheet
}

/** Owner of the pools. */
export type Upstreams = {
  /** Where a call of this wire goes; `undefined` when no upstream of the wire has the model. */
  find(model: string, dialect: Dialect): Route | undefined
  /** Where a call of another wire goes, and what translates it. */
  findTranslated(
    model: string,
    wire: Wire,
  ): { readonly route: Route; readonly adapter: Adapter } | undefined
  /** The wire on which a model is to be had. */
  dialectOf(model: string): Dialect | undefined
  /** An upstream by its name. */
  findUpstream(name: string): Upstream | undefined
  readonly models: readonly ListedModel[]
  /** Calls at each upstream now, and calls that wait for a connection. */
  load(): readonly { readonly name: string; readonly running: number; readonly waiting: number }[]
  /** The most that `totalTimeoutMs` is on any route. */
  readonly longestCallMs: number
  /** Those of the next configuration that wants the same are taken from here. */
  readonly pools: SharedPools
  /** Once, when the calls of this configuration have ended. */
  close(): Promise<void>
}

const anyModel = '*'

/**
 * Opens the pools, or goes on with those of the configuration before this one; connections are made when needed.
 *
 * @throws ConfigError when a key, certificate or upstream that the configuration names is missing.
 */
export function createUpstreams(
  config: Config,
  catalogue: Catalogue,
  environment: Readonly<Record<string, string | undefined>>,
  former?: Pick<Upstreams, 'pools'>,
): Upstreams {
  const pools = takePools(config, former?.pools ?? new Map())
  try {
    return openUpstreams(config, catalogue, environment, pools)
  } catch (error) {
    void leavePools(pools)
    throw error
  }
}

function openUpstreams(
  config: Config,
  catalogue: Catalogue,
  environment: Readonly<Record<string, string | undefined>>,
  pools: SharedPools,
): Upstreams {
  const upstreams = new Map<string, Upstream>()
  for (const upstreamConfig of config.upstreams) {
    const { name } = upstreamConfig
    const pool = pools.get(name)?.pool
    if (pool !== undefined) {
      upstreams.set(name, describeUpstream(config, upstreamConfig, pool, environment))
    }
  }
  const listed: ListedModel[] = []
  const routes = new Map<string, Route>()
  const wildcards = new Map<Dialect, Route>()
  let longestCallMs = config.limits.totalTimeoutMs
  for (const { route, sheet } of readRoutes(config, catalogue, upstreams)) {
    longestCallMs = Math.max(longestCallMs, ...allRoutes(route).map(totalTimeoutOf))
    const { dialect, kind, name } = route.upstream
    const translatedDialect = route.isTranslated ? findTranslatedDialect(kind) : undefined
    listed.push({ id: route.model, upstream: name, dialect, translatedDialect, sheet })
    if (route.model === anyModel) wildcards.set(dialect, route)
    else routes.set(route.model, route)
  }
  for (const { name, aliases } of catalogue.models) {
    for (const alias of aliases) {
      const route = routes.get(name)
      if (route !== undefined) routes.set(alias, underAlias(route, alias))
    }
  }
  return {
    find(model, dialect) {
      const route = routes.get(model)
      if (route !== undefined) return route.upstream.dialect === dialect ? route : undefined
      const wildcard = model === anyModel ? undefined : wildcards.get(dialect)
      return wildcard && { ...wildcard, model, upstreamModel: model }
    },
    findTranslated(model, wire) {
      const route = routes.get(model)
      if (route?.isTranslated !== true) return undefined
      const adapter = findAdapter(wire, route.upstream.kind)
      return adapter && { route, adapter }
    },
    dialectOf: (model) => routes.get(model)?.upstream.dialect,
    findUpstream: (name) => upstreams.get(name),
    models: listed,
    load: () => Array.from(pools, ([name, { pool }]) => ({ name, ...pool.load() })),
    longestCallMs,
    pools,
    close: () => leavePools(pools),
  }
}

type PricedRoute = { readonly route: Route; readonly sheet: PriceSheet }

function readRoutes(
  config: Config,
  catalogue: Catalogue,
  upstreams: ReadonlyMap<string, Upstream>,
): readonly PricedRoute[] {
  const routes: PricedRoute[] = []
  for (const { name, models, addUsage = false } of config.upstreams) {
    const upstream = upstreams.get(name)
    if (upstream === undefined) continue
    for (const { id, priceAtomic } of models) {
      const sheet = createCallSheet(BigInt(priceAtomic))
      routes.push({ sheet, route: toCallRoute(upstream, id, sheet.perCallAtomic, addUsage) })
    }
  }
  for (const model of catalogue.models) {
    const [first, ...others] = [model, ...model.routes].map((route) => ({
      ...toRoute(config, findUpstream(upstreams, model, route.upstream), model),
      upstreamModel: route.upstreamModel,
      weight: route.weight,
    }))
    if (first !== undefined) routes.push({ sheet: model.sheet, route: { ...first, others } })
  }
  return routes
}

function toCallRoute(
  upstream: Upstream,
  model: string,
  priceAtomic: bigint,
  addUsage: boolean,
): Route {
  const { behaviour } = upstream
  const common = {
    label: model,
    metering: undefined,
    addUsage,
    weight: 1,
    others: [],
    isTranslated: false,
  }
  return { upstream, model, upstreamModel: model, priceAtomic, behaviour, ...common }
}

function toRoute(
  config: Config,
  upstream: Upstream,
  { name, upstreamModel, sheet, limits, addUsage, behaviour, translate }: CatalogueModel,
): Route {
  if (translate && findTranslatedDialect(upstream.kind) === undefined) {
    throw new ConfigError(`model ${JSON.stringify(name)}: ${upstream.kind} is not translated`)
  }
  const upstreamConfig = config.upstreams.find((each) => each.name === upstream.name)
  return {
    upstream,
    model: name,
    label: name,
    upstreamModel,
    priceAtomic: sheet.perCallAtomic,
    metering: isMetered(sheet) ? { sheet, limits, rates: encodeSheet(name, sheet) } : undefined,
    addUsage: addUsage ?? upstreamConfig?.addUsage ?? isMetered(sheet),
    behaviour: createRouteBehaviour(config, upstreamConfig ?? {}, behaviour),
    weight: 1,
    others: [],
    isTranslated: translate,
  }
}

/** All routes of a model are of one kind: their use is counted, and bounded, in one way. */
function findUpstream(
  upstreams: ReadonlyMap<string, Upstream>,
  { name, provider }: CatalogueModel,
  upstreamName: string,
): Upstream {
  const upstream = upstreams.get(upstreamName)
  if (upstream?.kind === provider) return upstream
  throw new ConfigError(
    `model ${JSON.stringify(name)}: no upstream ${upstreamName} of kind ${provider}`,
  )
}

function underAlias(route: Route, model: string): Route {
  const { metering, others } = route
  return {
    ...route,
    model,
    metering: metering && { ...metering, rates: encodeSheet(model, metering.sheet) },
    others: others.map((other) => underAlias(other, model)),
  }
}

function allRoutes(route: Route): readonly Route[] {
  return [route, ...route.others]
}

function totalTimeoutOf({ behaviour }: Route): number {
  return behaviour.totalTimeoutMs
}

function describeUpstream(
  config: Config,
  upstreamConfig: UpstreamConfig,
  pool: UpstreamPool,
  environment: Readonly<Record<string, string | undefined>>,
): Upstream {
  const { name, kind, baseUrl, apiKeyEnv } = upstreamConfig
  const url = new URL(baseUrl)
  const key = apiKeyEnv === undefined ? undefined : environment[apiKeyEnv]
  if (apiKeyEnv !== undefined && (key === undefined || !/^[\u0021-\u007e]+$/.test(key))) {
    throw new ConfigError(`upstream ${name}: environment variable ${apiKeyEnv} holds no key`)
  }
  return {
    name,
    kind,
    dialect: dialectOfKind(kind),
    host: url.host,
    basePath: url.pathname.replace(/\/$/, ''),
    credential: key === undefined ? undefined : toCredential(kind, key),
    pool,
    behaviour: createRouteBehaviour(config, upstreamConfig),
    rest: createUpstreamRest(upstreamConfig.restMs ?? 0),
  }
}

/** The header that carries the operator's key to a provider. */
export function toCredential(
  kind: UpstreamKind,
  key: string,
): readonly [name: string, value: string] {
  if (kind === 'anthropic') return ['x-api-key', key]
  return kind === 'google' ? ['x-goog-api-key', key] : ['authorization', `Bearer ${key}`]
}
