/** A deposit is brought on chain before the call that came with it is admitted (spec/payment.md PA19.1). */
import type { ChannelPayment } from '@countersign/protocol/payment/channel-payload'
import type { Deposit } from '@countersign/protocol/payment/channel-deposit'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { pause } from '../exact/pause.ts'
import type { ChannelAccount } from '../ledger/channel-account.ts'
import { encodeDeposit } from './batch-contract.ts'
import { checkSigner, type ChannelContext } from './channel-context.ts'
import { isRevert } from './settlement-key.ts'
import { openChannel } from './open-channel.ts'
import { sendJournaled } from './transaction-book.ts'

const pollMs = 100
/** A deposit by either collector takes 137,000 gas for a new channel. */
const gas = 300_000n
/** Time until the transaction stands in a block. */
const inclusionSeconds = 6n

/**
 * Sends the deposit unless it is on chain already, and waits until it has the configured depth.
 *
 * @throws PaymentError when it is signed by somebody else, out of its time, refused by the contract, or not deep enough
 * in time: then the same payment may come again.
 */
export async function bringDeposit(
  context: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): Promise<ChannelAccount> {
  checkDeposit(context, payment, deposit)
  const { channelId, maxClaimableAtomic } = payment.voucher
  const isThere = (): boolean => {
    const view = context.ledger.state.channels.get(channelId)?.view
    return view !== undefined && view.depositedAtomic >= maxClaimableAtomic
  }
  // A payment that comes again finds its money there, or its transaction on the way: it is sent once.
  if (!isThere() && !isOnTheWay(context, deposit)) await sendOnce(context, payment, deposit)
  const until = performance.now() + context.depositTimeoutMs
  for (;;) {
    await context.follower.poll()
    const known = context.ledger.state.channels.get(channelId)
    const account = known ?? (await openWhenThere(context, payment))
    if (account !== undefined && isThere()) return account
    if (performance.now() > until) {
      throw new PaymentError('deposit-pending', 'The deposit is not deep enough in the chain yet.')
    }
    await pause(pollMs, context.signal)
  }
}

function isOnTheWay({ ledger }: ChannelContext, deposit: Deposit): boolean {
  const authorization = nonceOf(deposit)
  return [...ledger.state.transactions.values()].some(
    ({ purpose }) => purpose.kind === 'deposit' && purpose.authorization === authorization,
  )
}

function nonceOf({ authorization }: Deposit): Hex {
  return authorization.kind === 'erc3009'
    ? authorization.transfer.nonce
    : `0x${authorization.permit.nonce.toString(16).padStart(64, '0')}`
}

function checkDeposit(
  { curve, clock, hashReceive, permit2Domain }: ChannelContext,
  { config, voucher }: ChannelPayment,
  { authorization, signature }: Deposit,
): void {
  const nowSeconds = BigInt(Math.floor(clock() / 1000))
  if (authorization.kind === 'erc3009') {
    const { transfer } = authorization
    if (transfer.validAfterSeconds > nowSeconds) throw notYet()
    if (transfer.validBeforeSeconds < nowSeconds + inclusionSeconds) throw expired()
    checkSigner(curve, hashReceive(transfer), signature, config.payer)
  } else {
    const { permit } = authorization
    if (permit.deadlineSeconds < nowSeconds + inclusionSeconds) throw expired()
    const digest = permit2Domain.hashDeposit(permit, voucher.channelId)
    checkSigner(curve, digest, signature, config.payer)
  }
}

/** Calls that bring the same deposit at once share its one transaction (F2). */
async function sendOnce(
  context: ChannelContext,
  payment: ChannelPayment,
  deposit: Deposit,
): Promise<void> {
  const { depositing } = context
  const authorization = nonceOf(deposit)
  const underWay =
    depositing.get(authorization) ??
    send(context, payment, deposit).finally(() => depositing.delete(authorization))
  depositing.set(authorization, underWay)
  await underWay
}

async function send(
  context: ChannelContext,
  { config, voucher }: ChannelPayment,
  deposit: Deposit,
): Promise<void> {
  const { terms, contract: to, simulate } = context
  const isErc3009 = deposit.authorization.kind === 'erc3009'
  const collector = parseAddress(isErc3009 ? terms.erc3009Collector : terms.permit2Collector)
  if (collector === undefined) throw new RangeError('the terms hold no collector')
  const data = encodeDeposit(config, deposit, collector)
  try {
    await simulate({ to, data })
  } catch (cause) {
    if (!isRevert(cause)) throw cause
    throw new PaymentError('deposit-refused', 'The contract refuses the deposit.')
  }
  const { channelId } = voucher
  const purpose = { kind: 'deposit', channelId, authorization: nonceOf(deposit) } as const
  await sendJournaled(context, { to, data, gas }, purpose, [])
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

function notYet(): PaymentError {
  return new PaymentError('payment-not-yet-valid', 'validAfter lies in the future.')
}

function expired(): PaymentError {
  return new PaymentError('payment-expired', 'The deposit may expire before it is on chain.')
}
