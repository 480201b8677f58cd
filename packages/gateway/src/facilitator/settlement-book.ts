/** The durable record of every settlement (spec/payment.md PA27.7). Each write is fsynced before it returns. */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { isHex } from 'viem'
import {
  DatabaseFault,
  openDatabase,
  readAmountAtomic,
  readInteger,
  readOptionalText,
  readText,
  type Row,
} from '../payment/database.ts'
import type { SignedTransaction } from '../payment/exact/ledger.ts'
import type { SenderBook } from '../payment/exact/shared-sender.ts'

/**
 * `reserved`: nothing is signed. `broadcast`: one transaction is signed, and perhaps sent. `mined`, `reverted`: it is on
 * chain. `free`: a charge of 0, which needs none.
 */
export type SettlementState = 'reserved' | 'broadcast' | 'mined' | 'reverted' | 'free'

/** One settlement. */
export type SettlementRecord = {
  readonly id: string
  readonly client: string
  readonly state: SettlementState
  readonly hash: Hex | undefined
  /** No settlement of a stranger that counts stands in an earlier block. */
  readonly fromBlock: bigint
  /** A good answer was given: there is never another one. */
  readonly isAnswered: boolean
  /** The name that its client gave the request which was answered. */
  readonly requestName: string | undefined
}

/** What is written of a new one. */
export type NewSettlement = {
  readonly id: string
  readonly client: string
  /** Empty when nobody pays. */
  readonly payer: string
  readonly asset: string
  readonly amountAtomic: bigint
  /** The most that it can take. */
  readonly gas: bigint
  readonly fromBlock: bigint
}

/** The records of one network and one sender. Times are milliseconds since the Unix epoch. */
export type SettlementBook = SenderBook & {
  find(id: string): SettlementRecord | undefined
  /** Throws when there is one: a settlement is made once. */
  reserve(settlement: NewSettlement, nowMs: number): void
  /** Nothing was signed: it may come again. */
  release(id: string): void
  recordBroadcast(id: string, signed: SignedTransaction): void
  /** The transaction can never be on chain. */
  forgetBroadcast(id: string): void
  finish(id: string, state: 'mined' | 'reverted', gasUsed: bigint): void
  /** A charge of 0, answered. */
  finishFree(settlement: NewSettlement, requestName: string | undefined, nowMs: number): void
  /** `hash`: what is answered, which a stranger may have sent. */
  answer(id: string, hash: Hex, requestName: string | undefined): void
  /** What was mined for us and reserved since this time, the latest of it: a reorganisation may take it back. */
  listMined(sinceMs: number): readonly { readonly id: string; readonly hash: Hex }[]
  /** Ids of what is signed and not on chain. */
  listBroadcast(): readonly string[]
  countPending(client: string | undefined): number
  /** What is on its way from this account. */
  pendingAtomic(payer: string, asset: string): bigint
  /** On the day of this time; of one client, or of all. */
  gasOfDay(nowMs: number, client: string | undefined): bigint
  /** Settlements of this payer that failed on chain on the day of this time. */
  countReverted(payer: string, nowMs: number): number
  close(): void
}

const dayMs = 86_400_000
const schema = `
CREATE TABLE IF NOT EXISTS settlements (
  network TEXT NOT NULL, id TEXT NOT NULL, client TEXT NOT NULL, payer TEXT NOT NULL, asset TEXT NOT NULL,
  amount TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('reserved', 'broadcast', 'mined', 'reverted', 'free')),
  sender TEXT NOT NULL, hash TEXT, raw TEXT, transaction_nonce INTEGER, gas INTEGER NOT NULL, day INTEGER NOT NULL,
  from_block TEXT NOT NULL, answered INTEGER NOT NULL DEFAULT 0, request_name TEXT, reserved_at INTEGER NOT NULL,
  PRIMARY KEY (network, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS settlements_pending ON settlements (network, client)
  WHERE state IN ('reserved', 'broadcast');
CREATE INDEX IF NOT EXISTS settlements_day ON settlements (day, client, gas);
CREATE INDEX IF NOT EXISTS settlements_reverted ON settlements (network, payer, day) WHERE state = 'reverted';
CREATE INDEX IF NOT EXISTS settlements_nonces ON settlements (network, sender, transaction_nonce);
CREATE INDEX IF NOT EXISTS settlements_hashes ON settlements (hash);
`

