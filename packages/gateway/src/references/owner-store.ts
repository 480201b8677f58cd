/** Who made what is kept at a provider: ids of responses, items and containers, each with the payer of its call. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** The call that an id came from. */
export type Origin = {
  /** The payer as its scheme names it; `null` when nobody can be known. */
  readonly owner: string | null
  /** SHA-256 of the access token of the call's receipt: who holds the token made the call. */
  readonly tokenDigest: Uint8Array
  readonly upstream: string
  readonly model: string
  readonly timeMs: number
}

/** Owner of the file. */
export type OwnerStore = {
  /** Keeps ids of one call. An id that is known already stays with its first owner. */
  put(ids: readonly string[], origin: Origin): void
  get(id: string): Origin | undefined
  removeOlderThan(timeMs: number): void
  close(): void
}

// Other workers write to the same file, each for a moment.
const waitForOthersMs = 2000
const schema = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS reference (
  id TEXT PRIMARY KEY, owner TEXT, token_digest BLOB NOT NULL, upstream TEXT NOT NULL, model TEXT NOT NULL,
  time_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reference_time ON reference (time_ms);`

/** Opens the store. Ids of a moment that a loss of power takes away belong to nobody: they are refused from then on. */
export function openOwnerStore(folder: string): OwnerStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(join(folder, 'references.db'), { timeout: waitForOthersMs })
  database.exec(schema)
  const insert = database.prepare('INSERT OR IGNORE INTO reference VALUES (?, ?, ?, ?, ?, ?)')
  const select = database.prepare('SELECT * FROM reference WHERE id = ?')
  const remove = database.prepare('DELETE FROM reference WHERE time_ms < ?')
  return {
    put(ids, { owner, tokenDigest, upstream, model, timeMs }) {
      for (const id of ids) insert.run(id, owner, tokenDigest, upstream, model, timeMs)
    },
    get(id) {
      const row = select.get(id)
      return row === undefined ? undefined : toOrigin(row)
    },
    removeOlderThan(timeMs) {
      remove.run(timeMs)
    },
    close() {
      database.close()
    },
  }
}

function toOrigin(row: Readonly<Record<string, unknown>>): Origin {
  const { owner, token_digest: tokenDigest, upstream, model, time_ms: timeMs } = row
  if (!(tokenDigest instanceof Uint8Array)) throw new TypeError('the reference database is damaged')
  return {
    owner: typeof owner === 'string' ? owner : null,
    tokenDigest,
    upstream: String(upstream),
    model: String(model),
    timeMs: Number(timeMs),
  }
}
