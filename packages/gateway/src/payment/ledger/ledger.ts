/** All records together: a function from events to state (spec/payment.md PA20.1). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import {
  reduceChannel,
  retireChannel,
  type ChannelAccount,
  type RetiredChannel,
} from './channel-account.ts'
import {
  applyName,
  createCallNames,
  endName,
  restoreName,
  type CallNames,
  type NamedCall,
  type NameEvent,
} from './call-name.ts'
import type { ChannelEvent } from './channel-event.ts'
import {
  applyCollect,
  dumpCollect,
  type CollectEvent,
  type CollectMaps,
  type CollectRecords,
} from './collect-record.ts'
import { accept, refuse, type LedgerRefusal } from './step.ts'
import {
  reduceTransaction,
  type TransactionEvent,
  type TransactionRecord,
} from './transaction-record.ts'
import {
  createPayerAccount,
  isBlank,
  reduceUpto,
  type PayerAccount,
  type UptoEvent,
  type UptoPaymentRecord,
} from './upto-account.ts'

/** A whole record, as checkpoints hold it. */
export type RestoreEvent =
  | { readonly type: 'channel-restored'; readonly account: ChannelAccount }
  | {
      readonly type: 'retired-restored'
      readonly channelId: Hex
      readonly retired: RetiredChannel
    }
  | { readonly type: 'payer-restored'; readonly account: PayerAccount }
  | { readonly type: 'payment-restored'; readonly record: UptoPaymentRecord }
  | { readonly type: 'receipt-owed'; readonly charge: ChargeRecord }
  | { readonly type: 'name-restored'; readonly call: NamedCall }

/** The statement about a charge is signed and stored. */
export type ReceiptEvent = { readonly type: 'receipt-issued'; readonly callId: string }

/** A channel without money leaves the records; what must outlive it stays. */
export type RetireEvent = { readonly type: 'channel-retired'; readonly channelId: Hex }

/** Everything that can happen. */
export type LedgerEvent =
  | ChannelEvent
  | UptoEvent
  | TransactionEvent
  | ReceiptEvent
  | RetireEvent
  | NameEvent
  | CollectEvent
  | RestoreEvent

/** A charge whose receipt is not stored yet: after a crash it is issued from this. */
export type ChargeRecord = {
  readonly callId: string
  readonly requestHash: Hex
  readonly amountAtomic: bigint
  /** The channel and C after this charge, or the payment. */
  readonly payment:
    | { readonly kind: 'channel'; readonly channelId: Hex; readonly cumulativeAtomic: bigint }
    | { readonly kind: 'upto'; readonly payer: Hex; readonly nonce: bigint }
}

/**
 * The records. Accounts do not depend on one another, so the pure reducers work on single records, and the state is
 * the maps that hold the latest of each.
 */
export type LedgerState = CollectRecords & {
  readonly channels: ReadonlyMap<Hex, ChannelAccount>
  /** Channels that held money once, and were charged. */
  readonly retired: ReadonlyMap<Hex, RetiredChannel>
  readonly payers: ReadonlyMap<Hex, PayerAccount>
  /** By `paymentKey`. */
  readonly payments: ReadonlyMap<string, UptoPaymentRecord>
  /** How many of the payments are running, or charged and not settled. */
  readonly open: { readonly payments: number }
  readonly transactions: ReadonlyMap<Hex, TransactionRecord>
  /** By call id. */
  readonly owedReceipts: ReadonlyMap<string, ChargeRecord>
  /** Named calls by their name, oldest first. */
  readonly names: ReadonlyMap<string, NamedCall>
}

/** A ledger in memory. */
export type Ledger = {
  readonly state: LedgerState
  /** Applies an event, or refuses it and changes nothing. */
  apply(event: LedgerEvent): LedgerRefusal | { readonly kind: 'accepted' }
  /** The state as events: applied to an empty ledger they make the same one. */
  dump(): readonly LedgerEvent[]
}

/** What identifies an `upto` payment; network and asset are those of the ledger. */
export function paymentKey(payer: Hex, nonce: bigint): string {
  return `${payer}:${nonce}`
}

