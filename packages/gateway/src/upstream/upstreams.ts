/** The providers of the configuration: one pool each, and which model goes where. */
import { readFileSync } from 'node:fs'
import { Pool, type Dispatcher } from 'undici'
import type { Config, UpstreamConfig } from '../config/schema.ts'
import { ConfigError } from '../config/load-config.ts'
import { createEvidenceConnector } from './tls-evidence.ts'

/** Where a call goes and what it costs. */
export type Route = {
  readonly upstream: Upstream
  readonly model: string
  readonly priceAtomic: bigint
}

/** One provider. */
export type Upstream = {
  readonly name: string
  readonly host: string
  readonly basePath: string
  readonly authorization: string | undefined
  readonly pool: Dispatcher
}

/** A model that callers can name. */
export type ListedModel = {
  readonly id: string
  readonly upstream: string
  readonly priceAtomic: bigint
}

/** Owner of the pools. */
export type Upstreams = {
  find(model: string): Route | undefined
  readonly models: readonly ListedModel[]
  close(): Promise<void>
}

const anyModel = '*'

/**
 * Opens the pools; connections are made when needed.
 *
 * @throws ConfigError when a key or certificate that the configuration names is missing.
 */
export function createUpstreams(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
): Upstreams {
  const routes = new Map<string, Route>()
  const pools: Pool[] = []
  for (const upstreamConfig of config.upstreams) {
    const pool = createPool(config, upstreamConfig)
    pools.push(pool)
    const upstream = describeUpstream(upstreamConfig, pool, environment)
    for (const { id, priceAtomic } of upstreamConfig.models) {
      routes.set(id, { upstream, model: id, priceAtomic: BigInt(priceAtomic) })
    }
  }
  return {
    find(model) {
      const route = routes.get(model) ?? routes.get(anyModel)
      return route === undefined || model === anyModel ? undefined : { ...route, model }
    },
    models: Array.from(routes.values(), ({ model: id, upstream, priceAtomic }) => ({
      id,
      upstream: upstream.name,
      priceAtomic,
    })),
    close: async () => {
      await Promise.all(pools.map((pool) => pool.destroy()))
    },
  }
}

function createPool({ limits }: Config, { baseUrl, caFile, connections }: UpstreamConfig): Pool {
  return new Pool(new URL(baseUrl).origin, {
    connect: createEvidenceConnector({ ca: readCa(caFile), timeoutMs: limits.connectTimeoutMs }),
    connections,
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: 60_000,
    // Fresh handshakes keep the evidence fresh.
    clientTtl: 3_600_000,
    headersTimeout: limits.firstByteTimeoutMs,
    bodyTimeout: limits.idleTimeoutMs,
  })
}

function describeUpstream(
  { name, baseUrl, apiKeyEnv }: UpstreamConfig,
  pool: Pool,
  environment: Readonly<Record<string, string | undefined>>,
): Upstream {
  const url = new URL(baseUrl)
  const key = apiKeyEnv === undefined ? undefined : environment[apiKeyEnv]
  if (apiKeyEnv !== undefined && (key === undefined || !/^[\u0021-\u007e]+$/.test(key))) {
    throw new ConfigError(`upstream ${name}: environment variable ${apiKeyEnv} holds no key`)
  }
  return {
    name,
    host: url.host,
    basePath: url.pathname.replace(/\/$/, ''),
    authorization: key === undefined ? undefined : `Bearer ${key}`,
    pool,
  }
}

function readCa(caFile: string | undefined): string | undefined {
  if (caFile === undefined) return undefined
  try {
    return readFileSync(caFile, 'utf8')
  } catch (cause) {
    throw new ConfigError(`${caFile} cannot be read`, { cause })
  }
}
