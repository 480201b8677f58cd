/** Keeps receipts so that callers can fetch them later: written in groups, found by id. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { ClaimEntry } from '@countersign/protocol/receipt/claims'
import type { Evidence } from '@countersign/protocol/verify/bundle'
import { parseClaimEntries, serializeClaimEntries } from './stored-claims.ts'

/** One issued statement with all that its holder may see. */
export type StoredReceipt = {
  /** 32 lower-case hex digits. */
  readonly id: string
  readonly timeMs: number
  /** SHA-256 of the access token. */
  readonly tokenDigest: Uint8Array
  readonly statement: Uint8Array
  readonly claims: readonly ClaimEntry[]
  readonly keysetDigest: Uint8Array
  /** Event digests, 32 bytes each; empty when the answer was no stream or too long. */
  readonly events: Uint8Array
}

/** A keyset that statements of this store belong to. */
export type StoredKeyset = {
  readonly keysetDigest: Uint8Array
  readonly keysetStatement: Uint8Array
  readonly evidence: Evidence
}

/** Owner of the database file and of what waits to be written. */
export type ReceiptStore = {
  /** `onStored` is called once, when the receipt is on the disk. */
  put(receipt: StoredReceipt, onStored?: () => void): void
  /** Keeps a statement for a short time in memory only: anybody can cause refusals, and they must not fill the disk. */
  putTransient(receipt: StoredReceipt): void
  get(id: string): StoredReceipt | undefined
  putKeyset(keyset: StoredKeyset): void
  getKeyset(digest: Uint8Array): StoredKeyset | undefined
  lastKeysetDigest(): Uint8Array | undefined
  /** The statements of keysets, latest first, at most so many. */
  latestKeysets(count: number): readonly Uint8Array[]
  removeOlderThan(timeMs: number): void
  /** Writes what waits at once. */
  flush(): void
  /** Receipts that are not on disk yet. */
  unwritten(): number
  close(): void
}

// Other workers write to the same file, each for a moment.
const waitForOthersMs = 2000
const flushAfterMs = 25
const retryAfterMs = 1000
const maxWaiting = 1024
const maxTransient = 4096
// Ids are random: rows in the order of their ids would write several pages for each receipt, so only the small
// index has that order (measured: 50 µs a row that way, 10 µs this way).
const schema = `
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS receipt (
  number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, time_ms INTEGER NOT NULL, token_digest BLOB NOT NULL,
  statement BLOB NOT NULL, claims BLOB NOT NULL, keyset_digest BLOB NOT NULL, events BLOB NOT NULL) STRICT;
DROP INDEX IF EXISTS receipt_time;
CREATE TABLE IF NOT EXISTS keyset (
  number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, statement BLOB NOT NULL, evidence_kind TEXT NOT NULL,
  evidence_nonce BLOB NOT NULL, evidence_data BLOB NOT NULL) STRICT;`

/**
 * Opens the store. A receipt is readable at once; it is on disk after at most 25 ms. A crash before that loses the
 * stored copy only: its caller has the statement already, and money is in the payment ledger.
 */