/** An empty ledger. */
export function createLedger(): Ledger {
  const maps: Maps = {
    channels: new Map(),
    retired: new Map(),
    payers: new Map(),
    payments: new Map(),
    open: { payments: 0 },
    transactions: new Map(),
    owedReceipts: new Map(),
    collectGas: new Map(),
    uncollected: new Map(),
    callNames: createCallNames(),
  }
  return {
    state: { ...maps, names: maps.callNames.calls },
    apply: (event) => apply(maps, event),
    dump: () => dump(maps),
  }
}

/** Owned by `apply`. */
type Maps = CollectMaps & {
  readonly channels: Map<Hex, ChannelAccount>
  readonly retired: Map<Hex, RetiredChannel>
  readonly payers: Map<Hex, PayerAccount>
  readonly payments: Map<string, UptoPaymentRecord>
  readonly open: { payments: number }
  readonly transactions: Map<Hex, TransactionRecord>
  readonly owedReceipts: Map<string, ChargeRecord>
  readonly callNames: CallNames
}

const accepted = accept(undefined)

function apply(maps: Maps, event: LedgerEvent): ReturnType<Ledger['apply']> {
  if (isUptoEvent(event)) return applyUpto(maps, event)
  if (isTransactionEvent(event)) return applyTransaction(maps, event)
  if (isRestoreEvent(event)) return restore(maps, event)
  if (event.type === 'receipt-issued') {
    return maps.owedReceipts.delete(event.callId) ? accepted : refuse('call-unknown')
  }
  if (event.type === 'channel-retired') return retire(maps, event.channelId)
  if (isCollectEvent(event)) return applyCollect(maps, event)
  if (event.type === 'name-taken' || event.type === 'names-forgotten') {
    return applyName(maps.callNames, event)
  }
  return applyChannel(maps, event)
}

const uptoTypes: ReadonlySet<LedgerEvent['type']> = new Set<UptoEvent['type']>([
  'upto-reserved',
  'upto-progressed',
  'upto-charged',
  'upto-released',
  'upto-settled',
  'upto-failed',
  'upto-unsettled',
  'upto-forgotten',
])
const transactionTypes: ReadonlySet<LedgerEvent['type']> = new Set<TransactionEvent['type']>([
  'transaction-signed',
  'transaction-ended',
  'transaction-forgotten',
])
const collectTypes: ReadonlySet<LedgerEvent['type']> = new Set<CollectEvent['type']>([
  'collect-gas',
  'uncollected',
  'collected',
])
const restoreTypes: ReadonlySet<LedgerEvent['type']> = new Set<RestoreEvent['type']>([
  'channel-restored',
  'retired-restored',
  'payer-restored',
  'payment-restored',
  'receipt-owed',
  'name-restored',
])

function isUptoEvent(event: LedgerEvent): event is UptoEvent {
  return uptoTypes.has(event.type)
}

function isTransactionEvent(event: LedgerEvent): event is TransactionEvent {
  return transactionTypes.has(event.type)
}

function isCollectEvent(event: LedgerEvent): event is CollectEvent {
  return collectTypes.has(event.type)
}

function isRestoreEvent(event: LedgerEvent): event is RestoreEvent {
  return restoreTypes.has(event.type)
}

function restore(maps: Maps, event: RestoreEvent): ReturnType<Ledger['apply']> {
  switch (event.type) {
    case 'channel-restored':
      maps.channels.set(event.account.channelId, event.account)
      return accepted
    case 'retired-restored':
      maps.retired.set(event.channelId, event.retired)
      return accepted
    case 'payer-restored':
      maps.payers.set(event.account.payer, event.account)
      return accepted
    case 'payment-restored':
      putPayment(maps, paymentKey(event.record.payer, event.record.permit.nonce), event.record)
      return accepted
    case 'receipt-owed':
      maps.owedReceipts.set(event.charge.callId, event.charge)
      return accepted
    case 'name-restored':
      restoreName(maps.callNames, event.call)
      return accepted
  }
}

