/** Charges of `upto` payments are brought on chain, each once (spec/payment.md PA17.5). */
import { uptoSettlerAbi } from '@countersign/contracts/upto-settler'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { BaseError, encodeFunctionData, RpcRequestError, type TransactionReceipt } from 'viem'
import { isRevert, isUntrustedCharge } from '../channel/settlement-key.ts'
import { applyOwn } from '../channel/channel-context.ts'
import { sendJournaled } from '../channel/transaction-book.ts'
import { NotSent } from '../exact/sender.ts'
import { paymentKey } from '../ledger/ledger.ts'
import { isMoved } from '../moved.ts'
import { isCertain, isWaiting } from './doubt.ts'
import type { UptoPaymentRecord } from '../ledger/upto-account.ts'
import { followUpto } from './follow-upto.ts'
import type { UptoSettlement } from './upto-settlement.ts'

const gas = 250_000n
/** Each costs us gas. The account of a payer may have code (EIP-7702), which can tell a trial from a block. */
const maxReverted = 3
/** Some hundred a second are signed and taken by a node; more would wait for the next blocks anyway. */
const maxPerStep = 100
const firstWaitMs = 1000
const longestWaitMs = 60_000
const lastTryMs = 5000n

/**
 * One step: judges what was sent, forgets what can never come again, sends what is charged and not sent: what ends first
 * comes first, and only so much that it is judged soon. True when there is more to send now. Rejects when the chain does
 * not answer; the next step goes on.
 */
export async function stepUptoSettlements(settlement: UptoSettlement): Promise<boolean> {
  await judgeSent(settlement)
  const faults: unknown[] = []
  // What cannot be looked for holds up nothing that is owed.
  await followUpto(settlement, isPaidBy).catch((error: unknown) => faults.push(error))
  forgetOver(settlement)
  const sent = namesOfSent(settlement)
  // What the chain lost is sent again, the same bytes.
  if (sent.size > 0) await settlement.sender.repair()
  const due = findDue(settlement, sent)
  for (const { record, chargedAtomic } of choosePart(settlement, due)) {
    const fault = await bring(settlement, record, chargedAtomic)
    if (fault !== undefined) faults.push(fault)
  }
  if (faults.length > 1) throw new AggregateError(faults, 'payments were not settled')
  if (faults.length === 1) throw faults[0]
  return due.length > maxPerStep
}

function forgetOver({ ledger, watch, reverted, later, doubts, clock }: UptoSettlement): void {
  const nowSeconds = BigInt(Math.floor(clock() / 1000))
  for (const [key, record] of ledger.state.payments) {
    const { payer, permit } = record
    if (
      !isOver(record) ||
      permit.deadlineSeconds >= nowSeconds ||
      watch?.isFollowed(key) === true
    ) {
      continue
    }
    applyOwn(ledger, { type: 'upto-forgotten', payer, nonce: permit.nonce })
    reverted.delete(key)
    later.delete(key)
    doubts.delete(key)
  }
}

/** The payments of which a transaction is under way. */
function namesOfSent({ ledger }: UptoSettlement): ReadonlySet<string> {
  const sent = new Set<string>()
  for (const { purpose } of ledger.state.transactions.values()) {
    if (purpose.kind === 'upto') sent.add(paymentKey(purpose.payer, purpose.nonce))
  }
  return sent
}

type DueSettlement = { readonly record: UptoPaymentRecord; readonly chargedAtomic: bigint }

/** By deadline; without what was refused a short while ago. */
function findDue(settlement: UptoSettlement, sent: ReadonlySet<string>): readonly DueSettlement[] {
  const { ledger, later, clock } = settlement
  const nowMs = BigInt(Math.floor(clock()))
  const due: DueSettlement[] = []
  for (const [key, record] of ledger.state.payments) {
    const { state } = record
    if (state.kind !== 'charged' || sent.has(key)) continue
    const leftMs = (later.get(key)?.atMs ?? nowMs) - nowMs
    // More than anybody waits: the clock went back, and a deadline does not.
    const isPostponed = leftMs > 0n && leftMs <= BigInt(longestWaitMs)
    if (isPostponed || isWaiting(settlement, key)) continue
    due.push({ record, chargedAtomic: state.chargedAtomic })
  }
  return due.toSorted((a, b) => (endsBefore(a, b) ? -1 : endsBefore(b, a) ? 1 : 0))
}

