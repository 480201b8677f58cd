/** A deposit is brought on chain before the call that came with it is admitted (spec/payment.md PA19.1). */
import type { ChannelPayment } from '@countersign/protocol/payment/channel-payload'
import type { Deposit } from '@countersign/protocol/payment/channel-deposit'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { pause } from '../exact/pause.ts'
import type { ChannelAccount } from '../ledger/channel-account.ts'
import type { TransactionPurpose } from '../ledger/transaction-record.ts'
import { encodeDeposit } from './batch-contract.ts'
import { checkSigner, type ChannelContext } from './channel-context.ts'
import { isRevert } from './settlement-key.ts'
import { openChannel } from './open-channel.ts'
import { sendJournaled } from './transaction-book.ts'

const pollMs = 100
/** Deposits that are waited for at once: each asks the chain again and again. */
const maxWaiting = 64
/** A deposit by either collector takes 137,000 gas for a new channel. */
const gas = 300_000n
/** How long no other deposit of a payer is sent after one that was found good and reverted in its block: we paid for it. */
const revertedMs = 600_000
const maxReverted = 10_000
/** Time until the transaction stands in a block. */
const inclusionSeconds = 6n

/**
 * Sends the deposit unless it is on chain or on its way already, and waits until it has the configured depth. Also of a
 * channel that holds enough: who tops up meant to.
 *
 * @throws PaymentError when it is signed by somebody else, out of its time, refused by the contract, or not deep enough
 * in time: then the same payment may come again.
 */
export async function bringDeposit(
  context: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): Promise<ChannelAccount> {
  checkDepositSigner(context, payment, deposit)
  const { depositing, ledger } = context
  const { channelId } = payment.voucher
  const key = keyOf(purposeOf(payment, deposit))
  const joined = depositing.get(key)
  if (joined === undefined) checkReverted(context, payment.config.payer)
  if (joined === undefined && depositing.size >= maxWaiting) {
    throw new PaymentError('deposit-pending', 'Too many deposits are on their way.')
  }
  // Calls that bring the same deposit at once share its one transaction, and the waiting for it (F2).
  const underWay = joined ?? bring(context, payment, deposit).finally(() => depositing.delete(key))
  depositing.set(key, underWay)
  await underWay
  const account = ledger.state.channels.get(channelId)
  if (account === undefined) throw new Error('a channel with a deposit is not known')
  return account
}

/** Whether this very deposit is waited for: who waits with it asks nothing. */
export function isDepositUnderWay(
  { depositing }: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): boolean {
  return depositing.has(keyOf(purposeOf(payment, deposit)))
}

/** The account of a payer may have code (EIP-7702), which can tell a trial from a block. @throws PaymentError */
function checkReverted({ reverted, clock }: ChannelContext, payer: Hex): void {
  const atMs = reverted.get(payer)
  if (atMs === undefined) return
  if (clock() - atMs < revertedMs) {
    throw new PaymentError('deposit-refused', 'A deposit of this payer failed a short time ago.')
  }
  reverted.delete(payer)
}

function noteReverted({ reverted, clock }: ChannelContext, payer: Hex): void {
  const [oldest] = reverted.keys()
  if (reverted.size >= maxReverted && oldest !== undefined) reverted.delete(oldest)
  reverted.set(payer, clock())
}

async function bring(
  context: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): Promise<void> {
  const { channelId, maxClaimableAtomic } = payment.voucher
  if (findSent(context, payment, deposit) === undefined) await send(context, payment, deposit)
  const until = performance.now() + context.depositTimeoutMs
  for (;;) {
    await context.follower.poll()
    const known = context.ledger.state.channels.get(channelId)
    const account = known ?? (await openWhenThere(context, payment))
    const holdsEnough = account !== undefined && account.view.depositedAtomic >= maxClaimableAtomic
    if (holdsEnough && (await isDeep(context, payment, deposit))) {
      // Its block may have come since: what the next voucher may claim counts it.
      await context.follower.poll()
      return
    }
    if (performance.now() > until) {
      throw new PaymentError('deposit-pending', 'The deposit is not deep enough in the chain yet.')
    }
    await pause(pollMs, context.signal)
  }
}