/**
 * Opens the book. What an earlier process reserved and did not sign is forgotten: nothing of it has left.
 *
 * @throws DatabaseFault when the file cannot be opened or is not ours, or when another key has settlements under way:
 * only that key can send them again.
 */
export function openSettlementBook(
  file: string,
  scope: { readonly network: string; readonly sender: string },
): SettlementBook {
  const database = openDatabase(file, 'FULL')
  database.exec(schema)
  const { network } = scope
  const sender = scope.sender.toLowerCase()
  const here = `network = '${network}'`
  const ours = `${here} AND sender = '${sender}' AND raw IS NOT NULL`
  const pending = `${here} AND state IN ('reserved', 'broadcast')`
  database.exec(`DELETE FROM settlements WHERE ${here} AND state = 'reserved'`)
  const others = database
    .prepare(
      `SELECT count(*) AS n FROM settlements WHERE ${here} AND state = 'broadcast' AND sender <> ?`,
    )
    .get(sender)
  if (countOf(others) > 0) {
    database.close()
    throw new DatabaseFault('another key has settlements under way: start with it until they end')
  }
  const select = createReads(database, { here, ours, pending })
  return {
    ...createWrites(database, network, sender),
    find: (id) => {
      const row = select.one.get(id)
      return row === undefined ? undefined : parseRecord(row)
    },
    transactionsFrom: (first) => select.from.all(first).map(parseTransaction),
    findTransaction: (hash) => {
      const row = select.transaction.get(hash)
      return row === undefined ? undefined : parseTransaction(row)
    },
    listMined: (sinceMs) =>
      select.mined
        .all(dayOf(sinceMs), sinceMs)
        .map((row) => ({ id: readText(row, 'id'), hash: toHex(readText(row, 'hash')) })),
    listBroadcast: () => select.broadcast.all().map((row) => readText(row, 'id')),
    countPending: (client) =>
      countOf(client === undefined ? select.pending.get() : select.pendingOf.get(client)),
    pendingAtomic: (payer, asset) =>
      select.amounts
        .all(payer, asset)
        .reduce((sum, row) => sum + readAmountAtomic(row, 'amount'), 0n),
    gasOfDay: (nowMs, client) => {
      const day = dayOf(nowMs)
      return BigInt(
        countOf(client === undefined ? select.gas.get(day) : select.gasOf.get(day, client)),
      )
    },
    countReverted: (payer, nowMs) => countOf(select.reverted.get(payer, dayOf(nowMs))),
    close: () => {
      database.close()
    },
  }
}

function createReads(
  database: ReturnType<typeof openDatabase>,
  { here, ours, pending }: Readonly<Record<'here' | 'ours' | 'pending', string>>,
): Readonly<Record<ReadName, ReturnType<ReturnType<typeof openDatabase>['prepare']>>> {
  return {
    one: database.prepare(`SELECT * FROM settlements WHERE ${here} AND id = ?`),
    broadcast: database.prepare(`SELECT id FROM settlements WHERE ${here} AND state = 'broadcast'`),
    from: database.prepare(
      `SELECT hash, raw, transaction_nonce FROM settlements WHERE ${ours} AND transaction_nonce >= ?
       ORDER BY transaction_nonce`,
    ),
    transaction: database.prepare(
      `SELECT hash, raw, transaction_nonce FROM settlements WHERE ${ours} AND hash = ?`,
    ),
    mined: database.prepare(
      `SELECT id, hash FROM settlements WHERE ${ours} AND state = 'mined' AND day >= ? AND reserved_at >= ?
       ORDER BY reserved_at DESC LIMIT 10000`,
    ),
    pending: database.prepare(`SELECT count(*) AS n FROM settlements WHERE ${pending}`),
    pendingOf: database.prepare(
      `SELECT count(*) AS n FROM settlements WHERE ${pending} AND client = ?`,
    ),
    amounts: database.prepare(
      `SELECT amount FROM settlements WHERE ${pending} AND payer = ? AND asset = ?`,
    ),
    gas: database.prepare('SELECT coalesce(sum(gas), 0) AS n FROM settlements WHERE day = ?'),
    gasOf: database.prepare(
      'SELECT coalesce(sum(gas), 0) AS n FROM settlements WHERE day = ? AND client = ?',
    ),
    reverted: database.prepare(
      `SELECT count(*) AS n FROM settlements
       WHERE ${here} AND payer = ? AND day = ? AND state = 'reverted'`,
    ),
  }
}

