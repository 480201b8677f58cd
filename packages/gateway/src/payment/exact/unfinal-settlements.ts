/** Which confirmed settlements a reorganisation may still take back (spec/payment.md PA29.6). */
import type { DatabaseSync } from 'node:sqlite'
import { getAddress, isHex, type Hex } from 'viem'
import { DatabaseFault, inTransaction, readText, type Row } from '../database.ts'
import type { PaymentKey } from './payment-key.ts'

/** The part of the ledger that knows what is not final. */
export type UnfinalSettlements = {
  /** Payments that were confirmed since the last call, and at the first call all that are not final. */
  takeConfirmed(): readonly PaymentKey[]
  /** A confirmed settlement is final: nobody follows it any more. */
  finish(key: PaymentKey): void
  /** A confirmed settlement was taken back: `broadcast` again when the transaction is ours, else `none`. */
  revoke(key: PaymentKey): void
}

type Confirm = (key: PaymentKey, transaction: Hex, nowMs: number) => void

const schema = `
CREATE TABLE IF NOT EXISTS unfinal_settlements (
  network TEXT NOT NULL, asset TEXT NOT NULL, payer TEXT NOT NULL, nonce TEXT NOT NULL,
  PRIMARY KEY (network, asset, payer, nonce)
) STRICT, WITHOUT ROWID;
`

/** What is confirmed is noted as not final in the same write: a crash between the two would lose sight of it. */
export function createUnfinal(
  database: DatabaseSync,
  { network, asset }: { readonly network: string; readonly asset: string },
  confirm: Confirm,
): UnfinalSettlements & { readonly confirm: Confirm; readonly note: (key: PaymentKey) => void } {
  database.exec(schema)
  const here = `network = '${network}' AND asset = '${asset}'`
  const insert = database.prepare(
    `INSERT OR REPLACE INTO unfinal_settlements VALUES ('${network}', '${asset}', ?, ?)`,
  )
  const drop = database.prepare(
    `DELETE FROM unfinal_settlements WHERE ${here} AND payer = ? AND nonce = ?`,
  )
  const noted = database.prepare(`SELECT payer, nonce FROM unfinal_settlements WHERE ${here}`)
  const revoke = database.prepare(
    `UPDATE payments SET (settlement, settlement_transaction) = (
       SELECT iif(count(*) = 0, 'none', 'broadcast'), max(hash) FROM settlement_transactions
       WHERE hash = payments.settlement_transaction
     ), settled_at = NULL WHERE ${here} AND payer = ? AND nonce = ? AND settlement = 'confirmed'`,
  )
  // Owned here: what was not taken yet.
  let confirmed = noted.all().map(parseKey)
  /** In the same write as what makes it confirmed. */
  const note = (key: PaymentKey): void => {
    insert.run(key.payer.toLowerCase(), key.nonce)
    confirmed.push(key)
  }
  return {
    note,
    confirm: (key, transaction, nowMs) => {
      inTransaction(database, () => {
        confirm(key, transaction, nowMs)
        note(key)
      })
    },
    takeConfirmed: () => {
      const taken = confirmed
      confirmed = []
      return taken
    },
    finish: ({ payer, nonce }) => {
      drop.run(payer.toLowerCase(), nonce)
    },
    revoke: ({ payer, nonce }) => {
      inTransaction(database, () => {
        if (revoke.run(payer.toLowerCase(), nonce).changes !== 1) {
          throw new DatabaseFault('the payment was not confirmed')
        }
        drop.run(payer.toLowerCase(), nonce)
      })
    },
  }
}

function parseKey(row: Row): PaymentKey {
  const nonce = readText(row, 'nonce')
  if (!isHex(nonce)) throw new DatabaseFault('a column that should hold hex does not')
  return { payer: getAddress(readText(row, 'payer')), nonce }
}