/** What tells this authorization from every other. */
function purposeOf(
  { config, voucher }: ChannelPayment,
  { amountAtomic, authorization }: Deposit,
): TransactionPurpose & { readonly kind: 'deposit' } {
  const isErc3009 = authorization.kind === 'erc3009'
  return {
    kind: 'deposit',
    channelId: voucher.channelId,
    payer: config.payer,
    method: authorization.kind,
    authorization: isErc3009
      ? authorization.transfer.nonce
      : `0x${authorization.permit.nonce.toString(16).padStart(64, '0')}`,
    amountAtomic,
  }
}

function keyOf(purpose: TransactionPurpose & { readonly kind: 'deposit' }): string {
  const { channelId, payer, method, authorization, amountAtomic } = purpose
  return [channelId, payer, method, authorization, amountAtomic].join(' ')
}

/** Its transaction, while the end of that is not known. */
function findSent(
  { ledger }: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): Hex | undefined {
  const key = keyOf(purposeOf(payment, deposit))
  for (const { hash, purpose } of ledger.state.transactions.values()) {
    if (purpose.kind === 'deposit' && keyOf(purpose) === key) return hash
  }
  return undefined
}

/**
 * Whether nothing has to be waited for any more. A balance that suffices without it must not hide that it failed.
 *
 * @throws PaymentError `deposit-refused` when its transaction brought nothing.
 */
async function isDeep(
  context: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): Promise<boolean> {
  const hash = findSent(context, payment, deposit)
  if (hash === undefined) {
    // The manager saw the end of its transaction, or somebody else sent it.
    if (await context.isDepositUsed(payment.config.payer, deposit)) return true
    throw new PaymentError('deposit-refused', 'The deposit did not arrive.')
  }
  const receipt = await context.findReceipt(hash)
  if (receipt?.status === 'reverted') {
    noteReverted(context, payment.config.payer)
    throw new PaymentError('deposit-refused', 'The contract refused the deposit.')
  }
  return receipt !== undefined
}

/** @throws PaymentError unless the payer signed the deposit. */
export function checkDepositSigner(
  {
    curve,
    hashReceive,
    permit2Domain,
  }: Pick<ChannelContext, 'curve' | 'hashReceive' | 'permit2Domain'>,
  { config, voucher }: ChannelPayment,
  { authorization, signature }: Deposit,
): void {
  const digest =
    authorization.kind === 'erc3009'
      ? hashReceive(authorization.transfer)
      : permit2Domain.hashDeposit(authorization.permit, voucher.channelId)
  checkSigner(curve, digest, signature, config.payer)
}

/**
 * Only of what is to be sent: a deposit that is on chain already has no time any more.
 *
 * @throws PaymentError
 */
export function checkDepositTime(nowMs: number, { authorization }: Deposit): void {
  const nowSeconds = BigInt(Math.floor(nowMs / 1000))
  const isErc3009 = authorization.kind === 'erc3009'
  if (isErc3009 && authorization.transfer.validAfterSeconds > nowSeconds) {
    throw new PaymentError('payment-not-yet-valid', 'validAfter lies in the future.')
  }
  const endSeconds = isErc3009
    ? authorization.transfer.validBeforeSeconds
    : authorization.permit.deadlineSeconds
  if (endSeconds < nowSeconds + inclusionSeconds) {
    throw new PaymentError('payment-expired', 'The deposit may expire before it is on chain.')
  }
}

async function send(
  context: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): Promise<void> {
  const { terms, contract: to, simulate, clock } = context
  const { config } = payment
  // A payment that comes again finds its money there, whoever brought it: it is sent once.
  if (await context.isDepositUsed(config.payer, deposit)) return
  checkDepositTime(clock(), deposit)
  const isErc3009 = deposit.authorization.kind === 'erc3009'
  const collector = parseAddress(isErc3009 ? terms.erc3009Collector : terms.permit2Collector)
  if (collector === undefined) throw new RangeError('the terms hold no collector')
  const data = encodeDeposit(config, deposit, collector)
  try {
    await simulate({ to, data, gas })
  } catch (cause) {
    if (!isRevert(cause)) throw cause
    throw new PaymentError('deposit-refused', 'The contract refuses the deposit.')
  }
  await sendJournaled(context, { to, data, gas }, purposeOf(payment, deposit), [])
}

/** Nothing to open yet is no refusal here. */
async function openWhenThere(
  context: ChannelContext,
  { config, voucher }: ChannelPayment,
): Promise<ChannelAccount | undefined> {
  try {
    return await openChannel(context, config, voucher.channelId)
  } catch (error) {
    if (error instanceof PaymentError && error.code === 'channel-unknown') return undefined
    throw error
  }
}
