/** `exact` by EIP-3009, for a facilitator (spec/payment.md PA27.3). */
import { encodeFunctionData, getAddress, parseAbi } from 'viem'
import { createAuthorizationCheck } from '../payment/exact/authorization-signature.ts'
import { isPaidBy, type Chain } from '../payment/exact/chain.ts'
import {
  readSignedAuthorization,
  type Authorization,
  type PresentedPayment,
} from '../payment/exact/presented-payment.ts'
import type { JsonMap } from '@countersign/protocol/bytes/json-decode'
import { FacilitatorRefusal } from './refusal.ts'
import type { FacilitatorRequest } from './request.ts'
import type { PlanSurroundings, SettlementPlan } from './settlement-plan.ts'
import { checkFunds, checkTokenDomain, inclusionSeconds } from './plan-checks.ts'

const gas = 160_000n
const prefix = 'invalid_exact_evm_'
// The form for a signature of a key. Where the account of the payer has code (EIP-7702), USDC asks that all the same: it
// may pass the trial and revert in its block, hence the bound on reverts of a payer.
const abi = parseAbi([
  'function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)',
])

/**
 * Reads a payment against its requirements, cheap checks first, the signature last.
 *
 * @throws FacilitatorRefusal, PaymentRefused
 */
export async function planExact(
  surroundings: PlanSurroundings,
  { extra, payload, amountAtomic }: FacilitatorRequest,
): Promise<SettlementPlan> {
  const { terms, chain, curve, clock } = surroundings
  checkMethod(extra)
  checkTokenDomain(extra, terms, prefix)
  const { authorization, signature } = readSignedAuthorization(payload)
  checkAuthorization(authorization, terms.payTo, amountAtomic)
  if (!createAuthorizationCheck(terms, curve)(authorization, signature)) {
    throw new FacilitatorRefusal(`${prefix}signature`, 'The signature is not the payer’s.')
  }
  const { from, nonce, valueAtomic } = authorization
  return {
    kind: 'transaction',
    id: `eip3009 ${terms.asset.toLowerCase()} ${from.toLowerCase()} ${nonce}`,
    payer: from,
    amountAtomic: valueAtomic,
    call: { to: terms.asset, data: encodeTransfer(authorization, signature), gas },
    reasons: {
      simulation: `${prefix}transaction_simulation_failed`,
      transaction: `${prefix}transaction_failed`,
      used: `${prefix}nonce_already_used`,
    },
    check: async (pendingAtomic) => {
      // Not before: what is settled already has no time any more.
      checkTimes(authorization, clock())
      const { balanceAtomic, nonceUsed } = await chain.readPayer(authorization)
      if (nonceUsed) {
        throw new FacilitatorRefusal(`${prefix}nonce_already_used`, 'The authorization is used.')
      }
      checkFunds(balanceAtomic, pendingAtomic + valueAtomic, `${prefix}insufficient_balance`)
      return { payer: from }
    },
    isDone: (receipt) => isPaidBy(terms, authorization, receipt),
    describe: () => Promise.resolve({ payer: from }),
    // F2: whoever sees it may send it, and the payee is paid all the same.
    findElsewhere: (fromBlock) => findElsewhere(chain, authorization, fromBlock),
  }
}

function checkMethod(extra: JsonMap): void {
  if ((extra.get('assetTransferMethod') ?? 'eip3009') !== 'eip3009') {
    throw new FacilitatorRefusal('unsupported_asset_transfer_method', 'Only eip3009 is taken.')
  }
}

function checkAuthorization(
  { to, valueAtomic }: Authorization,
  payTo: string,
  amountAtomic: bigint,
): void {
  if (to !== getAddress(payTo)) {
    throw new FacilitatorRefusal(`${prefix}recipient_mismatch`, 'Somebody else would be paid.')
  }
  if (valueAtomic !== amountAtomic) {
    throw new FacilitatorRefusal(
      `${prefix}payload_authorization_value_mismatch`,
      'The value is not the amount.',
    )
  }
}

function checkTimes({ validAfterSeconds, validBeforeSeconds }: Authorization, nowMs: number): void {
  const nowSeconds = BigInt(Math.floor(nowMs / 1000))
  if (validAfterSeconds > nowSeconds) {
    throw new FacilitatorRefusal(`${prefix}payload_authorization_valid_after`, 'Not valid yet.')
  }
  if (validBeforeSeconds < nowSeconds + inclusionSeconds) {
    throw new FacilitatorRefusal(`${prefix}payload_authorization_valid_before`, 'Expired.')
  }
}

function encodeTransfer(
  authorization: Authorization,
  signature: PresentedPayment['signature'],
): `0x${string}` {
  const { from, to, valueAtomic, validAfterSeconds, validBeforeSeconds, nonce } = authorization
  const r = `0x${signature.slice(2, 66)}` as const
  const s = `0x${signature.slice(66, 130)}` as const
  // Its form and these two values were checked with the signature.
  const v = signature.endsWith('1b') ? 27 : 28
  return encodeFunctionData({
    abi,
    functionName: 'transferWithAuthorization',
    args: [from, to, valueAtomic, validAfterSeconds, validBeforeSeconds, nonce, v, r, s],
  })
}

async function findElsewhere(
  chain: Chain,
  authorization: Authorization,
  fromBlock: bigint,
): ReturnType<NonNullable<SettlementPlan['findElsewhere']>> {
  const use = await chain.findUse(authorization, fromBlock)
  return use.kind === 'payment' ? chain.findReceipt(use.transaction, 1) : undefined
}