/**
 * What was refused before takes no more than half of a step while there is anything else: there may be more of it than can
 * be tried again in a minute. Nor is it left out while there is ever more of the other.
 */
function choosePart(
  { later, doubts }: UptoSettlement,
  due: readonly DueSettlement[],
): readonly DueSettlement[] {
  const isAgain = ({ record: { payer, permit } }: DueSettlement): boolean => {
    const key = paymentKey(payer, permit.nonce)
    return later.has(key) || doubts.has(key)
  }
  const again = due.filter(isAgain)
  const fresh = due.filter((each) => !isAgain(each))
  const part = again.slice(0, Math.max(maxPerStep / 2, maxPerStep - fresh.length))
  return [...fresh.slice(0, maxPerStep - part.length), ...part]
}

function endsBefore(a: DueSettlement, b: DueSettlement): boolean {
  return a.record.permit.deadlineSeconds < b.record.permit.deadlineSeconds
}

/**
 * Its payer cannot be made to pay now: it is tried again after a second, two, four, up to a minute, and shortly before its
 * end. So those of whom nothing can be had hold up nobody else.
 */
function postpone({ later, clock }: UptoSettlement, { payer, permit }: UptoPaymentRecord): void {
  const key = paymentKey(payer, permit.nonce)
  const count = (later.get(key)?.count ?? 0) + 1
  const nowMs = BigInt(Math.floor(clock()))
  const waitMs = BigInt(Math.min(longestWaitMs, firstWaitMs * 2 ** (count - 1)))
  const leftMs = permit.deadlineSeconds * 1000n - lastTryMs - nowMs
  const soonMs = leftMs > 0n ? leftMs : BigInt(firstWaitMs)
  later.set(key, { atMs: nowMs + (soonMs < waitMs ? soonMs : waitMs), count })
}

function isOver({ state }: UptoPaymentRecord): boolean {
  return state.kind === 'settled' || state.kind === 'failed'
}

/**
 * Sends one settlement, or judges why it cannot be sent. What the node answers of this payment alone holds up no other,
 * and is returned: the account of a payer may have code, which can answer as it likes.
 */
async function bring(
  settlement: UptoSettlement,
  record: UptoPaymentRecord,
  chargedAtomic: bigint,
): Promise<unknown> {
  try {
    await send(settlement, record, chargedAtomic)
    return undefined
  } catch (error) {
    if (!isAnswered(error) && !(error instanceof NotSent)) throw error
    postpone(settlement, record)
    if (!isExpired(settlement, record)) return error
    return tryJudging(settlement, record, chargedAtomic)
  }
}

/** As `judgeRefused`; what the node answers of this payment alone is returned here, too. */
async function tryJudging(
  settlement: UptoSettlement,
  record: UptoPaymentRecord,
  chargedAtomic: bigint,
): Promise<unknown> {
  try {
    await judgeRefused(settlement, record, chargedAtomic)
    return undefined
  } catch (error) {
    if (!isAnswered(error)) throw error
    return error
  }
}

async function send(
  settlement: UptoSettlement,
  record: UptoPaymentRecord,
  chargedAtomic: bigint,
): Promise<void> {
  const { settler: to, simulate, reverted } = settlement
  const { payer, permit } = record
  const { nonce } = permit
  if ((reverted.get(paymentKey(payer, nonce)) ?? 0) >= maxReverted) {
    await judgeRefused(settlement, record, chargedAtomic)
    return
  }
  const data = encodeSettlement(settlement, record, chargedAtomic)
  try {
    await simulate({ to, data, gas })
    await sendJournaled(settlement, { to, data, gas }, { kind: 'upto', payer, nonce }, [])
  } catch (error) {
    // Our own key is not known to our own contract, or the payer's account says so: an alarm.
    if (isUntrustedCharge(error)) throw error
    if (!isRevert(error)) throw error
    await judgeRefused(settlement, record, chargedAtomic)
  }
}

/**
 * The contracts refuse the settlement. Its bytes are public as soon as they are sent, so a stranger may have sent them
 * first: then we are paid. Else the payer moved its money or took the permission back, and may still undo that; or it
 * used its nonce up, and what it owes stays on its account for ever.
 */
