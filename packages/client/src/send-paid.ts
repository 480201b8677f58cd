/** Sends a request and, when a wallet is at hand, pays for it: at most one new payment for each answer 402. */
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { ClientError } from './errors.ts'
import type { Settings } from './fetch-options.ts'
import type { OutgoingRequest } from './outgoing-request.ts'
import { readBounded } from './read-bounded.ts'
import { isJsonMap } from './pay/base64-json.ts'
import type { AheadPayment, Payer } from './pay/payer.ts'
import type { SignedPayment } from './pay/signed-payment.ts'
import { receiptNonceBytes } from './pay/payment-header.ts'

/** An answer, the nonce that was sent for its receipt, and the payment that it was given for. */
export type PaidAnswer = {
  readonly response: Response
  readonly nonce: Uint8Array
  readonly payment: SignedPayment | undefined
}

const maxRefusalBytes = 262_144
const maxRepeats = 3
const maxDepositRepeats = 20
const defaultRepeatDelayMs = 1000
const maxRepeatDelayMs = 10_000
// A remembered offer may be out of date, and only then is a new payment for the same call in order.
const outdated = new Set(['payment-required', 'payment-offer-mismatch'])
const settlementUnknown = 'payment-settlement-unknown'
// The same payment again: a deposit takes as long as the chain, and is not broadcast twice (spec/payment.md PA19.1).
const depositPending = 'deposit-pending'
// The payment may yet turn out to have bought its call: it stays the one to show.
const undecided = new Set([settlementUnknown, 'payment-in-progress'])

/** One round trip with what is paid ahead, or the answer 402 and a second one. */
export async function sendPaid(
  request: OutgoingRequest,
  payer: Payer | undefined,
  settings: Settings,
): Promise<PaidAnswer> {
  if (payer === undefined) {
    const nonce = settings.random(receiptNonceBytes)
    return { response: await send(request, nonce, undefined, settings), nonce, payment: undefined }
  }
  const ahead = await payer.payAhead(request)
  const first = await sendWith(request, ahead?.payment, payer, settings)
  if (first.kind === 'answer' || !mayPayAnew(ahead, first.code)) return first
  const header = first.response.headers.get('payment-required')
  if (header === null) return first
  // The gateway holds a signature for the outdated offer too: it must not be able to take both.
  const outdatedPayment = ahead?.origin === 'remembered' ? ahead.payment : undefined
  const payment = await payer.pay(request, header, outdatedPayment)
  const second = await sendWith(request, payment, payer, settings)
  if (second.kind === 'answer' || !second.isCorrected) return second
  // What we knew of our channel was out of date, and the gateway proved it: once more, and only once.
  const fresh = second.response.headers.get('payment-required')
  if (fresh === null) return second
  return sendWith(request, await payer.pay(request, fresh, undefined), payer, settings)
}

/** A request to the gateway that is not paid, such as the list of models. */
export function sendUnpaid(request: OutgoingRequest, settings: Settings): Promise<Response> {
  return send(request, undefined, undefined, settings)
}

type Attempt = PaidAnswer &
  (
    | { readonly kind: 'answer' }
    | { readonly kind: 'refused'; readonly code: string; readonly isCorrected: boolean }
  )

// Repeats the same payment, and nothing else, when the gateway does not know whether it was settled.
async function sendWith(
  request: OutgoingRequest,
  payment: SignedPayment | undefined,
  payer: Payer,
  settings: Settings,
): Promise<Attempt> {
  try {
    return await sendRepeatedly(request, payment, payer, settings)
  } catch (error) {
    // Nobody knows whether it arrived: an equal request shows the same payment again and is not paid twice.
    if (payment !== undefined) payer.keep(request, payment)
    throw error
  }
}

