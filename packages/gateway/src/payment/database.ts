/** SQLite files of the payment schemes: how they are opened, owned and read. */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'

/** A row as SQLite gives it: not yet believed. */
export type Row = Readonly<Record<string, SQLOutputValue>>

/** A database file that is not what we wrote, or that another process owns. */
export class DatabaseFault extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DatabaseFault'
  }
}

const waitForOthersMs = 2000

/**
 * Opens or creates a database in WAL mode, readable by its user only. `FULL` makes every commit durable before it
 * returns; `NORMAL` may lose the last commits when the machine (not the process) dies.
 *
 * @throws DatabaseFault when the file cannot be opened.
 */
export function openDatabase(file: string, synchronous: 'FULL' | 'NORMAL'): DatabaseSync {
  try {
    closeSync(openSync(file, 'a', 0o600))
    const database = new DatabaseSync(file, { timeout: waitForOthersMs })
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`)
    return database
  } catch (cause) {
    throw new DatabaseFault('the payment database cannot be opened', { cause })
  }
}

/**
 * Makes this process the only one that admits payments from this file, until `release` or the end of the process,
 * kill -9 included. Two of them would each admit the same payment.
 *
 * @throws DatabaseFault when another process owns it.
 */
export function ownDatabase(file: string, name: string): { readonly release: () => void } {
  const owner = new DatabaseSync(`${file}.${name}-owner`, { timeout: 0 })
  try {
    owner.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    owner.close()
    throw new DatabaseFault('another process admits payments from this database', { cause })
  }
  return {
    release: () => {
      owner.close()
    },
  }
}

/** Runs `work` in one transaction: all of it is written, or nothing. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

/** The text in a column. @throws DatabaseFault when it is anything else. */
export function readText(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new DatabaseFault(`column ${column} is no text`)
  return value
}

/** The text in a column, or undefined for NULL. @throws DatabaseFault when it is anything else. */
export function readOptionalText(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : readText(row, column)
}

/** The integer in a column. @throws DatabaseFault when it is anything else. */
export function readInteger(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new DatabaseFault(`column ${column} is no integer`)
  return value
}

/** The bytes in a column. @throws DatabaseFault when it is anything else. */
export function readBytes(row: Row, column: string): Uint8Array {
  const value = row[column]
  if (!(value instanceof Uint8Array)) throw new DatabaseFault(`column ${column} is no bytes`)
  return value
}

/** An amount in atomic units, kept as decimal text. @throws DatabaseFault when it is anything else. */
export function readAmountAtomic(row: Row, column: string): bigint {
  const amountAtomic = parseAmountAtomic(readText(row, column))
  if (amountAtomic === undefined) throw new DatabaseFault(`column ${column} is no amount`)
  return amountAtomic
}

const decimal = /^(?:0|[1-9][0-9]{0,77})$/

/** A whole number of atomic units below 2^256 in its one decimal form, or undefined. */
export function parseAmountAtomic(text: string): bigint | undefined {
  if (!decimal.test(text)) return undefined
  const amountAtomic = BigInt(text)
  return amountAtomic < 1n << 256n ? amountAtomic : undefined
}