async function judgeRefused(
  settlement: UptoSettlement,
  record: UptoPaymentRecord,
  chargedAtomic: bigint,
): Promise<void> {
  const { ledger, findUse, findReceipt, doubts } = settlement
  const { payer, permit } = record
  const { nonce } = permit
  const key = paymentKey(payer, nonce)
  const use = await findUse(payer, nonce)
  if (use.kind === 'settled') {
    doubts.delete(key)
    const receipt = await findReceipt(use.transaction)
    // Too young: looked at again later, and meanwhile in nobody's way.
    if (receipt === undefined) {
      postpone(settlement, record)
      return
    }
    const isPaid = use.amountAtomic === chargedAtomic && isPaidBy(receipt, record, chargedAtomic)
    applyOwn(ledger, { type: isPaid ? 'upto-settled' : 'upto-failed', payer, nonce })
    if (isPaid) settlement.watch?.follow(key, use.transaction)
    return
  }
  const verdict = use.kind === 'otherwise' ? 'otherwise' : expiryOf(settlement, record)
  if (verdict === undefined) {
    doubts.delete(key)
    postpone(settlement, record)
  }
  // A node that is behind its own head says so of what somebody has settled.
  else if (isCertain(settlement, key, verdict, use.headNumber)) {
    applyOwn(ledger, { type: 'upto-failed', payer, nonce })
  }
}

function expiryOf(settlement: UptoSettlement, record: UptoPaymentRecord): 'expired' | undefined {
  return isExpired(settlement, record) ? 'expired' : undefined
}

function isExpired({ clock }: UptoSettlement, { permit }: UptoPaymentRecord): boolean {
  return permit.deadlineSeconds * 1000n < BigInt(Math.floor(clock()))
}

/** The node has executed or judged the call itself; anything else says that it does not answer. */
function isAnswered(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  return isRevert(error) || error.walk((inner) => inner instanceof RpcRequestError) !== null
}

async function judgeSent(settlement: UptoSettlement): Promise<void> {
  const { ledger, sender, findReceipt, reverted } = settlement
  for (const { hash, purpose } of ledger.state.transactions.values()) {
    if (purpose.kind !== 'upto') continue
    const { payer, nonce } = purpose
    const receipt = await findReceipt(hash)
    if (receipt === undefined) {
      // Another transaction took its nonce: it can never be on chain, and the charge is sent anew.
      if (await sender.isReplaced(hash)) ledger.apply({ type: 'transaction-ended', hash })
      continue
    }
    const key = paymentKey(payer, nonce)
    const record = ledger.state.payments.get(key)
    if (receipt.status === 'reverted') reverted.set(key, (reverted.get(key) ?? 0) + 1)
    // One that reverted says only that it was not this one: the next step asks the chain what was.
    if (receipt.status === 'success' && record?.state.kind === 'charged') {
      const { chargedAtomic } = record.state
      if (isPaidBy(receipt, record, chargedAtomic)) {
        applyOwn(ledger, { type: 'upto-settled', payer, nonce })
        settlement.watch?.follow(key, hash)
      } else {
        // Either the token moved nothing, or the node lies: as long as the nonce is unused, it is sent again.
        reverted.set(key, (reverted.get(key) ?? 0) + 1)
        // What cannot be judged now is in the next step, as what reverted.
        await tryJudging(settlement, record, chargedAtomic)
      }
    }
    ledger.apply({ type: 'transaction-ended', hash })
  }
}

function isPaidBy(
  receipt: TransactionReceipt,
  { payer: from, permit: { token, to } }: UptoPaymentRecord,
  amountAtomic: bigint,
): boolean {
  return isMoved(receipt, token, { from, to, amountAtomic })
}

function encodeSettlement(
  { hashCharge, sign }: UptoSettlement,
  { payer, permit }: UptoPaymentRecord,
  chargedAtomic: bigint,
): Hex {
  const { token, amountAtomic, nonce, deadlineSeconds, to, facilitator } = permit
  const charge = { payer, token, payee: to, nonce, amountAtomic: chargedAtomic }
  return encodeFunctionData({
    abi: uptoSettlerAbi,
    functionName: 'settle',
    args: [
      { permitted: { token, amount: amountAtomic }, nonce, deadline: deadlineSeconds },
      chargedAtomic,
      payer,
      { to, facilitator, validAfter: permit.validAfterSeconds },
      permit.signature,
      encodeEvmSignature(sign(hashCharge(charge))),
    ],
  })
}
