/** API keys, their budgets and the calls they named, in one SQLite file (spec/payment.md PA3). */
import { hash, randomBytes } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import type { CallLimits } from '../limits/payer-limits.ts'
import {
  inTransaction,
  openDatabase,
  readAmountAtomic,
  readBytes,
  readInteger,
  readText,
  type Row,
} from './database.ts'

/** A key as it is listed: never its secret. Times are milliseconds since the Unix epoch. */
export type ApiKeyEntry = {
  readonly id: string
  readonly name: string
  readonly budgetAtomic: bigint
  readonly chargedAtomic: bigint
  readonly createdAtMs: number
  readonly state: 'active' | 'revoked'
  readonly limits: KeyLimits
  readonly today: DayCharges
}

/** What one key may do; absent means: what the configuration says, and no budget for a day. */
export type KeyLimits = CallLimits & { readonly dailyBudgetAtomic?: bigint }

/** Limits to change; `none` takes one away. */
export type KeyLimitChanges = {
  readonly budgetAtomic?: bigint
  readonly dailyBudgetAtomic?: bigint | 'none'
  readonly callsPerMinute?: number | 'none'
  readonly concurrentCalls?: number | 'none'
}

/** What was charged on the latest day with a charge; days since the Unix epoch, in UTC. */
export type DayCharges = { readonly day: number; readonly chargedAtomic: bigint }

/** A call that a key named and used up. */
export type NamedCall = {
  readonly keyId: string
  readonly idempotencyKey: string
  readonly request: Uint8Array
  readonly receiptId: string
  readonly endedAtMs: number
}

/** What one flush writes. `charged` holds totals, not differences: the process owns the counters. */
export type Flush = {
  readonly charged: ReadonlyMap<string, bigint>
  readonly today: ReadonlyMap<string, DayCharges>
  readonly calls: readonly NamedCall[]
  readonly forgetCallsBeforeMs: number
}

/** The file of keys. Only the process that owns it (ownDatabase) may flush. */
export type ApiKeyStore = {
  /** Adds a key and returns its secret, which is kept nowhere. */
  create(name: string, budgetAtomic: bigint, nowMs: number): { entry: ApiKeyEntry; secret: string }
  list(): readonly ApiKeyEntry[]
  /** False when there is no such key. */
  limit(id: string, changes: KeyLimitChanges): boolean
  /** False when there is no such key, or it is revoked already. */
  revoke(id: string, nowMs: number): boolean
  findByDigest(digest: string): ApiKeyEntry | undefined
  findById(id: string): ApiKeyEntry | undefined
  findCall(keyId: string, idempotencyKey: string): NamedCall | undefined
  /** Changes whenever another connection has written. */
  version(): number
  flush(flush: Flush): void
  close(): void
}

const schema = `
CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,
  budget TEXT NOT NULL, charged TEXT NOT NULL, created_at INTEGER NOT NULL, revoked_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS api_key_calls (
  key_id TEXT NOT NULL, idempotency_key TEXT NOT NULL, request BLOB NOT NULL,
  receipt_id TEXT NOT NULL, ended_at INTEGER NOT NULL, PRIMARY KEY (key_id, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS api_key_calls_by_end ON api_key_calls (ended_at);
CREATE TABLE IF NOT EXISTS api_key_limits (
  key_id TEXT PRIMARY KEY, daily_budget TEXT, calls_per_minute INTEGER, concurrent_calls INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_key_days (
  key_id TEXT PRIMARY KEY, day INTEGER NOT NULL, charged_that_day TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`
const select = `
SELECT id, name, budget, charged, created_at, revoked_at, daily_budget, calls_per_minute, concurrent_calls, day,
  charged_that_day
FROM api_keys LEFT JOIN api_key_limits AS l ON l.key_id = id LEFT JOIN api_key_days AS d ON d.key_id = id`

/** SHA-256 of a secret in base64: all that is kept of it. */
export function digestSecret(secret: string): string {
  return hash('sha256', secret, 'base64')
}

/**
 * Opens or creates the file.
 *
 * @throws DatabaseFault when it cannot be opened or is not ours.
 */
export function openApiKeyStore(file: string): ApiKeyStore {
  const database = openDatabase(file, 'NORMAL')
  database.exec(schema)
  const byDigest = database.prepare(`${select} WHERE digest = ?`)
  const byId = database.prepare(`${select} WHERE id = ?`)
  const all = database.prepare(`${select} ORDER BY created_at, id`)
  const call = database.prepare(
    'SELECT * FROM api_key_calls WHERE key_id = ? AND idempotency_key = ?',
  )
  const insert = database.prepare(
    "INSERT INTO api_keys (id, name, digest, budget, charged, created_at) VALUES (?, ?, ?, ?, '0', ?)",
  )
  const revoke = database.prepare(
    'UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL',
  )
  const version = database.prepare('PRAGMA data_version')
  return {
    create: (name, budgetAtomic, nowMs) => {
      const secret = `csk_${toBase64url(randomBytes(32))}`
      const id = toHex(randomBytes(8))
      insert.run(id, name, digestSecret(secret), `${budgetAtomic}`, nowMs)
      const entry = { id, name, budgetAtomic, chargedAtomic: 0n, createdAtMs: nowMs } as const
      return { entry: { ...entry, state: 'active', limits: {}, today: noCharges }, secret }
    },
    limit: createLimit(database),
    list: () => all.all().map(parseEntry),
    revoke: (id, nowMs) => revoke.run(nowMs, id).changes === 1,
    findByDigest: (digest) => parseOptional(byDigest.get(digest), parseEntry),
    findById: (id) => parseOptional(byId.get(id), parseEntry),
    findCall: (keyId, idempotencyKey) => parseOptional(call.get(keyId, idempotencyKey), parseCall),
    version: () => readInteger(version.get() ?? {}, 'data_version'),
    flush: createFlush(database),
    close: () => {
      database.close()
    },
  }
}

