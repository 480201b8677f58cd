/** Payment `exact`: x402 v2, EIP-3009, settled by ourselves (spec/payment.md PA5–PA10). */
import { encodePaymentResponseHeader } from '@x402/core/http'
import type { PaymentRequirements } from '@x402/core/types'
import { getAddress, type Hex } from 'viem'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { describeGatewayError, type GatewayErrorCode } from '../../errors.ts'
import type { ReadBudget } from '../../limits/read-budget.ts'
import type { Admission, AdmissionRequest, PaymentScheme, Refusal } from '../admission.ts'
import { ownDatabase } from '../database.ts'
import type { ChainTerms } from '../chain-nodes/chain-terms.ts'
import { isDisagreement } from '../chain-nodes/nodes-disagree.ts'
import type { EvmCurve } from '../evm-curve.ts'
import type { NamedEntry, NamesBeside } from '../call-names.ts'
import { answerNamed } from '../judge-name.ts'
import { admitCredit, admitPayment, type Decision } from './admit-payment.ts'
import { createAdmittedPayment } from './admitted-payment.ts'
import { createAuthorizationCheck } from './authorization-signature.ts'
import { ChainUnreachable, createChain } from './chain.ts'
import { createExactNames } from './exact-names.ts'
import { openLedger, type Ledger } from './ledger.ts'
import { followSettled } from './follow-settled.ts'
import { createQuote, createTerms, encodeQuote, type Quote } from './offer.ts'
import { pause } from './pause.ts'
import { createPayerTurns } from './payer-turns.ts'
import { PaymentRefused } from './refused.ts'
import type { ExactContext, SettleRule } from './context.ts'
import { createSender, createSettlementAccount } from './sender.ts'
import { stuckRule } from './replace-stuck.ts'
import type { SharedSender } from './shared-sender.ts'
import { createSettler } from './settlement.ts'

/** Terms, keys and places of the scheme. The ledger file is its alone. */
export type ExactOptions = {
  readonly network: `eip155:${string}`
  readonly asset: string
  /** EIP-712 domain of the token. */
  readonly assetName: string
  readonly assetVersion: string
  readonly payTo: string
  readonly rpcUrl: string
  /** Several nodes, bounds of fees, and the depth of which nothing is followed any more; one node, and those of PA9.7, when absent. */
  readonly chainTerms?: ChainTerms
  /** 0x and 64 hex digits; pays the gas of settlements. No other process may use it. */
  readonly settlementKey: string
  readonly curve: EvmCurve
  readonly maxTimeoutSeconds: number
  /** Origin of the gateway as its callers see it. */
  readonly resourceBaseUrl: string
  readonly settle: SettleRule
  readonly databaseFile: string
  /** Blocks, the transaction's own included; 1 when absent. */
  readonly confirmations?: number
  /** How long `release` waits for a settlement; 30 seconds when absent. */
  readonly settlementTimeoutMs?: number
  /** Milliseconds since the Unix epoch. */
  readonly clock: () => number
  /** Offers of other schemes that stand beside ours. */
  readonly otherOffers?: (path: string, amountAtomic: bigint) => readonly PaymentRequirements[]
  /** The sender of the settlement key, when other schemes share it: it learns of our transactions by `join`. */
  readonly sharedSender?: SharedSender
  /** How the names of metered calls stand, when other schemes are offered beside this one. */
  readonly meteredNames?: (digest: string) => NamedEntry | undefined
  /** How often the chain is asked for payers who have shown no money; always, when absent. */
  readonly reads?: ReadBudget
  /** Told of faults of background work: the ledger cannot be written. Ignored when absent. */
  readonly onFault?: (error: unknown) => void
}

/** The scheme, and its side of the book of names (PA4.8). */
export type ExactPayment = PaymentScheme & {
  readonly names: NamesBeside
  /** A call of another scheme whose name stands for a credit: its payer is certain and its limits were asked. */
  admitCredit(request: AdmissionRequest, payer: Hex, identifier: string): Promise<Admission>
}

const defaultSettlementTimeoutMs = 30_000
const defaultFinalDepth = 32
const askAgainMs = 1000

/**
 * Opens the ledger and takes up what an earlier process left unsettled.
 *
 * @throws RangeError for malformed options, DatabaseFault when the ledger cannot be opened or has another owner.
 */
