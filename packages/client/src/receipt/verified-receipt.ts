/** Judges the receipt of a call by what this side sent, received and paid. */
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { isCborMap } from '@countersign/protocol/bytes/cbor-encode'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { judgeBill } from '@countersign/protocol/receipt/bill'
import type { DisclosedClaims } from '@countersign/protocol/receipt/call-claims'
import type { Charge } from '@countersign/protocol/receipt/charge'
import { openClaims } from '@countersign/protocol/receipt/claims'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import type { CallPayload } from '@countersign/protocol/receipt/payload'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import type { Verdict } from '@countersign/protocol/verify/verdict'
import { verify } from '@countersign/protocol/verify/verify'
import { ReceiptError } from '../errors.ts'
import type { SignedPayment } from '../pay/signed-payment.ts'
import { namesPayee } from '../pay/attested-payee.ts'
import type { Offer } from '../pay/payment-required.ts'
import type { ObservedBody } from './observe-body.ts'

/** A receipt that was fetched and judged. It proves something only when `verdict.verdict` is `valid`. */
export type VerifiedReceipt = {
  /** Lower-case hex. */
  readonly id: string
  readonly type: 'receipt' | 'refusal'
  /** The file `*.countersign.json`: keep it, it verifies without a network. */
  readonly bundle: Uint8Array
  readonly verdict: Verdict
  readonly chargedAtomic: bigint
  /** What the channel was charged in all, when the call was paid from one. */
  readonly cumulativeAtomic: bigint | undefined
  /** Lower-case 0x hash, when the charge names a settlement. */
  readonly settlementTransaction: string | undefined
  /**
   * What of the response was compared with the receipt. `none`: it was too large, or no stream and broken off; the
   * verdict is then `incomplete` at best.
   */
  readonly responseHeld: ObservedBody['kind']
}

/** What receipts are judged by. */
export type ReceiptPolicy = {
  readonly policy: Uint8Array
  /** Absent: evidence of hardware proves nothing. */
  readonly judgeEvidence: EvidenceVerifier | undefined
}

/** What this side knows of the call. */
export type CallContext = {
  readonly id: string
  readonly method: string
  readonly url: URL
  /** Of the answer. */
  readonly status: number
  readonly request: Uint8Array
  readonly nonce: Uint8Array
  readonly body: ObservedBody
  readonly payment: SignedPayment | undefined
  readonly means: 'wallet' | 'api-key' | 'none'
}

/**
 * Judges a bundle. Bad evidence is a verdict; a receipt of something else is an error.
 *
 * @throws ReceiptError `receipt-unreadable`, `receipt-id-mismatch`, `receipt-payment-mismatch`, `receipt-call-mismatch`,
 * `receipt-bill-wrong`, `payee-not-attested`.
 */
export async function verifyReceipt(
  bundle: Uint8Array,
  context: CallContext,
  { policy, judgeEvidence }: ReceiptPolicy,
  nowMs: number,
): Promise<VerifiedReceipt> {
  const { body, request, nonce } = context
  const payload = readPayload(bundle)
  const id = toHex(payload.id)
  if (id !== context.id) throw new ReceiptError('receipt-id-mismatch', bundle, { detail: id })
  if (!isOurCharge(payload, context)) {
    throw new ReceiptError('receipt-payment-mismatch', bundle, { detail: id })
  }
  const response =
    body.kind === 'none' ? {} : { response: body.bytes, responseIsPrefix: body.kind === 'prefix' }
  const held = { request, nonce, ...response }
  const verdict = await verify(bundle, policy, nowMs, held, judgeEvidence)
  const isValid = verdict.verdict === 'valid'
  const isOurs = !isValid || judgeSigned(bundle, payload, context)
  // An answer that nobody compared is not proven, nor a charge that nobody can recompute, whatever else holds.
  const isProven = !isValid || (body.kind !== 'none' && isOurs)
  return {
    id,
    type: payload.type,
    bundle,
    verdict: isProven ? verdict : { ...verdict, verdict: 'incomplete' },
    chargedAtomic: payload.charge.amountAtomic,
    cumulativeAtomic:
      payload.charge.scheme === 'batch-settlement' ? payload.charge.cumulativeAtomic : undefined,
    settlementTransaction: settlementOf(payload.charge),
    responseHeld: body.kind,
  }
}

