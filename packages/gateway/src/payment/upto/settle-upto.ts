/** Charges of `upto` payments are brought on chain, each once (spec/payment.md PA17.5). */
import { uptoSettlerAbi } from '@countersign/contracts/upto-settler'
import { encodeEvmSignature, type EvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { createUptoChargeHasher } from '@countersign/protocol/payment/upto-charge'
import {
  BaseError,
  encodeFunctionData,
  isAddressEqual,
  parseAbi,
  parseEventLogs,
  toFunctionSelector,
  type TransactionReceipt,
} from 'viem'
import { isRevert } from '../channel/settlement-key.ts'
import { applyOwn } from '../channel/channel-context.ts'
import { sendJournaled } from '../channel/transaction-book.ts'
import { NotSent, type Sender } from '../exact/sender.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import { paymentKey } from '../ledger/ledger.ts'
import type { UptoPaymentRecord } from '../ledger/upto-account.ts'
import type { FindUptoUse } from './find-use.ts'

/** What settlements are made with. */
export type UptoSettlement = {
  readonly ledger: DurableLedger
  readonly sender: Sender
  /** Our settler contract, which the payers named as facilitator. */
  readonly settler: Hex
  readonly hashCharge: ReturnType<typeof createUptoChargeHasher>
  /** Signs as a key that the settler contract knows. */
  readonly sign: (digest: Uint8Array) => EvmSignature
  readonly simulate: (call: { readonly to: Hex; readonly data: Hex }) => Promise<unknown>
  /** `createUptoUseFinder`: who settled a payment when it was not us. */
  readonly findUse: FindUptoUse
  /** The receipt of a transaction, once it has the configured depth. */
  readonly findReceipt: (hash: Hex) => Promise<TransactionReceipt | undefined>
  readonly clock: () => number
}

const gas = 250_000n
const untrustedCharge = toFunctionSelector('UntrustedCharge()')
const [transfer] = parseAbi([
  'event Transfer(address indexed from, address indexed to, uint256 value)',
])

/**
 * One step: sends what is charged and not sent, judges what was sent, forgets what can never come again. Rejects when
 * the chain does not answer; the next step goes on.
 */
export async function stepUptoSettlements(settlement: UptoSettlement): Promise<void> {
  await judgeSent(settlement)
  const { payments, transactions } = settlement.ledger.state
  const sent = new Set<string>()
  for (const { purpose } of transactions.values()) {
    if (purpose.kind === 'upto') sent.add(paymentKey(purpose.payer, purpose.nonce))
  }
  // What the chain lost is sent again, the same bytes.
  if (sent.size > 0) await settlement.sender.repair()
  const nowSeconds = BigInt(Math.floor(settlement.clock() / 1000))
  for (const [key, record] of payments) {
    const { payer, permit, state } = record
    if (state.kind === 'charged' && !sent.has(key)) {
      await send(settlement, record, state.chargedAtomic)
    } else if (isOver(record) && permit.deadlineSeconds < nowSeconds) {
      applyOwn(settlement.ledger, { type: 'upto-forgotten', payer, nonce: permit.nonce })
    }
  }
}

function isOver({ state }: UptoPaymentRecord): boolean {
  return state.kind === 'settled' || state.kind === 'failed'
}

async function send(
  settlement: UptoSettlement,
  record: UptoPaymentRecord,
  chargedAtomic: bigint,
): Promise<void> {
  const { settler: to, simulate } = settlement
  const { payer, permit } = record
  const { nonce } = permit
  const data = encodeSettlement(settlement, record, chargedAtomic)
  try {
    await simulate({ to, data })
    await sendJournaled(settlement, { to, data, gas }, { kind: 'upto', payer, nonce }, [])
  } catch (error) {
    // Our own key is not known to our own contract: no fault of the payer.
    if (isUntrusted(error)) throw error
    if (isRevert(error)) await judgeRefused(settlement, record, chargedAtomic)
    else if (!(error instanceof NotSent)) throw error
  }
}

/**
 * The contracts refuse the settlement. Its bytes are public as soon as they are sent, so a stranger may have sent them
 * first: then we are paid. Else the payer moved its money or took the permission back, and may still undo that; or it
 * used its nonce up, and what it owes stays on its account for ever.
 */
async function judgeRefused(
  { ledger, findUse, findReceipt, clock }: UptoSettlement,
  record: UptoPaymentRecord,
  chargedAtomic: bigint,
): Promise<void> {
  const { payer, permit } = record
  const { nonce } = permit
  const use = await findUse(payer, nonce)
  if (use.kind === 'settled') {
    const receipt = await findReceipt(use.transaction)
    if (receipt === undefined) return
    const isPaid = use.amountAtomic === chargedAtomic && isPaidBy(receipt, record, chargedAtomic)
    applyOwn(ledger, { type: isPaid ? 'upto-settled' : 'upto-failed', payer, nonce })
    return
  }
  const isExpired = permit.deadlineSeconds * 1000n < BigInt(Math.floor(clock()))
  if (use.kind === 'otherwise' || isExpired) {
    applyOwn(ledger, { type: 'upto-failed', payer, nonce })
  }
}

function isUntrusted(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  const found = error.walk(
    (inner) =>
      typeof inner === 'object' &&
      inner !== null &&
      'data' in inner &&
      inner.data === untrustedCharge,
  )
  return found !== null
}

async function judgeSent({ ledger, sender, findReceipt }: UptoSettlement): Promise<void> {
  for (const { hash, purpose } of ledger.state.transactions.values()) {
    if (purpose.kind !== 'upto') continue
    const { payer, nonce } = purpose
    const receipt = await findReceipt(hash)
    if (receipt === undefined) {
      // Another transaction took its nonce: it can never be on chain, and the charge is sent anew.
      if (await sender.isReplaced(hash)) ledger.apply({ type: 'transaction-ended', hash })
      continue
    }
    const record = ledger.state.payments.get(paymentKey(payer, nonce))
    // One that reverted says only that it was not this one: the next step asks the chain what was.
    if (receipt.status === 'success' && record?.state.kind === 'charged') {
      const isPaid = isPaidBy(receipt, record, record.state.chargedAtomic)
      applyOwn(ledger, { type: isPaid ? 'upto-settled' : 'upto-failed', payer, nonce })
    }
    ledger.apply({ type: 'transaction-ended', hash })
  }
}

/** A receipt with success is not enough: the token must say that the money moved (F7). */
function isPaidBy(
  receipt: TransactionReceipt,
  { payer, permit }: UptoPaymentRecord,
  chargedAtomic: bigint,
): boolean {
  const logs = receipt.logs.filter((log) => isAddressEqual(log.address, permit.token))
  return parseEventLogs({ abi: [transfer], logs }).some(
    ({ args }) =>
      isAddressEqual(args.from, payer) &&
      isAddressEqual(args.to, permit.to) &&
      args.value === chargedAtomic,
  )
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