function applyChannel(maps: Maps, event: ChannelEvent): ReturnType<Ledger['apply']> {
  const { channelId } = event
  const before = maps.channels.get(channelId)
  const step = reduceChannel(before, event, maps.retired.get(channelId))
  if (step.kind === 'refused') return step
  maps.channels.set(channelId, step.next)
  if (event.type === 'channel-opened') maps.retired.delete(channelId)
  if (event.type === 'call-released') endName(maps.callNames, event.callId, false)
  if (event.type === 'call-charged') {
    endName(maps.callNames, event.callId, true)
    const { callId, amountAtomic } = event
    const requestHash = before?.running.find((call) => call.callId === callId)?.requestHash ?? '0x'
    const cumulativeAtomic = step.next.chargedAtomic
    const payment = { kind: 'channel', channelId, cumulativeAtomic } as const
    maps.owedReceipts.set(callId, { callId, requestHash, amountAtomic, payment })
  }
  return accepted
}

function retire(maps: Maps, channelId: Hex): ReturnType<Ledger['apply']> {
  const account = maps.channels.get(channelId)
  if (account === undefined) return refuse('channel-unknown')
  const retired = retireChannel(account)
  if (retired === undefined) return refuse('still-needed')
  maps.channels.delete(channelId)
  // Of a channel that was never charged there is no voucher that anybody has seen.
  if (retired.chargedAtomic > 0n || retired.signed !== undefined) {
    maps.retired.set(channelId, retired)
  }
  return accepted
}

function applyUpto(maps: Maps, event: UptoEvent): ReturnType<Ledger['apply']> {
  const payer = maps.payers.get(event.payer) ?? createPayerAccount(event.payer)
  const nonce = event.type === 'upto-reserved' ? event.permit.nonce : event.nonce
  const key = paymentKey(event.payer, nonce)
  const payment = maps.payments.get(key)
  const step = reduceUpto({ payer, payment }, event)
  if (step.kind === 'refused') return step
  // Addresses cost nothing: who owes nothing takes no memory.
  put(maps.payers, event.payer, isBlank(step.next.payer) ? undefined : step.next.payer)
  putPayment(maps, key, step.next.payment)
  if (event.type === 'upto-released' && payment !== undefined) {
    endName(maps.callNames, payment.callId, false)
  }
  if (event.type === 'upto-charged' && payment !== undefined) {
    endName(maps.callNames, payment.callId, true)
    const { callId, requestHash } = payment
    maps.owedReceipts.set(callId, {
      callId,
      requestHash,
      amountAtomic: event.amountAtomic,
      payment: { kind: 'upto', payer: event.payer, nonce },
    })
  }
  return accepted
}

function applyTransaction(maps: Maps, event: TransactionEvent): ReturnType<Ledger['apply']> {
  const hash = event.type === 'transaction-signed' ? event.transaction.hash : event.hash
  const step = reduceTransaction(maps.transactions.get(hash), event)
  if (step.kind === 'refused') return step
  put(maps.transactions, hash, step.next)
  return accepted
}

function dump(maps: Maps): readonly LedgerEvent[] {
  return [
    ...Array.from(maps.channels.values(), (account): LedgerEvent => ({
      type: 'channel-restored',
      account,
    })),
    ...Array.from(maps.retired, ([channelId, retired]): LedgerEvent => ({
      type: 'retired-restored',
      channelId,
      retired,
    })),
    ...Array.from(maps.payers.values(), (account): LedgerEvent => ({
      type: 'payer-restored',
      account,
    })),
    ...Array.from(maps.payments.values(), (record): LedgerEvent => ({
      type: 'payment-restored',
      record,
    })),
    ...Array.from(maps.transactions.values(), (transaction): LedgerEvent => ({
      type: 'transaction-signed',
      transaction,
    })),
    ...Array.from(maps.owedReceipts.values(), (charge): LedgerEvent => ({
      type: 'receipt-owed',
      charge,
    })),
    ...Array.from(maps.callNames.calls.values(), (call): LedgerEvent => ({
      type: 'name-restored',
      call,
    })),
    ...dumpCollect(maps),
  ]
}

function putPayment(
  { payments, open }: Maps,
  key: string,
  record: UptoPaymentRecord | undefined,
): void {
  if (isOpen(payments.get(key))) open.payments--
  if (isOpen(record)) open.payments++
  put(payments, key, record)
}

function isOpen(record: UptoPaymentRecord | undefined): boolean {
  return record?.state.kind === 'running' || record?.state.kind === 'charged'
}

function put<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}
