/** The durable record of every payment ever accepted (spec/payment.md PA8). Each write is fsynced before it returns. */
import type { DatabaseSync } from 'node:sqlite'
import { getAddress, isHex, type Address, type Hex } from 'viem'
import {
  DatabaseFault,
  inTransaction,
  openDatabase,
  readAmountAtomic,
  readBytes,
  readInteger,
  readOptionalText,
  readText,
  type Row,
} from '../database.ts'
import type { Authorization } from './presented-payment.ts'
import type { PaymentKey } from './payment-key.ts'
import { createUnfinal, type UnfinalSettlements } from './unfinal-settlements.ts'

/**
 * Whether the payment buys a call. `open`: one is running. `free`: none has used it up; the same request may.
 * `used`: its answer was released, or its caller left.
 */
export type Use = 'open' | 'free' | 'used'

/**
 * What is known of the money. `none`: nothing was broadcast. `broadcast`: one transaction was signed, and perhaps
 * sent. `confirmed`: the transfer is on chain. `failed`: it can never be.
 */
export type Settlement = 'none' | 'broadcast' | 'confirmed' | 'failed'

/** One payment. */
export type PaymentRecord = {
  readonly authorization: Authorization
  readonly signature: Hex
  /** Hash of the request that it buys; fixed for ever by the first use. */
  readonly request: Uint8Array
  /** Whether the payer itself bound the nonce to that request. */
  readonly bound: boolean
  /** Receipt id of the latest call, 32 hex digits. */
  readonly receiptId: string
  readonly use: Use
  readonly settlement: Settlement
  /** The confirmed transaction, or else the one that was broadcast. */
  readonly transaction: Hex | undefined
  /** No settlement of this payment stands in an earlier block. */
  readonly reservedBlock: bigint
}

/** A signed transaction of ours that may not be on chain yet. */
export type SignedTransaction = {
  readonly hash: Hex
  readonly raw: Hex
  readonly transactionNonce: number
}

/** A payment under a name that its payer gave a call. */
export type IdentifiedPayment = {
  readonly key: PaymentKey
  readonly identifier: string
  readonly atMs: number
}

/** The ledger of one (network, asset). Times are milliseconds since the Unix epoch. */
export type Ledger = UnfinalSettlements & {
  find(key: PaymentKey): PaymentRecord | undefined
  /** The payment that the payer gave this identifier first. */
  findIdentified(payer: Address, identifier: string): PaymentRecord | undefined
  /** Names whose calls were reserved or ended since, oldest first; of more than so many the latest. */
  identifiedSince(sinceMs: number, most: number): readonly IdentifiedPayment[]
  /** The latest block when this file was made; `undefined` until it is set, once (PA9.8). */
  birthBlock(): bigint | undefined
  setBirthBlock(block: bigint): void
  /** Inserts an open payment. Throws when it exists: one payment, one row. */
  reserve(record: PaymentRecord, identifier: string | undefined, nowMs: number): void
  /** From `free` to `open`, under a new receipt id, and under the name of the call when it has one. */
  reopen(key: PaymentKey, receiptId: string, identifier?: string): void
  release(key: PaymentKey, nowMs: number): void
  free(key: PaymentKey, nowMs: number): void
  recordBroadcast(key: PaymentKey, signed: SignedTransaction): void
  /** The node refused the transaction: its nonce is free again and nothing was broadcast. */
  forgetBroadcast(key: PaymentKey, hash: Hex): void
  confirm(key: PaymentKey, transaction: Hex, nowMs: number): void
  fail(key: PaymentKey, nowMs: number): void
  /** Our signed transactions from this nonce on, in ascending order. */
  transactionsFrom(transactionNonce: number): readonly SignedTransaction[]
  findTransaction(hash: Hex): SignedTransaction | undefined
  /** What was released to this payer without having been confirmed. */
  unsettledReleasedAtomic(payer: Address): bigint
  /** Payments whose settlement was begun or owed when the process ended. */
  unresolved(): readonly PaymentRecord[]
  close(): void
}

