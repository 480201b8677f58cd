/** What the steps of `batch-settlement` share. */
import type { BatchDomain } from '@countersign/protocol/payment/channel'
import type { Deposit } from '@countersign/protocol/payment/channel-deposit'
import type { ChannelPayment, ChannelTerms } from '@countersign/protocol/payment/channel-payload'
import type { EvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import type { Permit2Domain } from '@countersign/protocol/payment/permit2'
import type { createReceiveHasher } from '@countersign/protocol/payment/token-authorization'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { BaseError, type TransactionReceipt } from 'viem'
import { isDisagreement } from '../chain-nodes/nodes-disagree.ts'
import type { ReadBudget } from '../../limits/read-budget.ts'
import type { EvmCurve } from '../evm-curve.ts'
import { ChainUnreachable } from '../exact/chain.ts'
import { MaybeSent, NotSent, type Sender } from '../exact/sender.ts'
import type { ChannelAccount } from '../ledger/channel-account.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import type { LedgerEvent } from '../ledger/ledger.ts'
import type { ClaimPolicy } from './claims.ts'
import type { EmptyChannels } from './empty-channels.ts'
import type { Follower } from './follower.ts'
import { RefundRefused, SettlementKeyUntrusted, type IsAuthorized } from './settlement-key.ts'

/** Runs work after all that was given before, whatever became of that. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

/** A line of its own. */
export function createTurns(): InTurn {
  // Owned by the returned function.
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }
}

/** One scheme while it runs. */
export type ChannelContext = {
  readonly terms: ChannelTerms
  readonly contract: Hex
  readonly domain: BatchDomain
  readonly permit2Domain: Permit2Domain
  readonly hashReceive: ReturnType<typeof createReceiveHasher>
  readonly curve: EvmCurve
  readonly ledger: DurableLedger
  readonly follower: Follower
  readonly sender: Sender
  /** Signs as the receiver authorizer, or as a key that its contract knows. */
  readonly sign: (digest: Uint8Array) => EvmSignature
  /** The key ends soon and no other one follows: everything is claimed while it can be (spec/payment.md PA28.3). */
  readonly isRetiring: () => boolean
  /** Whether the receiver authorizer accepts that signature now. */
  readonly isAuthorized: IsAuthorized
  readonly simulate: (call: {
    readonly to: Hex
    readonly data: Hex
    readonly gas?: bigint
  }) => Promise<unknown>
  /** The receipt of a transaction, once it has the configured depth. */
  readonly findReceipt: (hash: Hex) => Promise<TransactionReceipt | undefined>
  /** Runs work that sends transactions of channels, one after the other; owned by the manager. */
  readonly inTurn: InTurn
  readonly claimPolicy: ClaimPolicy
  /** How long a call waits for its deposit. */
  readonly depositTimeoutMs: number
  /** How often the chain is asked for payers who have shown no money (PA30); always, when absent. */
  readonly reads?: ReadBudget | undefined
  /** Channels that held nothing when they were read; owned by openChannel. */
  readonly empty: EmptyChannels
  /** Channels that are being read for the first time; owned by openChannel. */
  readonly opening: Map<Hex, Promise<ChannelAccount>>
  /** Whether an authorization is used up, or cancelled. Rejects when the chain does not answer. */
  readonly isDepositUsed: (payer: Hex, deposit: Deposit) => Promise<boolean>
  /** Deposits that are being sent, by what tells them apart; owned by bringDeposit. */
  readonly depositing: Map<string, Promise<void>>
  /** When a deposit of a payer last reverted in its block; owned by bringDeposit. */
  readonly reverted: Map<Hex, number>
  readonly clock: () => number
  readonly signal: AbortSignal
}

/** @throws PaymentError `payment-signature-invalid` unless this address made the signature. */
export function checkSigner(
  curve: EvmCurve,
  digest: Uint8Array,
  signature: EvmSignature,
  signer: Hex,
): void {
  const address = curve.recoverAddress(digest, signature)
  if (address === undefined || `0x${toHex(address)}` !== signer) {
    throw new PaymentError('payment-signature-invalid', 'Another key made the signature.')
  }
}

/** The voucher's own signature (spec/payment.md PA18.2). @throws PaymentError */
export function checkVoucherSigner(
  { curve, domain }: Pick<ChannelContext, 'curve' | 'domain'>,
  channelIdBytes: Uint8Array,
  { config, voucher }: ChannelPayment,
): void {
  const digest = domain.hashVoucher(channelIdBytes, voucher.maxClaimableAtomic)
  checkSigner(curve, digest, voucher.signature, config.payerAuthorizer)
}

/**
 * What a step of admission threw, as a refusal: the payment's fault, or the chain's.
 *
 * @throws the error itself when it is ours.
 */
export function toPaymentError(error: unknown): PaymentError {
  if (error instanceof PaymentError) return error
  if (isDisagreement(error)) {
    return new PaymentError('chain-nodes-disagree', 'Too few nodes say the same.', { cause: error })
  }
  if (
    error instanceof BaseError ||
    error instanceof ChainUnreachable ||
    error instanceof NotSent ||
    error instanceof MaybeSent
  ) {
    return new PaymentError('chain-unreachable', 'The chain does not answer.', { cause: error })
  }
  if (error instanceof SettlementKeyUntrusted || error instanceof RefundRefused) {
    return new PaymentError('chain-unreachable', 'The chain does not take it yet.', {
      cause: error,
    })
  }
  throw error
}

/** Applies an event that only a mistake of ours could have refused. */
export function applyOwn(ledger: Pick<DurableLedger, 'apply'>, event: LedgerEvent): void {
  const step = ledger.apply(event)
  if (step.kind === 'refused') throw new Error(`${event.type} was refused: ${step.code}`)
}
