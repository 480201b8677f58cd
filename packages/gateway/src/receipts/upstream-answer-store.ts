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

// Other workers write to the same file, each for a moment.
const waitForOthersMs = 2000
// How much is kept stands in the file, too: each of several workers adds to it and takes away.
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
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS kept (bytes INTEGER NOT NULL) STRICT;
CREATE TRIGGER IF NOT EXISTS answer_added AFTER INSERT ON answer
  BEGIN UPDATE kept SET bytes = bytes + NEW.bytes; END;
CREATE TRIGGER IF NOT EXISTS answer_removed AFTER DELETE ON answer
  BEGIN UPDATE kept SET bytes = bytes - OLD.bytes; END;
DELETE FROM kept;
INSERT INTO kept SELECT coalesce(sum(bytes), 0) FROM answer;
COMMIT;
`
const tagBytes = 16
// The key serves for one message.
const nonce = Buffer.alloc(12)

/** Opens the store; the oldest bytes go first when `maxBytes` is reached. */
export function openUpstreamAnswerStore(folder: string, maxBytes: number): UpstreamAnswerStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(join(folder, 'upstream-answers.db'), {
    timeout: waitForOthersMs,
  })
  database.exec(schema)
  // A key serves for one message: a second one of the same call would tell both.
  const insert = database.prepare(
    'INSERT OR IGNORE INTO answer (id, time_ms, bytes, sealed) VALUES (?, ?, ?, ?)',
  )
  const select = database.prepare('SELECT sealed FROM answer WHERE id = ?')
  const removeOldest = database.prepare(
    'DELETE FROM answer WHERE number = (SELECT min(number) FROM answer)',
  )
  const kept = database.prepare('SELECT bytes FROM kept')
  const isTooMuch = (): boolean => Number(kept.get()?.['bytes'] ?? 0) > maxBytes

  return {
    put(idHex, token, body, nowMs) {
      if (body.length > maxBytes) return
      const id = Buffer.from(idHex, 'hex')
      const sealed = seal(deriveKey(id, token), body)
      database.exec('BEGIN IMMEDIATE')
      try {
        insert.run(id, nowMs, body.length, sealed)
        while (isTooMuch() && removeOldest.run().changes > 0);
        database.exec('COMMIT')
      } finally {
        if (database.isTransaction) database.exec('ROLLBACK')
      }
    },
    get(idHex, token) {
      const id = Buffer.from(idHex, 'hex')
      const sealed = select.get(id)?.['sealed']
      return sealed instanceof Uint8Array ? open(deriveKey(id, token), sealed) : undefined
    },
    removeOlderThan(timeMs) {
      database.prepare('DELETE FROM answer WHERE time_ms < ?').run(timeMs)
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
