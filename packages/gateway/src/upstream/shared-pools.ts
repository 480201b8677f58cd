/** Pools of connections to upstreams. One that a new configuration does not change is used on. */
import { readFileSync } from 'node:fs'
import { Pool } from 'undici'
import { ConfigError } from '../config/load-config.ts'
import type { Config, UpstreamConfig } from '../config/schema.ts'
import { createRenewedPool, type UpstreamPool } from './renewed-pool.ts'
import { createEvidenceConnector } from './tls-evidence.ts'

/** A pool, and what decides how it connects. */
export type SharedPool = {
  readonly pool: UpstreamPool
  readonly terms: PoolTerms
  /** How many configurations use it; owned by this file. */
  users: number
}

/** Pools by the names of their upstreams. */
export type SharedPools = ReadonlyMap<string, SharedPool>

type PoolTerms = {
  readonly origin: string
  /** PEM, not the name of its file: the file can change. */
  readonly ca: string | undefined
  readonly connections: number
  readonly timeoutMs: number
}

/**
 * The pools of a configuration: those of the one before it where nothing changed, else new ones, which connect when they
 * are needed. `leavePools` gives them back.
 *
 * @throws ConfigError when a certificate cannot be read; nothing is taken then.
 */
export function takePools({ limits, upstreams }: Config, former: SharedPools): SharedPools {
  const named = new Map(upstreams.map((upstream) => [upstream.name, toTerms(limits, upstream)]))
  return new Map(Array.from(named, ([name, terms]) => [name, takePool(former.get(name), terms)]))
}

/** Gives pools back: what nobody uses any more is closed, whatever runs on it. */
export async function leavePools(pools: SharedPools): Promise<void> {
  const unused = Array.from(pools.values()).filter((shared) => --shared.users === 0)
  await Promise.all(unused.map(({ pool }) => pool.destroy()))
}

function takePool(former: SharedPool | undefined, terms: PoolTerms): SharedPool {
  if (former === undefined || former.users === 0 || !areEqual(former.terms, terms)) {
    return { pool: createPool(terms), terms, users: 1 }
  }
  former.users++
  return former
}

function areEqual(a: PoolTerms, b: PoolTerms): boolean {
  return (
    a.origin === b.origin &&
    a.ca === b.ca &&
    a.connections === b.connections &&
    a.timeoutMs === b.timeoutMs
  )
}

function toTerms(
  limits: Config['limits'],
  { baseUrl, caFile, connections, timeouts }: UpstreamConfig,
): PoolTerms {
  const { origin } = new URL(baseUrl)
  const timeoutMs = timeouts?.connectMs ?? limits.connectTimeoutMs
  return { origin, ca: readCa(caFile), connections, timeoutMs }
}

function createPool({ origin, ca, connections, timeoutMs }: PoolTerms): UpstreamPool {
  const open = (): Pool =>
    new Pool(origin, {
      connect: createEvidenceConnector({ ca, timeoutMs }),
      connections,
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: 60_000,
    })
  return createRenewedPool(open, Date.now)
}

function readCa(caFile: string | undefined): string | undefined {
  if (caFile === undefined) return undefined
  try {
    return readFileSync(caFile, 'utf8')
  } catch (cause) {
    throw new ConfigError(`${caFile} cannot be read`, { cause })
  }
}
