/** A payment between its admission and the end of its call (spec/payment.md PA10). */
import { encodePaymentResponseHeader } from '@x402/core/http'
import type { Charge } from '@countersign/protocol/receipt/charge'
import { hexToBytes, type Hex } from 'viem'
import type { GatewayErrorCode } from '../../errors.ts'
import type { AdmittedPayment, CallResult, Refusal, Release } from '../admission.ts'
import type { ExactContext } from './context.ts'
import type { PaymentRecord } from './ledger.ts'
import { withinTime } from './pause.ts'
import { keyOf, type Outcome } from './settlement.ts'

/** Makes a refusal with a fresh quote; the reason goes into PAYMENT-RESPONSE. */
export type RefusePayment = (code: GatewayErrorCode, reason: string) => Refusal

/** How long a receipt waits for its transaction when the answer left before. */
const nameTransactionWithinMs = 5000

const late: Outcome = { kind: 'unknown', reason: 'the settlement was not confirmed in time' }

/** The payment of a record that is `open` in the ledger. */
export function createAdmittedPayment(
  context: ExactContext,
  record: PaymentRecord,
  outcome: Promise<Outcome>,
  refuse: RefusePayment,
): AdmittedPayment {
  const { ledger, settler, clock, settlementTimeoutMs } = context
  const key = keyOf(record)
  let released = false

  /** After a crash here the payment is used: the answer may have left. */
  function markReleased(): void {
    ledger.release(key, clock())
    released = true
  }

  async function release(): Promise<Release> {
    if (mayLeaveBefore(context, record)) {
      markReleased()
      keepSettling(settler, record, outcome)
      return { kind: 'released', headers: {} }
    }
    const ended = await withinTime(outcome, settlementTimeoutMs, late)
    if (ended.kind === 'confirmed') {
      markReleased()
      return { kind: 'released', headers: describeSettlement(context, record, ended.transaction) }
    }
    const code =
      ended.kind === 'unknown' ? 'payment-settlement-unknown' : 'payment-settlement-failed'
    return { kind: 'refused', refusal: refuse(code, ended.reason) }
  }

  async function complete(result: CallResult): Promise<Charge> {
    if (result !== 'used') {
      ledger.free(key, clock())
      return describeCharge(
        context,
        record,
        await withinTime(outcome, settlementTimeoutMs, late),
        0n,
      )
    }
    const waitMs = released ? nameTransactionWithinMs : settlementTimeoutMs
    const ended = await withinTime(outcome, waitMs, late)
    if (released) return describeCharge(context, record, ended, owedAtomic(ended))
    // A caller that left before the release has used the call all the same, if it was paid.
    if (ended.kind === 'confirmed' || ended.kind === 'unknown') {
      markReleased()
      keepSettling(settler, record, outcome)
      return describeCharge(context, record, ended, record.authorization.valueAtomic)
    }
    ledger.free(key, clock())
    return describeCharge(context, record, ended, 0n)
  }

  /** What left before its settlement is owed, unless it is certain by now that nothing can be taken. */
  function owedAtomic(ended: Outcome): bigint {
    return ended.kind === 'failed' ? 0n : record.authorization.valueAtomic
  }

  return {
    payer: `address:${record.authorization.from.toLowerCase()}`,
    // The seam promises that a release is never rejected; without its record nothing may leave.
    release: () =>
      release().catch((error: unknown) => {
        context.onFault(error)
        return { kind: 'refused', refusal: refuse('internal-error', 'the ledger failed') }
      }),
    complete,
    metered: null,
    fixedAtomic: record.authorization.valueAtomic,
    releases: 'durable',
  }
}

/** The answer has left, or is charged for: what could not be sent is still owed. */
function keepSettling(
  settler: ExactContext['settler'],
  record: PaymentRecord,
  outcome: Promise<Outcome>,
): void {
  void outcome.then(({ kind }) => (kind === 'not-sent' ? settler.settle(record, true) : undefined))
}

function mayLeaveBefore(
  { settle, ledger }: ExactContext,
  { authorization }: PaymentRecord,
): boolean {
  if (settle.kind === 'before') return false
  const atRiskAtomic = ledger.unsettledReleasedAtomic(authorization.from)
  return atRiskAtomic + authorization.valueAtomic <= settle.maxAtRiskAtomic
}

function describeSettlement(
  { terms }: ExactContext,
  { authorization }: PaymentRecord,
  transaction: Hex,
): Record<string, string> {
  const { from: payer } = authorization
  const header = encodePaymentResponseHeader({
    success: true,
    payer,
    transaction,
    network: terms.network,
  })
  return { 'payment-response': header }
}

function describeCharge(
  { terms }: ExactContext,
  { authorization }: PaymentRecord,
  outcome: Outcome,
  amountAtomic: bigint,
): Charge {
  const charge = {
    scheme: 'exact',
    amountAtomic,
    network: terms.network,
    asset: terms.asset,
    paymentId: hexToBytes(authorization.nonce),
  } as const
  if (outcome.kind !== 'confirmed') return charge
  return { ...charge, settlementTransaction: hexToBytes(outcome.transaction) }
}
