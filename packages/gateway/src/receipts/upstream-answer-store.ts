/**
 * The providers' own bytes of translated calls, kept for a while so that their callers can replay the translation
 * (spec/translation.md TR7). Each is sealed with a key that only the caller's access token gives: what lies on the disk
 * is of no use to whoever has it.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Owner of the database. */
export type UpstreamAnswerStore = {
  /** Seals and writes. After a crash in here the bytes are gone, and the receipt holds all the same. */
  put(idHex: string, token: string, body: Buffer, nowMs: number): void
  /** `undefined` when there are none, or the token is another one. */
  get(idHex: string, token: string): Buffer | undefined
  removeOlderThan(timeMs: number): void
  close(): void
}

const schema = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS answer (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  time_ms INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
`
const tagBytes = 16
// The key serves for one message.
const nonce = Buffer.alloc(12)

/** Opens the store; the oldest bytes go first when `maxBytes` is reached. */
export function openUpstreamAnswerStore(folder: string, maxBytes: number): UpstreamAnswerStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(join(folder, 'upstream-answers.db'))
  database.exec(schema)
  const insert = database.prepare(
    'INSERT OR REPLACE INTO answer (id, time_ms, bytes, sealed) VALUES (?, ?, ?, ?)',
  )
  const select = database.prepare('SELECT sealed FROM answer WHERE id = ?')
  const oldest = database.prepare('SELECT number, bytes FROM answer ORDER BY number LIMIT 1')
  const remove = database.prepare('DELETE FROM answer WHERE number = ?')
  const sum = database.prepare('SELECT coalesce(sum(bytes), 0) AS total FROM answer')
  // Owned here: sealed bytes in the database.
  let total = Number(sum.get()?.['total'] ?? 0)

  return {
    put(idHex, token, body, nowMs) {
      if (body.length > maxBytes) return
      const id = Buffer.from(idHex, 'hex')
      insert.run(id, nowMs, body.length, seal(deriveKey(id, token), body))
      total += body.length
      while (total > maxBytes) {
        const row = oldest.get()
        if (row === undefined) break
        remove.run(Number(row['number']))
        total -= Number(row['bytes'])
      }
    },
    get(idHex, token) {
      const id = Buffer.from(idHex, 'hex')
      const sealed = select.get(id)?.['sealed']
      return sealed instanceof Uint8Array ? open(deriveKey(id, token), sealed) : undefined
    },
    removeOlderThan(timeMs) {
      database.prepare('DELETE FROM answer WHERE time_ms < ?').run(timeMs)
      total = Number(sum.get()?.['total'] ?? 0)
    },
    close() {
      database.close()
    },
  }
}

function deriveKey(id: Buffer, token: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', token, id, 'countersign/upstream-response/v1', 32))
}

function seal(key: Uint8Array, body: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

function open(key: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  const end = sealed.length - tagBytes
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  decipher.setAuthTag(sealed.subarray(end))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()])
  } catch {
    // Another token: nothing here says whether there are bytes.
    return undefined
  }
}