// All of it was signed, by a keyset that the policy accepts: what is wrong here is the doing of the gateway, or of
// somebody between. False when the caller is not shown what the call was, or what its charge is made of.
function judgeSigned(bundle: Uint8Array, payload: CallPayload, context: CallContext): boolean {
  const { payment } = context
  const { claims, keyset } = parseBundle(bundle)
  if (payment !== undefined && !paysAttested(keyset, payment.offer)) {
    throw new ReceiptError('payee-not-attested', bundle, { detail: payment.offer.payTo })
  }
  const isWhole = claims.every(({ kind }) => kind === 'claim')
  const disclosed = openClaims(claims, payload)
  const call = judgeCall(payload.type, disclosed, isWhole, context)
  if (call === 'another') {
    throw new ReceiptError('receipt-call-mismatch', bundle, { detail: context.id })
  }
  if (payload.type === 'refusal') return call === 'ours'
  const bill = judgeBill(payload.charge, disclosed, isWhole)
  if (bill.kind === 'wrong') {
    const due = bill.dueAtomic === undefined ? '' : `, due ${bill.dueAtomic}`
    throw new ReceiptError('receipt-bill-wrong', bundle, { detail: `${bill.code}${due}` })
  }
  return call === 'ours' && bill.kind !== 'open'
}

// Equal bodies go to other paths, too, and mean other things there: a model, or what is done, can stand in the path alone.
function judgeCall(
  type: CallPayload['type'],
  claims: DisclosedClaims,
  isWhole: boolean,
  { method, url, status }: CallContext,
): 'ours' | 'another' | 'withheld' {
  const request = claims.get('request')
  const response = claims.get('response')
  if (!isCborMap(request) || !isCborMap(response)) return 'withheld'
  const isSame =
    request.get('method') === method &&
    request.get('path') === url.pathname &&
    response.get('status') === status
  if (!isSame) return 'another'
  // Refusals do not state it.
  if (type === 'refusal') return 'ours'
  const query = claims.get('query')
  if (query === undefined && !isWhole) return 'withheld'
  return (query ?? '') === url.search.slice(1) ? 'ours' : 'another'
}

function paysAttested(statement: Uint8Array, offer: Offer): boolean {
  const { payload } = parseStatement(statement)
  return payload.type === 'keyset' && namesPayee(parseKeyset(payload.document), offer)
}

/** A payment that was settled and bought nothing (spec/receipt.md RC2.4). */
export function isCredit({
  verdict,
  chargedAtomic,
  settlementTransaction,
}: VerifiedReceipt): boolean {
  return verdict.verdict === 'valid' && chargedAtomic === 0n && settlementTransaction !== undefined
}

function readPayload(bundle: Uint8Array): CallPayload {
  try {
    const { payload } = parseStatement(parseBundle(bundle).statement)
    if (payload.type !== 'keyset') return payload
  } catch (cause) {
    throw new ReceiptError('receipt-unreadable', bundle, { cause })
  }
  throw new ReceiptError('receipt-unreadable', bundle)
}

// The charge must be what was signed for this very call, or nothing. A receipt of a call that was paid names its payment
// even then: without it a gateway could take the money and sign that the call was free.
function isOurCharge({ type, charge }: CallPayload, { payment, means }: CallContext): boolean {
  if (charge.scheme === 'none') return payment === undefined || type === 'refusal'
  if (charge.scheme === 'api-key') return means !== 'wallet'
  if (means !== 'wallet') return means === 'none'
  return (
    payment !== undefined &&
    charge.scheme === payment.scheme &&
    equalBytes(charge.paymentId, payment.paymentId) &&
    charge.amountAtomic <= payment.offer.amountAtomic &&
    charge.network === payment.offer.network &&
    charge.asset.toLowerCase() === payment.offer.asset
  )
}

function settlementOf(charge: Charge): string | undefined {
  if (charge.scheme !== 'exact' || charge.settlementTransaction === undefined) return undefined
  return `0x${toHex(charge.settlementTransaction)}`
}