export function createExactPayment(options: ExactOptions): ExactPayment {
  const terms = createTerms(options)
  const account = createSettlementAccount(options.settlementKey, options.curve)
  const { ledger, owner } = openOwned(options.databaseFile, {
    network: terms.network,
    asset: terms.asset,
    sender: account.address,
  })
  const closing = new AbortController()
  const { signal } = closing
  const chain = createChain(terms, options.chainTerms?.source ?? options.rpcUrl, signal)
  const onFault = options.onFault ?? (() => undefined)
  options.sharedSender?.join(ledger)
  const sender =
    options.sharedSender?.sender ??
    createSender({
      chain,
      chainId: terms.chainId,
      account,
      ledger,
      signal,
      replace: stuckRule,
      ...options.chainTerms?.fees,
    })
  const settler = createSettler({
    terms,
    chain,
    ledger,
    sender,
    senderAddress: account.address,
    confirmations: options.confirmations ?? 1,
    clock: options.clock,
    signal,
    onFault,
  })
  for (const record of ledger.unresolved()) void settler.settle(record, record.use === 'used')
  const finalDepth = options.chainTerms?.finalDepth ?? defaultFinalDepth
  const following = followSettled({ terms, chain, ledger, settler, finalDepth, signal, onFault })
  const context: ExactContext = {
    terms,
    isSignedByPayer: createAuthorizationCheck(terms, options.curve),
    chain,
    ledger,
    settler,
    turns: createPayerTurns(),
    names: createExactNames({ ledger, settler, clock: options.clock }),
    meteredNames: options.meteredNames,
    notOurs: new Map(),
    reads: options.reads,
    confirmations: options.confirmations ?? 1,
    settle: options.settle,
    settlementTimeoutMs: options.settlementTimeoutMs ?? defaultSettlementTimeoutMs,
    clock: options.clock,
    signal,
    onFault,
  }
  const born = noteBirth(context)
  return {
    admit: (request) => admit(context, options.otherOffers, request),
    identify: () => null,
    names: context.names,
    admitCredit: (request, payer, identifier) => {
      const { path, priceAtomic } = request
      const quote = createQuote(terms, path, priceAtomic, [])
      return answer(context, quote, request, () =>
        admitCredit(context, request, getAddress(payer), identifier),
      )
    },
    close: async () => {
      closing.abort(new Error('the gateway is closing'))
      await following
      await born
      await settler.stopped()
      ledger.close()
      owner.release()
    },
  }
}

function openOwned(
  file: string,
  of: Parameters<typeof openLedger>[1],
): { readonly ledger: Ledger; readonly owner: ReturnType<typeof ownDatabase> } {
  const owner = ownDatabase(file, 'exact')
  try {
    return { ledger: openLedger(file, of), owner }
  } catch (error) {
    owner.release()
    throw error
  }
}

/** PA9.8. A start that the chain does not answer tries again; until then nothing that others settled is served. */
async function noteBirth({ ledger, chain, signal, onFault }: ExactContext): Promise<void> {
  while (ledger.birthBlock() === undefined && !signal.aborted) {
    try {
      const block = await chain.retry(() => chain.client.getBlockNumber({ cacheTime: 0 }))
      if (!signal.aborted) ledger.setBirthBlock(block)
    } catch (error) {
      if (!(error instanceof ChainUnreachable) && !signal.aborted) {
        onFault(error)
        return
      }
      // Only the signal ends a pause.
      await pause(askAgainMs, signal).catch(() => undefined)
    }
  }
}

async function admit(
  context: ExactContext,
  otherOffers: ExactOptions['otherOffers'],
  request: AdmissionRequest,
): Promise<Admission> {
  const { path, priceAtomic } = request
  const others = otherOffers?.(path, priceAtomic) ?? []
  const quote = createQuote(context.terms, path, priceAtomic, others)
  const header = request.headers['payment-signature']
  if (header === undefined) {
    return { kind: 'refused', refusal: createRefusal(quote, 'payment-required') }
  }
  return answer(context, quote, request, () => admitPayment(context, quote, request, header))
}

async function answer(
  context: ExactContext,
  quote: Quote,
  request: AdmissionRequest,
  decide: () => Promise<Decision>,
): Promise<Admission> {
  try {
    return toAdmission(context, quote, request, await decide())
  } catch (error) {
    if (error instanceof PaymentRefused) {
      const refusal = createRefusal(quote, error.code, error.detail)
      return {
        kind: 'refused',
        refusal: { ...refusal, headers: { ...refusal.headers, ...error.headers } },
      }
    }
    if (error instanceof ChainUnreachable) {
      return { kind: 'refused', refusal: refuseUnread(error) }
    }
    throw error
  }
}

function toAdmission(
  context: ExactContext,
  quote: Quote,
  request: AdmissionRequest,
  decision: Decision,
): Admission {
  if (decision.kind === 'replay') {
    const { receiptId, byName } = decision
    if (byName) return answerNamed({ kind: 'replay', receiptId })
    const whenGone = createRefusal(quote, 'payment-already-used')
    return { kind: 'replay', receiptId, whenGone }
  }
  const refuse = (code: GatewayErrorCode, reason: string): Refusal => {
    const refusal = createRefusal(quote, code)
    const failure = encodePaymentResponseHeader({
      success: false,
      errorReason: reason,
      transaction: '',
      network: context.terms.network,
      payer: decision.record.authorization.from,
    })
    return { ...refusal, headers: { ...refusal.headers, 'payment-response': failure } }
  }
  const receiptId = toHex(request.receiptId)
  const payment = createAdmittedPayment(
    context,
    { ...decision.record, receiptId },
    decision.outcome,
    refuse,
  )
  return { kind: 'admitted', payment }
}

function refuseUnread(error: ChainUnreachable): Refusal {
  const headers = { 'retry-after': '5' }
  return isDisagreement(error)
    ? { code: 'chain-nodes-disagree', detail: 'Nothing was charged.', headers }
    : {
        code: 'payment-unavailable',
        detail: 'The chain does not answer; nothing was charged.',
        headers,
      }
}

/** Every 402 carries a fresh quote, so that the caller can sign a new payment at once. */
function createRefusal(quote: Quote, code: GatewayErrorCode, detail = ''): Refusal {
  const paymentRequired = describeGatewayError(code).status === 402
  return { code, detail, headers: paymentRequired ? encodeQuote(quote, code) : {} }
}