type ReadName =
  | 'one'
  | 'broadcast'
  | 'from'
  | 'transaction'
  | 'mined'
  | 'pending'
  | 'pendingOf'
  | 'amounts'
  | 'gas'
  | 'gasOf'
  | 'reverted'

type Writes = Pick<
  SettlementBook,
  'reserve' | 'release' | 'recordBroadcast' | 'forgetBroadcast' | 'finish' | 'finishFree' | 'answer'
>

function createWrites(
  database: ReturnType<typeof openDatabase>,
  network: string,
  sender: string,
): Writes {
  const insert = database.prepare(
    `INSERT INTO settlements (network, id, client, payer, asset, amount, state, sender, gas, day, from_block, reserved_at,
       answered, request_name)
     VALUES ('${network}', ?, ?, ?, ?, ?, ?, '${sender}', ?, ?, ?, ?, ?, ?)`,
  )
  const write = (
    settlement: NewSettlement,
    nowMs: number,
    [state, answered, requestName]: readonly ['reserved' | 'free', 0 | 1, string | undefined],
  ): void => {
    const { id, client, payer, asset, amountAtomic, gas, fromBlock } = settlement
    const amounts = [`${amountAtomic}`, state, gas, dayOf(nowMs), `${fromBlock}`, nowMs] as const
    insert.run(id, client, payer, asset, ...amounts, answered, requestName ?? null)
  }
  /** Every transition names the state it leaves: a second one changes nothing, which is a fault. */
  const transition = (statement: string, from: string) => {
    const prepared = database.prepare(
      `${statement} WHERE network = '${network}' AND id = ? AND ${from}`,
    )
    return (...values: readonly (string | number | bigint | null)[]): void => {
      const { changes } = prepared.run(...values)
      if (changes !== 1) throw new DatabaseFault(`the settlement was not in the state: ${from}`)
    }
  }
  const release = transition('DELETE FROM settlements', "state = 'reserved'")
  const broadcast = transition(
    "UPDATE settlements SET state = 'broadcast', hash = ?, raw = ?, transaction_nonce = ?",
    "state = 'reserved'",
  )
  const forget = transition(
    "UPDATE settlements SET state = 'reserved', hash = NULL, raw = NULL, transaction_nonce = NULL",
    "state = 'broadcast'",
  )
  const finish = transition('UPDATE settlements SET state = ?, gas = ?', "state = 'broadcast'")
  const answer = transition(
    'UPDATE settlements SET answered = 1, hash = ?, request_name = ?',
    "state IN ('mined', 'reverted') AND answered = 0",
  )
  return {
    reserve: (settlement, nowMs) => {
      write(settlement, nowMs, ['reserved', 0, undefined])
    },
    release,
    recordBroadcast: (id, { hash, raw, transactionNonce }) => {
      broadcast(hash, raw, transactionNonce, id)
    },
    forgetBroadcast: forget,
    finish: (id, state, gasUsed) => {
      finish(state, gasUsed, id)
    },
    finishFree: (settlement, requestName, nowMs) => {
      write(settlement, nowMs, ['free', 1, requestName])
    },
    answer: (id, hash, requestName) => {
      answer(hash, requestName ?? null, id)
    },
  }
}

function countOf(row: Row | undefined): number {
  return row === undefined ? 0 : readInteger(row, 'n')
}

function dayOf(nowMs: number): number {
  return Math.floor(nowMs / dayMs)
}

function parseRecord(row: Row): SettlementRecord {
  const hash = readOptionalText(row, 'hash')
  return {
    id: readText(row, 'id'),
    client: readText(row, 'client'),
    state: readState(row),
    hash: hash === undefined ? undefined : toHex(hash),
    fromBlock: readAmountAtomic(row, 'from_block'),
    isAnswered: readInteger(row, 'answered') === 1,
    requestName: readOptionalText(row, 'request_name'),
  }
}

function readState(row: Row): SettlementState {
  const text = readText(row, 'state')
  const states = ['reserved', 'broadcast', 'mined', 'reverted', 'free'] as const
  const state = states.find((each) => each === text)
  if (state === undefined) throw new DatabaseFault('column state has no known value')
  return state
}

function parseTransaction(row: Row): SignedTransaction {
  return {
    hash: toHex(readText(row, 'hash')),
    raw: toHex(readText(row, 'raw')),
    transactionNonce: readInteger(row, 'transaction_nonce'),
  }
}

function toHex(text: string): Hex {
  if (!isHex(text)) throw new DatabaseFault('a column that should hold hex does not')
  return text
}