const schema = `
CREATE TABLE IF NOT EXISTS payments (
  network TEXT NOT NULL, asset TEXT NOT NULL, payer TEXT NOT NULL, nonce TEXT NOT NULL,
  pay_to TEXT NOT NULL, amount TEXT NOT NULL, valid_after TEXT NOT NULL, valid_before TEXT NOT NULL,
  signature TEXT NOT NULL, request BLOB NOT NULL, bound INTEGER NOT NULL, receipt_id TEXT NOT NULL,
  use TEXT NOT NULL CHECK (use IN ('open', 'free', 'used')),
  settlement TEXT NOT NULL CHECK (settlement IN ('none', 'broadcast', 'confirmed', 'failed')),
  settlement_transaction TEXT, reserved_block TEXT NOT NULL,
  reserved_at INTEGER NOT NULL, settled_at INTEGER, ended_at INTEGER,
  PRIMARY KEY (network, asset, payer, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS payments_unsettled ON payments (network, asset, payer)
  WHERE settlement <> 'confirmed';
CREATE TABLE IF NOT EXISTS payment_identifiers (
  network TEXT NOT NULL, asset TEXT NOT NULL, payer TEXT NOT NULL, identifier TEXT NOT NULL,
  nonce TEXT NOT NULL, PRIMARY KEY (network, asset, payer, identifier)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger_births (
  network TEXT NOT NULL, asset TEXT NOT NULL, block TEXT NOT NULL, PRIMARY KEY (network, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settlement_transactions (
  network TEXT NOT NULL, sender TEXT NOT NULL, transaction_nonce INTEGER NOT NULL,
  hash TEXT NOT NULL UNIQUE, raw TEXT NOT NULL, PRIMARY KEY (network, sender, transaction_nonce)
) STRICT, WITHOUT ROWID;
`

/**
 * Opens the ledger. What was `open` when the last process ended is `free`: no answer of it was released.
 *
 * @throws DatabaseFault when the file cannot be opened or is not ours.
 */
export function openLedger(
  file: string,
  scope: { readonly network: string; readonly asset: Address; readonly sender: Address },
): Ledger {
  const database = openDatabase(file, 'FULL')
  database.exec(schema)
  const { network } = scope
  const asset = scope.asset.toLowerCase()
  const sender = scope.sender.toLowerCase()
  const here = `network = '${network}' AND asset = '${asset}'`
  database.exec(`UPDATE payments SET use = 'free' WHERE ${here} AND use = 'open'`)
  const one = `WHERE ${here} AND payer = ? AND nonce = ?`
  const prepared = {
    find: database.prepare(`SELECT * FROM payments ${one}`),
    identifier: database.prepare(
      `SELECT nonce FROM payment_identifiers WHERE ${here} AND payer = ? AND identifier = ?`,
    ),
    identifiedSince: database.prepare(
      `SELECT payer, identifier, nonce, max(reserved_at, ifnull(ended_at, 0)) AS at
       FROM payment_identifiers JOIN payments USING (network, asset, payer, nonce)
       WHERE ${here} AND (reserved_at > ? OR ended_at > ?) ORDER BY at DESC LIMIT ?`,
    ),
    unresolved: database.prepare(
      `SELECT * FROM payments WHERE ${here} AND (settlement = 'broadcast' OR settlement = 'none' AND use = 'used')`,
    ),
    released: database.prepare(
      `SELECT amount FROM payments WHERE ${here} AND payer = ? AND settlement <> 'confirmed' AND use = 'used'`,
    ),
    transaction: database.prepare(
      `SELECT hash, raw, transaction_nonce FROM settlement_transactions
       WHERE network = '${network}' AND sender = '${sender}' AND hash = ?`,
    ),
    from: database.prepare(
      `SELECT hash, raw, transaction_nonce FROM settlement_transactions
       WHERE network = '${network}' AND sender = '${sender}' AND transaction_nonce >= ? ORDER BY transaction_nonce`,
    ),
  }
  const find = (payer: string, nonce: string): PaymentRecord | undefined => {
    const row = prepared.find.get(payer.toLowerCase(), nonce)
    return row === undefined ? undefined : parseRecord(row)
  }
  return {
    ...createUpdates(database, { network, asset, sender, one }),
    ...createBirth(database, network, asset),
    identifiedSince: (sinceMs, most) =>
      prepared.identifiedSince.all(sinceMs, sinceMs, most).map(parseIdentified).toReversed(),
    find: ({ payer, nonce }) => find(payer, nonce),
    findIdentified: (payer, identifier) => {
      const row = prepared.identifier.get(payer.toLowerCase(), identifier)
      return row === undefined ? undefined : find(payer, readText(row, 'nonce'))
    },
    transactionsFrom: (transactionNonce) =>
      prepared.from.all(transactionNonce).map(parseTransaction),
    findTransaction: (hash) => {
      const row = prepared.transaction.get(hash)
      return row === undefined ? undefined : parseTransaction(row)
    },
    unsettledReleasedAtomic: (payer) =>
      prepared.released
        .all(payer.toLowerCase())
        .reduce((sum, row) => sum + readAmountAtomic(row, 'amount'), 0n),
    unresolved: () => prepared.unresolved.all().map(parseRecord),
    close: () => {
      database.close()
    },
  }
}

