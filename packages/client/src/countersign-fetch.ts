/** `fetch` for clients of the OpenAI wire: pays within limits, hands the answer on as it streams, verifies its receipt. */
import { ClientError, ReceiptError } from './errors.ts'
import { resolveOptions, type CountersignFetchOptions, type Settings } from './fetch-options.ts'
import { isNotarised, readRequest, type OutgoingRequest } from './outgoing-request.ts'
import { createPayer, type Payer, type VerifiedCharge } from './pay/payer.ts'
import type { SignedPayment } from './pay/signed-payment.ts'
import { fetchBundle, locateReceipt } from './receipt/fetch-bundle.ts'
import { observeBody, type ObservedBody } from './receipt/observe-body.ts'
import { isCredit, verifyReceipt, type VerifiedReceipt } from './receipt/verified-receipt.ts'
import { sendPaid, sendUnpaid, type PaidAnswer } from './send-paid.ts'

/** A function with the signature of `fetch`, and what it knows. */
export type CountersignFetch = {
  (input: string | URL | Request, init?: RequestInit): Promise<Response>
  /**
   * The receipt of an answer that this function gave. Settles after the body was read, has failed or was cancelled.
   *
   * @throws ClientError `receipt-…`; `receipt-missing` at once for a response of anybody else.
   */
  receiptOf(response: Response): Promise<VerifiedReceipt>
  /** What was signed so far, in atomic units; never more than `budgetAtomic`. */
  signedAtomic(): bigint
}

/**
 * Makes the function.
 *
 * Every error of this package is a `ClientError`; the `openai` client wraps it as the `cause` of a connection error.
 *
 * @example
 * const fetch = countersignFetch({ baseUrl, account, maxAmountAtomic: 20_000n, budgetAtomic: 1_000_000n })
 * const openai = new OpenAI({ baseURL: baseUrl, apiKey: 'unused', fetch })
 * const { data, response } = await openai.chat.completions.create(body).withResponse()
 * const { verdict } = await fetch.receiptOf(response)
 *
 * @throws ClientError `options-invalid`.
 */
export function countersignFetch(options: CountersignFetchOptions): CountersignFetch {
  const settings = resolveOptions(options)
  const { means } = settings
  const payer = means.kind === 'wallet' ? createPayer(means, settings) : undefined
  // Owned here: an entry lives as long as its response.
  const receipts = new WeakMap<Response, Promise<VerifiedReceipt>>()

  async function call(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const request = await readRequest(input, init)
    if (!settings.origins.has(request.url.origin)) {
      throw new ClientError('host-not-allowed', { detail: request.url.origin })
    }
    if (!isNotarised(request)) return sendUnpaid(request, settings)
    const answer = await sendPaid(request, payer, settings)
    const { response, ended } = observeBody(answer.response, settings.maxHeldBytes, request.signal)
    const receipt = collectReceipt(request, answer, ended, settings, payer)
    receipts.set(response, receipt)
    receipt.then(settings.onReceipt).catch(settings.onReceiptError)
    return response
  }

  return Object.assign(call, {
    receiptOf: (response: Response) =>
      receipts.get(response) ?? Promise.reject(new ClientError('receipt-missing')),
    signedAtomic: () => payer?.signedAtomic() ?? 0n,
  })
}

async function collectReceipt(
  request: OutgoingRequest,
  answer: PaidAnswer,
  ended: Promise<ObservedBody>,
  settings: Settings,
  payer: Payer | undefined,
): Promise<VerifiedReceipt> {
  const { payment } = answer
  try {
    const receipt = await judgeReceipt(request, answer, ended, settings)
    if (payer === undefined || payment === undefined) return receipt
    await endPayment(payer, payment, receipt)
    // A failed answer keeps its payment at once (send-paid.ts); a stream that broke off is known only now.
    if (answer.response.ok && isCredit(receipt)) payer.keep(request, payment)
    return receipt
  } catch (error) {
    // Ended already when it is the receipt that was too much.
    if (payment !== undefined) await payer?.end(payment, undefined)
    throw error
  }
}

async function endPayment(
  payer: Payer,
  payment: SignedPayment,
  receipt: VerifiedReceipt,
): Promise<void> {
  try {
    await payer.end(payment, receipt.verdict.verdict === 'valid' ? chargeOf(receipt) : undefined)
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    throw new ReceiptError(error.code, receipt.bundle, { cause: error })
  }
}

function chargeOf({
  chargedAtomic: amountAtomic,
  cumulativeAtomic,
}: VerifiedReceipt): VerifiedCharge {
  return cumulativeAtomic === undefined ? { amountAtomic } : { amountAtomic, cumulativeAtomic }
}

async function judgeReceipt(
  request: OutgoingRequest,
  { response, nonce, payment }: PaidAnswer,
  ended: Promise<ObservedBody>,
  settings: Settings,
): Promise<VerifiedReceipt> {
  const location = locateReceipt(request.url.origin, response.headers)
  const body = await ended
  if (location === undefined) throw new ClientError('receipt-missing')
  const bundle = await fetchBundle(location, settings)
  const { policy, judgeEvidence, now, means } = settings
  const context = {
    id: location.id,
    method: request.method,
    url: request.url,
    status: response.status,
    request: request.body,
    nonce,
    body,
    payment,
    means: means.kind,
  }
  return verifyReceipt(bundle, context, { policy, judgeEvidence }, now())
}
