/** `batch-settlement` for a facilitator: vouchers and deposits of payers (spec/payment.md PA27.5). */
import {
  createBatchDomain,
  decodeChannelId,
  type BatchDomain,
} from '@countersign/protocol/payment/channel'
import type { Deposit } from '@countersign/protocol/payment/channel-deposit'
import {
  checkChannelId,
  parseChannelPayload,
  type ChannelPayment,
  type ChannelTerms,
} from '@countersign/protocol/payment/channel-payload'
import type { JsonMap } from '@countersign/protocol/bytes/json-decode'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { createReceiveHasher } from '@countersign/protocol/payment/token-authorization'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { getAddress, parseEventLogs } from 'viem'
import {
  encodeDeposit,
  isDepositUsed,
  readSlot,
  type ChannelSlot,
} from '../payment/channel/batch-contract.ts'
import { checkVoucherSigner } from '../payment/channel/channel-context.ts'
import { checkDepositSigner, checkDepositTime } from '../payment/channel/deposit.ts'
import { checkFunds, readBalance, toLowerAddress as lower } from './plan-checks.ts'
import { FacilitatorRefusal } from './refusal.ts'
import type { FacilitatorRequest } from './request.ts'
import type { CheckPlan, PlanSurroundings, SettlementPlan } from './settlement-plan.ts'

const gas = 300_000n
const prefix = 'invalid_batch_settlement_evm_'
const minDelaySeconds = 900
const maxDelaySeconds = 2_592_000

/** The batch contract of a network. */
export type BatchPlace = {
  readonly contract: Hex
  readonly domain: BatchDomain
}

/** Where the channels of these surroundings are. */
export function placeOf({ terms, x402 }: PlanSurroundings): BatchPlace {
  const contract = lower(x402.batchSettlement)
  return { contract, domain: createBatchDomain(BigInt(terms.chainId), contract) }
}

/**
 * Reads a deposit with its voucher.
 *
 * @throws FacilitatorRefusal, PaymentError
 */
export function planDeposit(
  surroundings: PlanSurroundings,
  request: FacilitatorRequest,
): SettlementPlan {
  const place = placeOf(surroundings)
  const payment = readPayment(surroundings, place, request)
  if (payment.action.kind !== 'deposit') throw otherType()
  const { deposit } = payment.action
  checkDeposit(surroundings, payment, deposit)
  return createDepositPlan(surroundings, place, payment, deposit)
}

/**
 * Looks at a voucher, or the request of a payer for a refund, which settles nothing.
 *
 * @throws FacilitatorRefusal, PaymentError
 */
export function planVoucher(
  surroundings: PlanSurroundings,
  request: FacilitatorRequest,
): CheckPlan {
  const place = placeOf(surroundings)
  const payment = readPayment(surroundings, place, request)
  const { config, voucher, action } = payment
  if (action.kind === 'deposit') throw otherType()
  return {
    kind: 'check',
    id: `voucher ${voucher.channelId}`,
    payer: getAddress(config.payer),
    used: `${prefix}cumulative_below_claimed`,
    check: async () => {
      const slot = await readState(surroundings, place, voucher.channelId)
      const { balanceAtomic, claimedAtomic } = slot
      if (balanceAtomic === 0n) refuse('channel_not_found', 'The channel is empty.')
      checkCeiling(voucher.maxClaimableAtomic, balanceAtomic, claimedAtomic, action.kind)
      return { payer: getAddress(config.payer), extra: describeSlot(voucher.channelId, slot) }
    },
  }
}

/** The slot of a channel now. Rejects with ChainUnreachable. */
export function readState(
  { chain }: PlanSurroundings,
  { contract }: BatchPlace,
  channelId: Hex,
): Promise<ChannelSlot> {
  return chain.retry(async () =>
    readSlot(
      chain.client,
      contract,
      channelId,
      await chain.client.getBlockNumber({ cacheTime: 0 }),
    ),
  )
}

/** In the words of x402. */
export function describeSlot(
  channelId: Hex,
  slot: ChannelSlot,
): Readonly<Record<string, string | number>> {
  return {
    channelId,
    balance: `${slot.balanceAtomic}`,
    totalClaimed: `${slot.claimedAtomic}`,
    // Seconds since the epoch fit a JSON number.
    withdrawRequestedAt: +`${slot.withdrawRequestedAtSeconds}`,
    refundNonce: `${slot.refundNonce}`,
  }
}

/** Reads config and voucher against the requirements, and checks the voucher’s signature. */
export function readPayment(
  { terms, x402, curve }: PlanSurroundings,
  { domain }: BatchPlace,
  { extra, payload }: FacilitatorRequest,
): ChannelPayment {
  const channelTerms: ChannelTerms = {
    ...terms,
    chainId: BigInt(terms.chainId),
    ...readChannelTerms(extra),
    // The server’s own business.
    minDepositAtomic: 0n,
    maxRunningCalls: 1,
    erc3009Collector: x402.erc3009DepositCollector,
    permit2Collector: x402.permit2DepositCollector,
  }
  const payment = parseChannelPayload(payload, channelTerms)
  checkChannelId(domain, payment)
  checkVoucherSigner({ curve, domain }, decodeChannelId(payment.voucher.channelId), payment)
  return payment
}