const insertIdentifier = 'INSERT OR REPLACE INTO payment_identifiers VALUES (?, ?, ?, ?, ?)'

type Place = {
  readonly network: string
  readonly asset: string
  readonly sender: string
  readonly one: string
}

type Updates = Pick<
  Ledger,
  | 'reserve'
  | 'reopen'
  | 'release'
  | 'free'
  | 'recordBroadcast'
  | 'forgetBroadcast'
  | 'confirm'
  | 'fail'
  | keyof UnfinalSettlements
>

function createUpdates(database: DatabaseSync, { network, asset, sender, one }: Place): Updates {
  const sign = database.prepare('INSERT INTO settlement_transactions VALUES (?, ?, ?, ?, ?)')
  const unsign = database.prepare('DELETE FROM settlement_transactions WHERE hash = ?')
  /** Every transition names the state it leaves: a second one changes nothing, which is a fault. */
  const transition = (assignments: string, from: string) => {
    const statement = database.prepare(`UPDATE payments SET ${assignments} ${one} AND ${from}`)
    return ({ payer, nonce }: PaymentKey, ...values: readonly (string | number)[]): void => {
      const { changes } = statement.run(...values, payer.toLowerCase(), nonce)
      if (changes !== 1) throw new DatabaseFault(`the payment was not in the state: ${from}`)
    }
  }
  const broadcast = transition(
    "settlement = 'broadcast', settlement_transaction = ?",
    "settlement = 'none'",
  )
  const unbroadcast = transition(
    "settlement = 'none', settlement_transaction = NULL",
    "settlement = 'broadcast'",
  )
  const reopen = transition("use = 'open', receipt_id = ?", "use = 'free'")
  const identify = database.prepare(insertIdentifier)
  const confirm = transition(
    "settlement = 'confirmed', settlement_transaction = ?, settled_at = ?",
    // Also after a failure: a stranger may send the authorization when the payer has the money at last.
    "settlement IN ('none', 'broadcast', 'failed')",
  )
  const { note, ...unfinal } = createUnfinal(database, { network, asset }, confirm)
  return {
    reserve: createReserve(database, network, asset, note),
    reopen: (key, receiptId, identifier) => {
      inTransaction(database, () => {
        reopen(key, receiptId)
        if (identifier === undefined) return
        identify.run(network, asset, key.payer.toLowerCase(), identifier, key.nonce)
      })
    },
    release: transition("use = 'used', ended_at = ?", "use = 'open'"),
    free: transition("use = 'free', ended_at = ?", "use IN ('open', 'used')"),
    recordBroadcast: (key, { hash, raw, transactionNonce }) => {
      inTransaction(database, () => {
        broadcast(key, hash)
        sign.run(network, sender, transactionNonce, hash, raw)
      })
    },
    forgetBroadcast: (key, hash) => {
      inTransaction(database, () => {
        unbroadcast(key)
        unsign.run(hash)
      })
    },
    ...unfinal,
    fail: transition(
      "settlement = 'failed', settled_at = ?",
      "settlement IN ('none', 'broadcast')",
    ),
  }
}