export function openReceiptStore(folder: string, onError: (error: unknown) => void): ReceiptStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(join(folder, 'receipts.db'), { timeout: waitForOthersMs })
  database.exec(schema)
  const insert = database.prepare('INSERT INTO receipt VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)')
  const select = database.prepare('SELECT * FROM receipt WHERE id = ?')
  // Owned here: receipts that are not in the database yet.
  let waiting = new Map<string, StoredReceipt>()
  // Owned here: the latest refusals, oldest first.
  const transient = new Map<string, Row>()
  let timer: NodeJS.Timeout | undefined
  // Owned here: who wants to know when they are.
  let listeners: (() => void)[] = []

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (waiting.size === 0) return
    try {
      database.exec('BEGIN')
      for (const receipt of waiting.values()) insert.run(...toRow(receipt))
      database.exec('COMMIT')
      // A new one: the table that `clear` leaves behind would keep these receipts alive until it is old garbage.
      waiting = new Map()
      const stored = listeners
      listeners = []
      for (const listener of stored) listener()
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      onError(error)
      timer = setTimeout(flush, retryAfterMs)
    }
  }

  return {
    put(receipt, onStored) {
      waiting.set(receipt.id, receipt)
      if (onStored !== undefined) listeners.push(onStored)
      timer ??= setTimeout(flush, flushAfterMs)
      // Once: a store that cannot write is tried again by its timer, not by every call.
      if (waiting.size === maxWaiting) flush()
    },
    unwritten: () => waiting.size,
    putTransient: (receipt) => {
      putBounded(transient, receipt.id, toCompactRow(receipt))
    },
    get: (id) =>
      waiting.get(id) ?? fromRow(transient.get(id) ?? select.get(Buffer.from(id, 'hex'))),
    putKeyset({ keysetDigest, keysetStatement, evidence }) {
      database
        .prepare(
          'INSERT INTO keyset (digest, statement, evidence_kind, evidence_nonce, evidence_data) VALUES (?, ?, ?, ?, ?)',
        )
        .run(keysetDigest, keysetStatement, evidence.kind, evidence.nonce, evidence.data)
    },
    getKeyset: (digest) =>
      toKeyset(digest, database.prepare('SELECT * FROM keyset WHERE digest = ?').get(digest)),
    lastKeysetDigest() {
      const row = database.prepare('SELECT digest FROM keyset ORDER BY number DESC LIMIT 1').get()
      return row === undefined ? undefined : blob(row['digest'])
    },
    latestKeysets: (count) => readLatest(database, count),
    removeOlderThan(timeMs) {
      // Rows were written in the order of time, within the moments of a flush: the first young one ends the old ones.
      database
        .prepare(
          'DELETE FROM receipt WHERE number < coalesce((SELECT min(number) FROM receipt WHERE time_ms >= ?), 1e18)',
        )
        .run(timeMs)
    },
    flush,
    close() {
      flush()
      clearTimeout(timer)
      database.close()
    },
  }
}

function readLatest(database: DatabaseSync, count: number): readonly Uint8Array[] {
  const latest = database.prepare('SELECT statement FROM keyset ORDER BY number DESC LIMIT ?')
  return latest.all(count).map((row) => blob(row['statement']))
}

/** Keeps the latest statements, the oldest of them first. */
function putBounded(kept: Map<string, Row>, id: string, row: Row): void {
  kept.set(id, row)
  const [oldest] = kept.keys()
  if (kept.size > maxTransient && oldest !== undefined) kept.delete(oldest)
}

type Row = Readonly<Record<string, unknown>>

/**
 * A row in memory, of copies. What a statement is made of are pieces of larger buffers (pools of random bytes and of
 * small buffers): kept as they are, each refusal would hold some 20 kB alive for its one.
 */
function toCompactRow(receipt: StoredReceipt): Row {
  const [id, timeMs, ...parts] = toRow(receipt)
  const [tokenDigest, statement, claims, keysetDigest, events] = parts.map((part) =>
    Uint8Array.from(part),
  )
  return {
    id: Uint8Array.from(id),
    time_ms: timeMs,
    token_digest: tokenDigest,
    statement,
    claims,
    keyset_digest: keysetDigest,
    events,
  }
}

function toRow(
  receipt: StoredReceipt,
): [Uint8Array, number, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array] {
  return [
    Buffer.from(receipt.id, 'hex'),
    receipt.timeMs,
    receipt.tokenDigest,
    receipt.statement,
    serializeClaimEntries(receipt.claims),
    receipt.keysetDigest,
    receipt.events,
  ]
}

function fromRow(row: Row | undefined): StoredReceipt | undefined {
  if (row === undefined) return undefined
  return {
    id: toHex(blob(row['id'])),
    timeMs: Number(row['time_ms']),
    tokenDigest: blob(row['token_digest']),
    statement: blob(row['statement']),
    claims: parseClaimEntries(blob(row['claims'])),
    keysetDigest: blob(row['keyset_digest']),
    events: blob(row['events']),
  }
}

function toKeyset(keysetDigest: Uint8Array, row: Row | undefined): StoredKeyset | undefined {
  if (row === undefined) return undefined
  const evidence = {
    kind: String(row['evidence_kind']),
    nonce: blob(row['evidence_nonce']),
    data: blob(row['evidence_data']),
  }
  return { keysetDigest, keysetStatement: blob(row['statement']), evidence }
}

function blob(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError('the receipt database is damaged')
  return value
}