async function sendRepeatedly(
  request: OutgoingRequest,
  payment: SignedPayment | undefined,
  payer: Payer,
  settings: Settings,
): Promise<Attempt> {
  // A payment keeps its nonce: should its call have been answered already, that receipt is the one to verify.
  const nonce = payment?.binding.receiptNonce ?? settings.random(receiptNonceBytes)
  for (let repeats = 0; ; repeats++) {
    const response = await send(request, nonce, payment, settings)
    if (response.status !== 402 && !(response.status === 503 && payment !== undefined)) {
      if (payment !== undefined && !response.ok) keepUnused(request, payment, payer)
      return { kind: 'answer', response, nonce, payment }
    }
    const refusal = await readRefusal(response)
    if (payment !== undefined && isUndecided(refusal.code, repeats)) {
      await settings.delay(repeatDelayMs(response))
      continue
    }
    if (response.status !== 402) {
      if (payment !== undefined) keepUnused(request, payment, payer)
      return { kind: 'answer', ...refusal, nonce, payment }
    }
    if (payment === undefined) {
      return { kind: 'refused', ...refusal, nonce, payment, isCorrected: false }
    }
    if (undecided.has(refusal.code)) keepUnused(request, payment, payer)
    const isCorrected = await payer.refuse(payment, response.headers.get('payment-required'))
    return { kind: 'refused', ...refusal, nonce, payment, isCorrected }
  }
}

function isUndecided(code: string, repeats: number): boolean {
  if (code === depositPending) return repeats < maxDepositRepeats
  return code === settlementUnknown && repeats < maxRepeats
}

/** One that is bound to its request may still buy it. What became of a ceiling, the receipt says. */
function keepUnused(request: OutgoingRequest, payment: SignedPayment, payer: Payer): void {
  if (payment.scheme !== 'batch-settlement') payer.keep(request, payment)
}

async function send(
  request: OutgoingRequest,
  nonce: Uint8Array | undefined,
  payment: SignedPayment | undefined,
  { fetch, means }: Settings,
): Promise<Response> {
  const headers = new Headers(request.headers)
  if (nonce !== undefined) headers.set('x-receipt-nonce', toBase64url(nonce))
  if (payment !== undefined) headers.set('payment-signature', payment.header)
  // Whatever the caller's client holds as key for a provider is none of the gateway's business.
  if (means.kind === 'wallet') headers.delete('authorization')
  if (means.kind === 'api-key') headers.set('authorization', `Bearer ${means.apiKey}`)
  const { method, body, signal } = request
  const response = await fetch(request.url.href, {
    ...request.init,
    method,
    headers,
    redirect: 'manual',
    ...(signal === undefined ? {} : { signal }),
    ...(method === 'GET' || method === 'HEAD' ? { body: null } : { body }),
  })
  if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
    await response.body?.cancel()
    throw new ClientError('redirect-refused', { detail: `status ${response.status}` })
  }
  return response
}

function mayPayAnew(ahead: AheadPayment | undefined, code: string): boolean {
  if (ahead === undefined) return true
  return ahead.origin === 'kept' ? !undecided.has(code) : outdated.has(code)
}

/** The error code of a 402 answer, and the same answer with its body still to be read. */
async function readRefusal(response: Response): Promise<{ response: Response; code: string }> {
  const bytes = await readBounded(response, maxRefusalBytes)
  if (bytes === undefined) throw new ClientError('payment-required-malformed', { detail: 'body' })
  const { status, statusText, headers } = response
  return { code: readCode(bytes), response: new Response(bytes, { status, statusText, headers }) }
}

function readCode(body: Uint8Array): string {
  const json = decodeJson(body)
  const error = isJsonMap(json) ? json.get('error') : undefined
  const code = isJsonMap(error) ? error.get('code') : undefined
  return typeof code === 'string' ? code : ''
}

function repeatDelayMs(response: Response): number {
  const seconds = response.headers.get('retry-after') ?? ''
  if (!/^[0-9]{1,3}$/.test(seconds)) return defaultRepeatDelayMs
  return Math.min(Number(seconds) * 1000, maxRepeatDelayMs)
}