function readChannelTerms(
  extra: JsonMap,
): Pick<ChannelTerms, 'receiverAuthorizer' | 'withdrawDelaySeconds'> {
  const receiverAuthorizer = parseAddress(extra.get('receiverAuthorizer'))
  if (receiverAuthorizer === undefined) {
    throw new FacilitatorRefusal(`${prefix}receiver_authorizer_mismatch`, 'No receiverAuthorizer.')
  }
  const withdrawDelaySeconds = extra.get('withdrawDelay')
  const isDelay =
    typeof withdrawDelaySeconds === 'number' &&
    withdrawDelaySeconds >= minDelaySeconds &&
    withdrawDelaySeconds <= maxDelaySeconds
  if (!isDelay) {
    throw new FacilitatorRefusal(`${prefix}withdraw_delay_out_of_range`, 'No such withdrawDelay.')
  }
  return { receiverAuthorizer, withdrawDelaySeconds }
}

function checkDeposit(
  { terms, x402, curve }: PlanSurroundings,
  payment: ChannelPayment,
  deposit: Deposit,
): void {
  const chainId = BigInt(terms.chainId)
  if (deposit.amountAtomic === 0n) refuse('payload_type', 'A deposit of 0.')
  try {
    checkDepositSigner(
      {
        curve,
        permit2Domain: createPermit2Domain(chainId, lower(x402.permit2)),
        hashReceive: createReceiveHasher({
          name: terms.assetName,
          version: terms.assetVersion,
          chainId,
          verifyingContract: lower(terms.asset),
        }),
      },
      payment,
      deposit,
    )
  } catch (cause) {
    const isErc3009 = deposit.authorization.kind === 'erc3009'
    const reason = isErc3009 ? 'receive_authorization_signature' : 'permit2_invalid_signature'
    throw new FacilitatorRefusal(`${prefix}${reason}`, 'Another key signed the deposit.', { cause })
  }
}

function createDepositPlan(
  surroundings: PlanSurroundings,
  place: BatchPlace,
  { config, voucher }: ChannelPayment,
  deposit: Deposit,
): SettlementPlan {
  const { x402, chain, terms, clock } = surroundings
  const { amountAtomic, authorization } = deposit
  const { channelId } = voucher
  const payer = getAddress(config.payer)
  const isErc3009 = authorization.kind === 'erc3009'
  const collector = lower(isErc3009 ? x402.erc3009DepositCollector : x402.permit2DepositCollector)
  const contracts = { token: lower(terms.asset), permit2: lower(x402.permit2) }
  const used = `${prefix}deposit_transaction_failed`
  return {
    kind: 'transaction',
    id: isErc3009
      ? `eip3009 ${contracts.token} ${config.payer} ${authorization.transfer.nonce}`
      : `permit2 ${config.payer} ${authorization.permit.nonce}`,
    payer,
    amountAtomic,
    call: { to: place.contract, data: encodeDeposit(config, deposit, collector), gas },
    reasons: {
      simulation: `${prefix}deposit_simulation_failed`,
      transaction: `${prefix}deposit_transaction_failed`,
      used,
    },
    check: async (pendingAtomic) => {
      // Not before: what is settled already has no time any more.
      checkDepositTime(clock(), deposit)
      const [slot, balance, isUsed] = await Promise.all([
        readState(surroundings, place, channelId),
        readBalance(surroundings, config.payer),
        chain.retry(() => isDepositUsed(chain.client, contracts, config.payer, deposit)),
      ])
      if (isUsed) throw new FacilitatorRefusal(used, 'The deposit is on chain, or was cancelled.')
      checkFunds(balance, pendingAtomic + amountAtomic, `${prefix}insufficient_balance`)
      const held = slot.balanceAtomic + amountAtomic
      checkCeiling(voucher.maxClaimableAtomic, held, slot.claimedAtomic, 'voucher')
      return { payer, extra: describeSlot(channelId, slot) }
    },
    isDone: (receipt) =>
      parseEventLogs({ abi: batchSettlementAbi, eventName: 'Deposited', logs: receipt.logs }).some(
        ({ address, args }) =>
          address.toLowerCase() === place.contract &&
          args.channelId === channelId &&
          args.amount === amountAtomic,
      ),
    describe: async () => {
      const channelState = describeSlot(channelId, await readState(surroundings, place, channelId))
      return { payer, amount: `${amountAtomic}`, extra: { channelState } }
    },
  }
}

function checkCeiling(
  ceilingAtomic: bigint,
  heldAtomic: bigint,
  claimedAtomic: bigint,
  kind: 'voucher' | 'refund',
): void {
  if (ceilingAtomic > heldAtomic) {
    refuse('cumulative_exceeds_balance', 'The voucher is larger than the channel.')
  }
  const isBelow = kind === 'refund' ? ceilingAtomic < claimedAtomic : ceilingAtomic <= claimedAtomic
  if (isBelow) refuse('cumulative_below_claimed', 'The voucher is claimed already.')
}

function otherType(): FacilitatorRefusal {
  return new FacilitatorRefusal(`${prefix}payload_type`, 'The type is another one.')
}

function refuse(reason: string, message: string): never {
  throw new FacilitatorRefusal(`${prefix}${reason}`, message)
}