function createReserve(
  database: DatabaseSync,
  network: string,
  asset: string,
  note: (key: PaymentKey) => void,
): Ledger['reserve'] {
  const insert = database.prepare(
    `INSERT INTO payments VALUES (${Array.from({ length: 17 }, () => '?').join(', ')}, NULL, NULL)`,
  )
  const identify = database.prepare(insertIdentifier)
  return (record, identifier, nowMs) => {
    const { authorization } = record
    const payer = authorization.from.toLowerCase()
    inTransaction(database, () => {
      insert.run(
        network,
        asset,
        payer,
        authorization.nonce,
        authorization.to.toLowerCase(),
        `${authorization.valueAtomic}`,
        `${authorization.validAfterSeconds}`,
        `${authorization.validBeforeSeconds}`,
        record.signature,
        record.request,
        record.bound ? 1 : 0,
        record.receiptId,
        record.use,
        record.settlement,
        record.transaction ?? null,
        `${record.reservedBlock}`,
        nowMs,
      )
      // An observer has settled it (PA9.8).
      if (record.settlement === 'confirmed') {
        note({ payer: authorization.from, nonce: authorization.nonce })
      }
      if (identifier !== undefined) {
        identify.run(network, asset, payer, identifier, authorization.nonce)
      }
    })
  }
}

function parseRecord(row: Row): PaymentRecord {
  const transaction = readOptionalText(row, 'settlement_transaction')
  return {
    authorization: {
      from: getAddress(readText(row, 'payer')),
      to: getAddress(readText(row, 'pay_to')),
      valueAtomic: readAmountAtomic(row, 'amount'),
      validAfterSeconds: readAmountAtomic(row, 'valid_after'),
      validBeforeSeconds: readAmountAtomic(row, 'valid_before'),
      nonce: readHex(row, 'nonce'),
    },
    signature: readHex(row, 'signature'),
    request: readBytes(row, 'request'),
    bound: readInteger(row, 'bound') === 1,
    receiptId: readText(row, 'receipt_id'),
    use: readChoice(row, 'use', ['open', 'free', 'used'] as const),
    settlement: readChoice(row, 'settlement', [
      'none',
      'broadcast',
      'confirmed',
      'failed',
    ] as const),
    transaction: transaction === undefined ? undefined : toHex(transaction),
    reservedBlock: readAmountAtomic(row, 'reserved_block'),
  }
}

function createBirth(
  database: DatabaseSync,
  network: string,
  asset: string,
): Pick<Ledger, 'birthBlock' | 'setBirthBlock'> {
  const find = database.prepare('SELECT block FROM ledger_births WHERE network = ? AND asset = ?')
  const insert = database.prepare('INSERT INTO ledger_births VALUES (?, ?, ?)')
  return {
    birthBlock: () => {
      const row = find.get(network, asset)
      return row === undefined ? undefined : readAmountAtomic(row, 'block')
    },
    setBirthBlock: (block) => {
      insert.run(network, asset, `${block}`)
    },
  }
}

function parseIdentified(row: Row): IdentifiedPayment {
  return {
    key: { payer: getAddress(readText(row, 'payer')), nonce: readHex(row, 'nonce') },
    identifier: readText(row, 'identifier'),
    atMs: readInteger(row, 'at'),
  }
}

function parseTransaction(row: Row): SignedTransaction {
  const hash = readHex(row, 'hash')
  return { hash, raw: readHex(row, 'raw'), transactionNonce: readInteger(row, 'transaction_nonce') }
}

function readChoice<T extends string>(row: Row, column: string, choices: readonly T[]): T {
  const value = readText(row, column)
  const choice = choices.find((candidate) => candidate === value)
  if (choice === undefined) throw new DatabaseFault(`column ${column} has no known value`)
  return choice
}

function readHex(row: Row, column: string): Hex {
  return toHex(readText(row, column))
}

function toHex(text: string): Hex {
  if (!isHex(text)) throw new DatabaseFault('a column that should hold hex does not')
  return text
}
