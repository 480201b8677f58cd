/**
 * Adds up receipts that were found valid one by one, and looks for what only shows when they lie side by side: a payment
 * charged twice, two statements in one place, a channel whose charges do not add up.
 */
import { equalBytes } from '../bytes/byte-string.ts'
import { encodeCbor } from '../bytes/cbor-encode.ts'
import { toHex } from '../bytes/text-encoding.ts'
import type { Bill } from './bill.ts'
import { encodeCharge, type Charge } from './charge.ts'
import type { CallPayload } from './payload.ts'

/** One receipt or refusal whose bundle is valid. */
export type AuditedCall = {
  /** How the auditor calls it, for example a file name. */
  readonly name: string
  readonly payload: CallPayload
  /** SHA-256 of the payload. */
  readonly digest: Uint8Array
  readonly bill: Bill
}

/** What is wrong between receipts. */
export type AuditCode =
  /** Two statements with one receipt id. */
  | 'receipt-forked'
  /** Two statements at one place of a keyset. */
  | 'sequence-forked'
  /** A statement does not follow the one before it. */
  | 'sequence-broken'
  /** One payment of `exact` or `upto` was charged by two calls. */
  | 'payment-charged-twice'
  /** Two charges of a channel cover the same amount. */
  | 'channel-overlap'

/** A finding, with the names of the receipts that it is about. */
export type AuditFinding = { readonly code: AuditCode; readonly names: readonly string[] }

/** What was charged through one channel, one network and asset, or one scheme off chain. */
export type AuditTotal = {
  readonly scheme: PaidCharge['scheme']
  readonly network: string
  readonly asset: string
  /** Lower-case hex; empty but for channels. */
  readonly channelId: string
  readonly calls: number
  readonly chargedAtomic: bigint
  /** Of a channel: what it was charged in all, by the last of these receipts; else what was charged. */
  readonly cumulativeAtomic: bigint
  /** Of a channel: what was charged by receipts that are not here. */
  readonly missingAtomic: bigint
}

/** The result. Equal statements count once, and so does a charge that was stated again after a crash. */
export type Audit = {
  readonly calls: number
  /** Statements that came more than once: of no account. */
  readonly repeated: number
  readonly totals: readonly AuditTotal[]
  readonly findings: readonly AuditFinding[]
  /** Places of keysets between the first and the last statement here that are not here: receipts of other callers, too. */
  readonly holes: number
}

type PaidCharge = Exclude<Charge, { readonly scheme: 'none' }>
type ChannelCharge = {
  readonly name: string
  readonly channelId: string
  readonly startAtomic: bigint
  readonly endAtomic: bigint
}

/** Audits. The order of the calls changes nothing but the order of names. */
export function auditCalls(given: readonly AuditedCall[]): Audit {
  const calls = [...new Map(given.map((call) => [toHex(call.digest), call])).values()]
  const keysets = [...groupBy(calls, ({ payload }) => toHex(payload.keysetDigest)).values()]
  const charged = [...groupBy(calls, ({ payload }) => toHex(payload.id)).values()].flatMap(
    dropRecovered,
  )
  const payments = charged.flatMap(readPayment)
  const charges = groupBy(charged.flatMap(readChannelCharge), ({ channelId }) => channelId)
  return {
    calls: charged.length,
    repeated: given.length - charged.length,
    totals: addUp(charged),
    findings: [
      ...findEqual(charged, 'receipt-forked', ({ payload }) => toHex(payload.id)),
      ...findEqual(calls, 'sequence-forked', placeOf),
      ...keysets.flatMap(findBroken),
      ...findEqual(payments, 'payment-charged-twice', ({ key }) => key),
      ...[...charges.values()].flatMap(findOverlaps),
    ],
    holes: keysets.reduce((sum, group) => sum + countHoles(group), 0),
  }
}

/** Of the statements of one id: one that was issued again after a crash says the charge a second time (RC4.13). */
function dropRecovered(group: readonly AuditedCall[]): readonly AuditedCall[] {
  const kept: AuditedCall[] = []
  // The others first: of a call that was told twice the fuller statement is kept.
  for (const call of group.toSorted((a, b) => Number(isRecovered(a)) - Number(isRecovered(b)))) {
    const isTold = kept.some(({ payload }) => isSameCharge(payload.charge, call.payload.charge))
    if (!isRecovered(call) || !isTold) kept.push(call)
  }
  return kept
}

