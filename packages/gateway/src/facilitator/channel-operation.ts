/** `batch-settlement` for a facilitator: what servers send, namely claims, settlements and refunds (spec/payment.md PA27.5). */
import type { JsonMap, JsonValue } from '@countersign/protocol/bytes/json-decode'
import { channelAmountBits, decodeChannelId } from '@countersign/protocol/payment/channel'
import { readChannelConfig } from '@countersign/protocol/payment/channel-payload'
import {
  encodeEvmSignature,
  parseEvmSignature,
  type EvmSignature,
} from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import {
  checkMembers,
  isJsonMap,
  malformed,
  readAddress,
  readDecimal,
  readObject,
} from '@countersign/protocol/payment/json-members'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { getAddress, keccak256, parseEventLogs } from 'viem'
import {
  encodeClaim,
  encodeRefund,
  encodeSettle,
  type ClaimRow,
} from '../payment/channel/batch-contract.ts'
import { checkSigner } from '../payment/channel/channel-context.ts'
import { describeSlot, placeOf, readPayment, readState, type BatchPlace } from './channel-plan.ts'
import { toLowerAddress } from './plan-checks.ts'
import { FacilitatorRefusal } from './refusal.ts'
import type { FacilitatorRequest } from './request.ts'
import type { PlanSurroundings, SettlementPlan } from './settlement-plan.ts'

const prefix = 'invalid_batch_settlement_evm_'
const maxRows = 100
const claimGas = 160_000n
const claimRowGas = 60_000n
const settleGas = 120_000n
const refundGas = 400_000n
const refundMembers = ['type', 'channelConfig', 'voucher', 'amount'] as const

/**
 * Reads a claim: every row is of the asset and the payee of the request, and its voucher is its payer’s.
 *
 * @throws FacilitatorRefusal, PaymentError
 */
export function planClaim(
  surroundings: PlanSurroundings,
  { payload }: FacilitatorRequest,
): SettlementPlan {
  const place = placeOf(surroundings)
  const authorization = readAuthorization(payload, 'claimAuthorizerSignature')
  checkMembers(payload, ['type', 'claims', 'claimAuthorizerSignature'])
  const rows = readRows(surroundings, place, payload.get('claims'))
  if (rows.length === 0) throw malformed('A claim without rows.')
  const data = encodeClaim(rows, authorization)
  return {
    kind: 'transaction',
    // The same rows again would change nothing, and cost gas.
    id: `claim ${keccak256(data)}`,
    payer: undefined,
    amountAtomic: 0n,
    call: { to: place.contract, data, gas: claimGas + claimRowGas * BigInt(rows.length) },
    reasons: reasonsOf('claim'),
    check: async () => {
      const claimed = await readClaimed(surroundings, place, rows)
      if (rows.some(({ totalAtomic }, index) => totalAtomic > (claimed[index] ?? 0n))) return {}
      throw new FacilitatorRefusal(`${prefix}claim_simulation_failed`, 'All of it is claimed.')
    },
    isDone: ({ status }) => status === 'success',
    describe: () => Promise.resolve({}),
  }
}

/**
 * Reads `settle(receiver, token)`: the contract pays the receiver what was claimed for it.
 *
 * @throws FacilitatorRefusal, PaymentError
 */
export async function planSettle(
  surroundings: PlanSurroundings,
  { payload, payTo, asset }: FacilitatorRequest,
): Promise<SettlementPlan> {
  const { contract } = placeOf(surroundings)
  const { chain } = surroundings
  checkMembers(payload, ['type', 'receiver', 'token'])
  const receiver = readAddress(payload, 'receiver')
  const token = readAddress(payload, 'token')
  if (receiver !== payTo) throw new FacilitatorRefusal(`${prefix}receiver_mismatch`, 'receiver')
  if (token !== asset) throw new FacilitatorRefusal(`${prefix}token_mismatch`, 'token')
  const read = { address: contract, abi: batchSettlementAbi, args: [receiver, token] } as const
  const [claimed, settled] = await chain.retry(() =>
    chain.client.readContract({ ...read, functionName: 'receivers' }),
  )
  return {
    kind: 'transaction',
    id: `settle ${receiver} ${token} ${claimed}`,
    payer: undefined,
    amountAtomic: 0n,
    call: { to: contract, data: encodeSettle(receiver, token), gas: settleGas },
    reasons: reasonsOf('settle'),
    check: () => {
      if (claimed > settled) return Promise.resolve({})
      throw new FacilitatorRefusal(`${prefix}nothing_to_settle`, 'Nothing is claimed.')
    },
    isDone: ({ status }) => status === 'success',
    describe: ({ logs }) => {
      const [event] = parseEventLogs({ abi: batchSettlementAbi, eventName: 'Settled', logs })
      return Promise.resolve({ amount: `${event?.args.amount ?? 0n}` })
    },
  }
}

/**
 * Reads a refund that its server completed: the receiver authorizer has signed it, and the claim that goes before it.
 *
 * @throws FacilitatorRefusal, PaymentError
 */
