/** One settlement: a dry run, one transaction, its receipt (spec/payment.md PA9). */
import { encodeWord } from '@countersign/protocol/payment/evm-word'
import { ExactEvmScheme } from '@x402/evm/exact/facilitator'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { PaymentPayload } from '@x402/core/types'
import type { Hex, TransactionReceipt } from 'viem'
import { ChainUnreachable, type Chain } from './chain.ts'
import { createDiagnosticSigner } from './facilitator-signer.ts'
import type { PaymentRecord, SignedTransaction } from './ledger.ts'
import { createRequirements, type Terms } from './offer.ts'
import type { Sender } from './sender.ts'

/** What a settlement works with. */
export type SettleOptions = {
  readonly terms: Terms
  readonly chain: Chain
  readonly sender: Sender
  readonly senderAddress: Hex
  readonly confirmations: number
  readonly signal: AbortSignal
  readonly journal: (signed: SignedTransaction) => void
  readonly forget: (signed: SignedTransaction) => void
}

/** The receipt, if it came in time, and why not. */
export type SettleAnswer =
  | { readonly kind: 'mined'; readonly receipt: TransactionReceipt }
  | { readonly kind: 'open'; readonly reason: string }

/** transferWithAuthorization of USDC takes 64,000 to 90,000 gas. */
const gas = 160_000n
const receiptWaitMs = 20_000
const selector = 'e3ee160e'

/**
 * Settles a payment whose signature, times and amount were judged at its admission. Sends one transaction at most; what
 * became of it is said by the journal. Rejects only when the process is closing.
 */
export async function settleOnce(
  options: SettleOptions,
  record: PaymentRecord,
): Promise<SettleAnswer> {
  const { chain, terms, sender } = options
  const data = encodeTransfer(record)
  try {
    if (!(await passesDryRun(options, data))) return await diagnose(options, record)
    const { journal, forget } = options
    const hash = await sender.send({ to: terms.asset, data, gas, journal, forget })
    const receipt = await chain.waitForReceipt(hash, options.confirmations, receiptWaitMs)
    if (receipt !== undefined) return { kind: 'mined', receipt }
    return { kind: 'open', reason: 'no receipt in time' }
  } catch (error) {
    if (options.signal.aborted) throw error
    return { kind: 'open', reason: error instanceof Error ? error.message : 'unknown' }
  }
}

/** `transferWithAuthorization(from, to, value, validAfter, validBefore, nonce, v, r, s)`: nine words. */
export function encodeTransfer({
  authorization,
  signature,
}: Pick<PaymentRecord, 'authorization' | 'signature'>): Hex {
  const { from, to, valueAtomic, validAfterSeconds, validBeforeSeconds, nonce } = authorization
  const words = [
    toLowerHex(from),
    toLowerHex(to),
    valueAtomic,
    validAfterSeconds,
    validBeforeSeconds,
    nonce,
    `0x${signature.slice(130)}`,
    `0x${signature.slice(2, 66)}`,
    `0x${signature.slice(66, 130)}`,
  ] as const
  return `0x${selector}${words.map((word) => toHex(encodeWord(word))).join('')}`
}

function toLowerHex(text: string): Hex {
  return `0x${text.slice(2).toLowerCase()}`
}

/**
 * Whether the token would take it now. In the pending block: the clock of the last one may be far behind, and the
 * transaction will stand in the next.
 */
async function passesDryRun({ chain, terms, signal }: SettleOptions, data: Hex): Promise<boolean> {
  try {
    await chain.retry(() => chain.client.call({ to: terms.asset, data, gas, blockTag: 'pending' }))
    return true
  } catch (error) {
    if (error instanceof ChainUnreachable || signal.aborted) throw error
    return false
  }
}

/** Why the token refuses it, in the words of x402: slow, and rare. */
async function diagnose(options: SettleOptions, record: PaymentRecord): Promise<SettleAnswer> {
  const scheme = new ExactEvmScheme(createDiagnosticSigner(options))
  const requirements = createRequirements(options.terms, record.authorization.valueAtomic)
  const answer = await scheme.verify(createPayload(record, requirements), requirements)
  return { kind: 'open', reason: answer.invalidReason ?? 'the dry run failed' }
}

function createPayload(
  { authorization, signature }: PaymentRecord,
  accepted: PaymentPayload['accepted'],
): PaymentPayload {
  return {
    x402Version: 2,
    accepted,
    payload: {
      signature,
      authorization: {
        from: authorization.from,
        to: authorization.to,
        value: `${authorization.valueAtomic}`,
        validAfter: `${authorization.validAfterSeconds}`,
        validBefore: `${authorization.validBeforeSeconds}`,
        nonce: authorization.nonce,
      },
    },
  }
}