function isRecovered({ bill }: AuditedCall): boolean {
  return bill.kind === 'open' && bill.reason === 'recovered'
}

function isSameCharge(a: Charge, b: Charge): boolean {
  return equalBytes(encodeCbor(encodeCharge(a)), encodeCbor(encodeCharge(b)))
}

/** Of a credit only the call that uses it up is charged (RC2.4). */
function readPayment({
  name,
  payload: { charge },
}: AuditedCall): readonly { readonly name: string; readonly key: string }[] {
  if (charge.scheme !== 'exact' && charge.scheme !== 'upto') return []
  if (charge.amountAtomic === 0n) return []
  const { scheme, network, asset, paymentId } = charge
  return [{ name, key: [scheme, network, asset.toLowerCase(), toHex(paymentId)].join() }]
}

function readChannelCharge({ name, payload: { charge } }: AuditedCall): readonly ChannelCharge[] {
  if (charge.scheme !== 'batch-settlement' || charge.amountAtomic === 0n) return []
  const { cumulativeAtomic: endAtomic, amountAtomic } = charge
  const startAtomic = endAtomic - amountAtomic
  return [{ name, channelId: channelOf(charge), startAtomic, endAtomic }]
}

function placeOf({ payload }: AuditedCall): string {
  return `${toHex(payload.keysetDigest)} ${payload.sequence}`
}

function addUp(calls: readonly AuditedCall[]): readonly AuditTotal[] {
  const totals = new Map<string, AuditTotal>()
  for (const { payload } of calls) {
    const { charge } = payload
    if (charge.scheme === 'none') continue
    const { scheme, asset } = charge
    const network = charge.scheme === 'api-key' ? '' : charge.network
    const channelId = channelOf(charge)
    const key = [scheme, network, asset.toLowerCase(), channelId].join()
    const before = totals.get(key) ?? { calls: 0, chargedAtomic: 0n, cumulativeAtomic: 0n }
    const chargedAtomic = before.chargedAtomic + charge.amountAtomic
    const cumulativeAtomic =
      charge.scheme === 'batch-settlement'
        ? larger(charge.cumulativeAtomic, before.cumulativeAtomic)
        : chargedAtomic
    const missingAtomic = larger(cumulativeAtomic - chargedAtomic, 0n)
    const sums = { calls: before.calls + 1, chargedAtomic, cumulativeAtomic, missingAtomic }
    totals.set(key, { scheme, network, asset, channelId, ...sums })
  }
  return [...totals.values()]
}

/** Chain and contract are in the id (spec/payment.md PA16.4): no two networks have one of their own. */
function channelOf(charge: PaidCharge): string {
  return charge.scheme === 'batch-settlement' ? toHex(charge.paymentId) : ''
}

/** Each charge of a channel covers the amounts from its start to its end (RC2.7): no two may share one. */
function findOverlaps(group: readonly ChannelCharge[]): readonly AuditFinding[] {
  const ordered = group.toSorted((a, b) => (a.endAtomic < b.endAtomic ? -1 : 1))
  return ordered.flatMap(({ name, startAtomic }, index) => {
    const before = ordered[index - 1]
    if (before === undefined || startAtomic >= before.endAtomic) return []
    return [{ code: 'channel-overlap' as const, names: [before.name, name] }]
  })
}

/** Statements of one keyset name the one before them (spec/statement.md ST3.1). */
function findBroken(group: readonly AuditedCall[]): readonly AuditFinding[] {
  const bySequence = new Map(group.map((call) => [call.payload.sequence, call]))
  return group.flatMap(({ name, payload }) => {
    const before = bySequence.get(payload.sequence - 1)
    if (before === undefined || equalBytes(before.digest, payload.previous)) return []
    return [{ code: 'sequence-broken' as const, names: [before.name, name] }]
  })
}

function countHoles(group: readonly AuditedCall[]): number {
  const sequences = new Set(group.map(({ payload }) => payload.sequence))
  let holes = 0
  let before: number | undefined
  for (const sequence of [...sequences].toSorted((a, b) => a - b)) {
    if (before !== undefined) holes += sequence - before - 1
    before = sequence
  }
  return holes
}

function findEqual<T extends { readonly name: string }>(
  items: readonly T[],
  code: AuditCode,
  keyOf: (item: T) => string,
): readonly AuditFinding[] {
  return [...groupBy(items, keyOf).values()]
    .filter(({ length }) => length > 1)
    .map((group) => ({ code, names: group.map(({ name }) => name) }))
}

function groupBy<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