const noCharges: DayCharges = { day: 0, chargedAtomic: 0n }

function createLimit(database: DatabaseSync): ApiKeyStore['limit'] {
  const known = database.prepare('SELECT 1 FROM api_keys WHERE id = ?')
  const ensure = database.prepare('INSERT OR IGNORE INTO api_key_limits (key_id) VALUES (?)')
  const setBudget = database.prepare('UPDATE api_keys SET budget = ? WHERE id = ?')
  const setDaily = database.prepare('UPDATE api_key_limits SET daily_budget = ? WHERE key_id = ?')
  const setRate = database.prepare(
    'UPDATE api_key_limits SET calls_per_minute = ? WHERE key_id = ?',
  )
  const setCap = database.prepare('UPDATE api_key_limits SET concurrent_calls = ? WHERE key_id = ?')
  return (id, { budgetAtomic, dailyBudgetAtomic, callsPerMinute, concurrentCalls }) =>
    inTransaction(database, () => {
      if (known.get(id) === undefined) return false
      ensure.run(id)
      if (budgetAtomic !== undefined) setBudget.run(`${budgetAtomic}`, id)
      if (dailyBudgetAtomic !== undefined) {
        setDaily.run(dailyBudgetAtomic === 'none' ? null : `${dailyBudgetAtomic}`, id)
      }
      if (callsPerMinute !== undefined) setRate.run(toColumn(callsPerMinute), id)
      if (concurrentCalls !== undefined) setCap.run(toColumn(concurrentCalls), id)
      return true
    })
}

function toColumn(limit: number | 'none'): number | null {
  return limit === 'none' ? null : limit
}

function createFlush(database: DatabaseSync): (flush: Flush) => void {
  const charge = database.prepare('UPDATE api_keys SET charged = ? WHERE id = ?')
  const chargeToday = database.prepare('INSERT OR REPLACE INTO api_key_days VALUES (?, ?, ?)')
  const remember = database.prepare('INSERT OR REPLACE INTO api_key_calls VALUES (?, ?, ?, ?, ?)')
  const forget = database.prepare('DELETE FROM api_key_calls WHERE ended_at < ?')
  return ({ charged, today, calls, forgetCallsBeforeMs }) => {
    inTransaction(database, () => {
      for (const [id, totalAtomic] of charged) charge.run(`${totalAtomic}`, id)
      for (const [id, { day, chargedAtomic }] of today) chargeToday.run(id, day, `${chargedAtomic}`)
      for (const { keyId, idempotencyKey, request, receiptId, endedAtMs } of calls) {
        remember.run(keyId, idempotencyKey, request, receiptId, endedAtMs)
      }
      if (calls.length > 0) forget.run(forgetCallsBeforeMs)
    })
  }
}

function parseOptional<T>(row: Row | undefined, parse: (row: Row) => T): T | undefined {
  return row === undefined ? undefined : parse(row)
}

function parseEntry(row: Row): ApiKeyEntry {
  return {
    id: readText(row, 'id'),
    name: readText(row, 'name'),
    budgetAtomic: readAmountAtomic(row, 'budget'),
    chargedAtomic: readAmountAtomic(row, 'charged'),
    createdAtMs: readInteger(row, 'created_at'),
    state: row['revoked_at'] === null ? 'active' : 'revoked',
    limits: parseLimits(row),
    today:
      row['day'] === null
        ? noCharges
        : {
            day: readInteger(row, 'day'),
            chargedAtomic: readAmountAtomic(row, 'charged_that_day'),
          },
  }
}

function parseLimits(row: Row): KeyLimits {
  const has = (column: string): boolean => row[column] !== null
  return {
    ...(has('daily_budget') ? { dailyBudgetAtomic: readAmountAtomic(row, 'daily_budget') } : {}),
    ...(has('calls_per_minute') ? { callsPerMinute: readInteger(row, 'calls_per_minute') } : {}),
    ...(has('concurrent_calls') ? { concurrentCalls: readInteger(row, 'concurrent_calls') } : {}),
  }
}

function parseCall(row: Row): NamedCall {
  return {
    keyId: readText(row, 'key_id'),
    idempotencyKey: readText(row, 'idempotency_key'),
    request: readBytes(row, 'request'),
    receiptId: readText(row, 'receipt_id'),
    endedAtMs: readInteger(row, 'ended_at'),
  }
}
