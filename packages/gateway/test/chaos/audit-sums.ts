/** Compares what was charged, what receipts say, what the chain took and what payers signed, from their own sources. */
import { strict as assert } from 'node:assert'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Charge } from '@countersign/protocol/receipt/charge'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { openDurableLedger, type DurableLedger } from '../../src/payment/ledger/durable-ledger.ts'
import type { MeteredNetwork } from '../payment/metered-network.ts'

/** What was compared. */
export type Sums = {
  readonly receipts: number
  readonly channels: number
  readonly payments: number
  readonly chargedAtomic: bigint
  readonly claimedAtomic: bigint
  readonly paidByUptoAtomic: bigint
  readonly signedAtomic: bigint
  readonly depositedAtomic: bigint
}

/** The charges of all receipts in a data folder, each receipt once. */
export function readCharges(dataDir: string): readonly Charge[] {
  const database = new DatabaseSync(join(dataDir, 'receipts.db'), { readOnly: true })
  try {
    const rows = database.prepare('SELECT statement FROM receipt').all()
    return rows.map(({ statement }) => {
      if (!(statement instanceof Uint8Array)) throw new TypeError('no statement')
      const { payload } = parseStatement(statement)
      if (payload.type !== 'receipt') throw new TypeError('no receipt')
      return payload.charge
    })
  } finally {
    database.close()
  }
}

/**
 * Judges the data of a gateway that is not running.
 *
 * @throws AssertionError when any two of the sums differ, or more was taken than was signed or deposited.
 */
export async function auditSums(
  network: MeteredNetwork,
  payee: `0x${string}`,
  dataDir: string,
): Promise<Sums> {
  const ledger = await openDurableLedger({
    directory: join(dataDir, 'ledger'),
    clock: Date.now,
    onFault: (error) => {
      throw error
    },
  })
  try {
    assert.equal(ledger.state.owedReceipts.size, 0, 'a charge has no receipt')
    const charges = readCharges(dataDir)
    const byPayment = Map.groupBy(charges, keyOf)
    checkKnown(ledger, byPayment)
    const ofChannels = await auditChannels(network, ledger, byPayment)
    const ofPayments = await auditPayments(network, payee, ledger, byPayment)
    return { receipts: charges.length, ...ofChannels, ...ofPayments }
  } finally {
    await ledger.close()
  }
}

type ByPayment = ReadonlyMap<string, readonly Charge[]>

function keyOf(charge: Charge): string {
  return charge.scheme === 'none' ? 'none' : `${charge.scheme} ${toHex(charge.paymentId)}`
}

/** Nothing was charged on a payment that the ledger does not know: it forgets those that were released. */
function checkKnown({ state }: DurableLedger, charges: ByPayment): void {
  const known = new Set([
    ...Array.from(state.channels.values(), ({ channelId }) => toChannelKey(channelId)),
    ...Array.from(state.payments.values(), ({ permit }) => toUptoKey(permit.nonce)),
  ])
  for (const [key, receipts] of charges) {
    const isFree = receipts.every(({ amountAtomic }) => amountAtomic === 0n)
    assert.ok(isFree || known.has(key), `${key}: charged, and not in the ledger`)
  }
}

function toChannelKey(channelId: string): string {
  return `batch-settlement ${channelId.slice(2)}`
}

function toUptoKey(nonce: bigint): string {
  return `upto ${nonce.toString(16).padStart(64, '0')}`
}

async function auditChannels(
  network: MeteredNetwork,
  { state }: DurableLedger,
  charges: ByPayment,
): Promise<Omit<Sums, 'receipts' | 'payments' | 'paidByUptoAtomic'>> {
  const total = { chargedAtomic: 0n, claimedAtomic: 0n, signedAtomic: 0n, depositedAtomic: 0n }
  for (const { channelId, chargedAtomic, reservedAtomic, signed } of state.channels.values()) {
    const [deposited, claimed] = await network.channelOf(channelId)
    const receipts = charges.get(toChannelKey(channelId)) ?? []
    const sum = receipts.reduce((all, { amountAtomic }) => all + amountAtomic, 0n)
    const signedAtomic = signed?.ceilingAtomic ?? 0n
    assert.equal(reservedAtomic, 0n, `${channelId}: something runs`)
    assert.equal(sum, chargedAtomic, `${channelId}: receipts and charges`)
    assert.equal(claimed, chargedAtomic, `${channelId}: claims and charges`)
    assert.ok(claimed <= signedAtomic, `${channelId}: claimed more than was signed`)
    assert.ok(signedAtomic <= deposited, `${channelId}: signed more than was deposited`)
    checkTiling(receipts)
    total.chargedAtomic += chargedAtomic
    total.claimedAtomic += claimed
    total.signedAtomic += signedAtomic
    total.depositedAtomic += deposited
  }
  return { channels: state.channels.size, ...total }
}

/** spec/receipt.md RC2.7: no gap and no overlap. */
function checkTiling(receipts: readonly Charge[]): void {
  const spans = receipts.flatMap((charge) =>
    charge.scheme === 'batch-settlement' && charge.amountAtomic > 0n
      ? [{ from: charge.cumulativeAtomic - charge.amountAtomic, to: charge.cumulativeAtomic }]
      : [],
  )
  let end = 0n
  for (const { from, to } of spans.toSorted((a, b) => (a.to < b.to ? -1 : 1))) {
    assert.equal(from, end, 'the receipts of a channel leave a gap')
    end = to
  }
}

async function auditPayments(
  network: MeteredNetwork,
  payee: `0x${string}`,
  { state }: DurableLedger,
  charges: ByPayment,
): Promise<Pick<Sums, 'payments' | 'paidByUptoAtomic'>> {
  let paidByUptoAtomic = 0n
  for (const { permit, state: payment } of state.payments.values()) {
    assert.equal(payment.kind, 'settled', 'a payment is not settled')
    if (payment.kind !== 'settled') continue
    const id = toUptoKey(permit.nonce)
    const receipts = charges.get(id) ?? []
    const sum = receipts.reduce((all, { amountAtomic }) => all + amountAtomic, 0n)
    assert.equal(sum, payment.chargedAtomic, `${id}: receipts and charge`)
    assert.ok(receipts.filter(({ amountAtomic }) => amountAtomic > 0n).length <= 1, id)
    assert.ok(payment.chargedAtomic <= permit.amountAtomic, `${id}: more than its maximum`)
    paidByUptoAtomic += payment.chargedAtomic
  }
  // Claims stay in the batch contract until somebody settles them: what is here came by `upto`.
  assert.equal(await network.balanceOf(payee), paidByUptoAtomic, 'the payee and its payments')
  return { payments: state.payments.size, paidByUptoAtomic }
}