export function planRefund(
  surroundings: PlanSurroundings,
  request: FacilitatorRequest,
): SettlementPlan {
  const { payload } = request
  const place = placeOf(surroundings)
  const signature = readAuthorization(payload, 'refundAuthorizerSignature')
  const asked = new Map(refundMembers.map((name) => [name, payload.get(name) ?? null]))
  const members = payload.get('channelConfig')
  // Stock servers name no terms here: the authorizer’s signature decides.
  const extra = isJsonMap(members) ? members : new Map<string, JsonValue>()
  const { config, voucher, action } = readPayment(surroundings, place, {
    ...request,
    extra,
    payload: asked,
  })
  if (action.kind !== 'refund' || action.amountAtomic === 'all') {
    throw new PaymentError('refund-amount-invalid', 'Which amount?')
  }
  const { channelId } = voucher
  const { amountAtomic } = action
  const nonce = readDecimal(payload, 'refundNonce')
  const [row, ...more] = readRows(surroundings, place, payload.get('claims') ?? [])
  if (more.length > 0 || (row !== undefined && row.channelId !== channelId)) {
    throw malformed('A refund claims its own channel only.')
  }
  const claim = row && {
    row,
    authorization: readAuthorization(payload, 'claimAuthorizerSignature'),
  }
  const data = encodeRefund(claim, { config, amountAtomic, nonce, signature })
  const payer = getAddress(config.payer)
  return {
    kind: 'transaction',
    id: `refund ${channelId} ${nonce}`,
    payer,
    amountAtomic: 0n,
    call: { to: place.contract, data, gas: refundGas },
    reasons: reasonsOf('refund'),
    check: async () => {
      const slot = await readState(surroundings, place, channelId)
      const claimed = row !== undefined && row.totalAtomic > slot.claimedAtomic
      const claimedAtomic = claimed ? row.totalAtomic : slot.claimedAtomic
      if (slot.balanceAtomic <= claimedAtomic) {
        throw new FacilitatorRefusal(`${prefix}refund_no_balance`, 'Nothing to refund.')
      }
      return { payer, extra: describeSlot(channelId, slot) }
    },
    isDone: ({ status }) => status === 'success',
    describe: async ({ logs }) => {
      const [event] = parseEventLogs({ abi: batchSettlementAbi, eventName: 'Refunded', logs })
      const channelState = describeSlot(channelId, await readState(surroundings, place, channelId))
      return { payer, amount: `${event?.args.amount ?? 0n}`, extra: { channelState } }
    },
  }
}

/** In one question, however many rows there are. */
async function readClaimed(
  { chain, x402 }: PlanSurroundings,
  { contract: address }: BatchPlace,
  rows: readonly ClaimRow[],
): Promise<readonly bigint[]> {
  const read = { address, abi: batchSettlementAbi, functionName: 'channels' } as const
  const slots = await chain.retry(() =>
    chain.client.multicall({
      multicallAddress: x402.multicall3,
      allowFailure: false,
      batchSize: 0,
      contracts: rows.map(({ channelId }) => ({ ...read, args: [channelId] as const })),
    }),
  )
  return slots.map(([, claimedAtomic]) => claimedAtomic)
}

function reasonsOf(operation: 'claim' | 'settle' | 'refund'): SettlementPlan['reasons'] {
  return {
    simulation: `${prefix}${operation}_simulation_failed`,
    transaction: `${prefix}${operation}_transaction_failed`,
    used:
      operation === 'settle'
        ? `${prefix}nothing_to_settle`
        : `${prefix}${operation}_transaction_failed`,
  }
}

/** We hold no authorizer’s key: whoever asks could have any voucher claimed in full. */
function readAuthorization(payload: JsonMap, name: string): EvmSignature {
  if (!payload.has(name)) {
    throw new FacilitatorRefusal(`${prefix}authorizer_not_configured`, `The server signs: ${name}.`)
  }
  return parseEvmSignature(payload.get(name))
}

function readRows(
  surroundings: PlanSurroundings,
  place: BatchPlace,
  claims: JsonValue | undefined,
): readonly ClaimRow[] {
  if (!isList(claims) || claims.length > maxRows) throw malformed('At most 100 rows are expected.')
  return claims.map((row) => {
    if (!isJsonMap(row)) throw malformed('A row is no object.')
    return readRow(surroundings, place, row)
  })
}

function readRow(
  { terms, curve }: PlanSurroundings,
  { domain }: BatchPlace,
  members: JsonMap,
): ClaimRow {
  checkMembers(members, ['voucher', 'signature', 'totalClaimed'])
  const voucher = readObject(members, 'voucher', ['channel', 'maxClaimableAmount'])
  const config = readChannelConfig(voucher, 'channel')
  const ceilingAtomic = readDecimal(voucher, 'maxClaimableAmount', channelAmountBits)
  const totalAtomic = readDecimal(members, 'totalClaimed', channelAmountBits)
  const signature = parseEvmSignature(members.get('signature'))
  if (config.receiver !== toLowerAddress(terms.payTo)) {
    throw new FacilitatorRefusal(`${prefix}receiver_mismatch`, 'A row pays somebody else.')
  }
  if (config.token !== toLowerAddress(terms.asset)) {
    throw new FacilitatorRefusal(`${prefix}token_mismatch`, 'A row is of another asset.')
  }
  if (totalAtomic > ceilingAtomic) {
    throw new FacilitatorRefusal(`${prefix}charge_exceeds_signed_cumulative`, 'More than signed.')
  }
  const channelId: Hex = domain.hashChannelId(config)
  const digest = domain.hashVoucher(decodeChannelId(channelId), ceilingAtomic)
  checkSigner(curve, digest, signature, config.payerAuthorizer)
  return { channelId, config, ceilingAtomic, totalAtomic, signature: encodeEvmSignature(signature) }
}

function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}
