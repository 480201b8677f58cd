/** `upto` for a facilitator: the server says what is charged, the payer has signed who may say so (spec/payment.md PA27.4). */
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import {
  parseUptoPayload,
  readUptoPayload,
  type UptoPayment,
  type UptoTerms,
} from '@countersign/protocol/payment/upto-payload'
import { uptoPermit2ProxyAbi } from '@countersign/contracts/upto-permit2-proxy'
import { encodeFunctionData, getAddress, parseAbi } from 'viem'
import { isPermit2NonceUsed } from '../payment/channel/batch-contract.ts'
import { checkSigner } from '../payment/channel/channel-context.ts'
import { isMoved } from '../payment/moved.ts'
import {
  checkFunds,
  checkTokenDomain,
  inclusionSeconds,
  readBalance,
  toLowerAddress as lower,
} from './plan-checks.ts'
import { FacilitatorRefusal } from './refusal.ts'
import type { FacilitatorRequest } from './request.ts'
import type { Plan, PlanSurroundings } from './settlement-plan.ts'

const gas = 250_000n
const token = parseAbi([
  'function allowance(address owner, address spender) view returns (uint256)',
])
const used = 'permit2_invalid_nonce'

/**
 * Reads a payment against its requirements. To settle, `amountAtomic` is what is charged, at most what was accepted.
 *
 * @throws FacilitatorRefusal, PaymentError
 */
export function planUpto(
  surroundings: PlanSurroundings,
  { extra, payload, amountAtomic, acceptedAtomic }: FacilitatorRequest,
  isSettled: boolean,
): Plan {
  const { terms, curve, x402, sender, clock } = surroundings
  const { deadlineSeconds } = readUptoPayload(payload).permit
  checkTokenDomain(extra, terms, 'invalid_upto_evm_')
  const uptoTerms: UptoTerms = {
    ...terms,
    chainId: BigInt(terms.chainId),
    facilitator: sender,
    uptoProxy: x402.uptoPermit2Proxy,
    // The server decides how long its calls take: only the settlement itself must still fit.
    maxTimeoutSeconds: 0,
  }
  const nowSeconds = BigInt(Math.floor(clock() / 1000))
  // What is settled already has no time any more: a new settlement is judged by `check`.
  const latestSeconds = deadlineSeconds > inclusionSeconds ? deadlineSeconds - inclusionSeconds : 0n
  const readAtSeconds = nowSeconds < latestSeconds ? nowSeconds : latestSeconds
  const ceilingAtomic = isSettled ? acceptedAtomic : amountAtomic
  const payment = parseUptoPayload(payload, uptoTerms, ceilingAtomic, readAtSeconds)
  if (amountAtomic > ceilingAtomic) {
    throw new FacilitatorRefusal(
      'invalid_upto_evm_payload_settlement_exceeds_amount',
      'More than was permitted.',
    )
  }
  const domain = createPermit2Domain(uptoTerms.chainId, lower(x402.permit2))
  const digest = domain.hashUpto(payment.permit, payment.witness)
  checkSigner(curve, digest, payment.signature, payment.payer)
  return createPlan(surroundings, payment, amountAtomic, isSettled)
}

function createPlan(
  surroundings: PlanSurroundings,
  payment: UptoPayment,
  amountAtomic: bigint,
  isSettled: boolean,
): Plan {
  const { terms, x402 } = surroundings
  const payer = getAddress(payment.payer)
  const id = `permit2 ${payment.payer} ${payment.permit.nonce}`
  const check = (pendingAtomic: bigint): Promise<{ readonly payer: string }> =>
    checkPayer(surroundings, payment, pendingAtomic + amountAtomic)
  if (isSettled && amountAtomic === 0n) {
    const free = (): Promise<{ readonly payer: string; readonly amount: string }> =>
      Promise.resolve({ payer, amount: '0' })
    return { kind: 'free', id, payer, check: free, used }
  }
  return {
    kind: 'transaction',
    id,
    payer,
    amountAtomic,
    call: { to: lower(x402.uptoPermit2Proxy), data: encodeSettlement(payment, amountAtomic), gas },
    reasons: {
      simulation: 'permit2_simulation_failed',
      transaction: 'invalid_upto_evm_transaction_failed',
      used,
    },
    check,
    isDone: (receipt) =>
      isMoved(receipt, terms.asset, { from: payer, to: terms.payTo, amountAtomic }),
    describe: () => Promise.resolve({ payer, amount: `${amountAtomic}` }),
  }
}

async function checkPayer(
  surroundings: PlanSurroundings,
  { payer, permit }: UptoPayment,
  neededAtomic: bigint,
): Promise<{ readonly payer: string }> {
  const { chain, terms, x402, clock } = surroundings
  const { client } = chain
  if (permit.deadlineSeconds < BigInt(Math.floor(clock() / 1000)) + inclusionSeconds) {
    throw new FacilitatorRefusal('permit2_deadline_expired', 'The deadline passes too soon.')
  }
  const read = { address: terms.asset, abi: token } as const
  const [isUsed, balance, allowance] = await Promise.all([
    chain.retry(() => isPermit2NonceUsed(client, lower(x402.permit2), payer, permit.nonce)),
    readBalance(surroundings, payer),
    chain.retry(() =>
      chain.least((each) =>
        each.readContract({ ...read, functionName: 'allowance', args: [payer, x402.permit2] }),
      ),
    ),
  ])
  if (isUsed) throw new FacilitatorRefusal(used, 'The permit is used.')
  checkFunds(allowance, neededAtomic, 'permit2_allowance_required')
  checkFunds(balance, neededAtomic, 'permit2_insufficient_balance')
  return { payer: getAddress(payer) }
}

function encodeSettlement({ payer, permit, witness, signature }: UptoPayment, amount: bigint): Hex {
  const { token: asset, amountAtomic, nonce, deadlineSeconds } = permit
  return encodeFunctionData({
    abi: uptoPermit2ProxyAbi,
    functionName: 'settle',
    args: [
      { permitted: { token: asset, amount: amountAtomic }, nonce, deadline: deadlineSeconds },
      amount,
      payer,
      {
        to: witness.to,
        facilitator: witness.facilitator,
        validAfter: witness.validAfterSeconds,
      },
      encodeEvmSignature(signature),
    ],
  })
}
