/** The x402 v2 headers, read and written without judging: an attacker sends what no library would. */
import type { RawResult } from '../provider/raw-client.ts'

/** A paid route and a body that it answers. */
export type PaidRequest = {
  readonly path: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** One offer of a 402. */
export type Offer = {
  readonly scheme: string
  readonly network: string
  readonly amount: string
  readonly asset: string
  readonly payTo: string
  readonly maxTimeoutSeconds: number
  readonly extra: Readonly<Record<string, unknown>>
}

/** The object in PAYMENT-REQUIRED. */
export type Quote = {
  readonly x402Version: 2
  readonly error?: string
  readonly resource: { readonly url: string }
  readonly accepts: readonly Offer[]
  readonly extensions?: Readonly<Record<string, unknown>>
}

/** The object in PAYMENT-SIGNATURE. */
export type Payment = {
  readonly x402Version: 2
  readonly resource?: { readonly url: string }
  readonly accepted: Offer
  readonly payload: Readonly<Record<string, unknown>>
  readonly extensions?: Readonly<Record<string, unknown>>
}

/** The object in PAYMENT-RESPONSE. */
export type Settled = {
  readonly success: boolean
  readonly transaction: string
  readonly amount?: string
  readonly extra?: Readonly<Record<string, unknown>>
}

/** A payment as its header carries it. */
export function encodePayment(payment: unknown): string {
  return Buffer.from(JSON.stringify(payment)).toString('base64')
}

/** The quote in an answer. */
export function quoteIn(answer: RawResult): Quote | undefined {
  const quote: Quote | null = JSON.parse(decode(answer.headers['payment-required']))
  return quote ?? undefined
}

/** What an answer says was charged; a trailer comes after the header and has the last word. */
export function settledIn(answer: RawResult): Settled | undefined {
  const header = answer.trailers['payment-response'] ?? answer.headers['payment-response']
  const settled: Settled | null = JSON.parse(decode(header))
  return settled ?? undefined
}

/** The amount that an answer says was charged. */
export function chargedIn(answer: RawResult): bigint | undefined {
  const settled = settledIn(answer)
  const text = settled?.extra?.['chargedAmount'] ?? settled?.amount
  return typeof text === 'string' && /^\d+$/.test(text) ? BigInt(text) : undefined
}

/** A member of a value that may be no object. */
export function memberOf(value: unknown, name: string): unknown {
  const found: unknown = Object(value)[name]
  return found
}

/** The payment with another value in its accepted offer. */
export function withAccepted(payment: Payment, changes: Record<string, unknown>): unknown {
  return { ...payment, accepted: { ...payment.accepted, ...changes } }
}

/** The signature that buys the call, wherever the scheme keeps it. */
export function signatureOf(payment: Payment): string {
  const { payload } = payment
  return String(payload['signature'] ?? memberOf(payload['voucher'], 'signature'))
}

/** The payment with another signature. */
export function withSignature(payment: Payment, signature: string): unknown {
  const { payload } = payment
  return payload['signature'] === undefined
    ? {
        ...payment,
        payload: { ...payload, voucher: { ...Object(payload['voucher']), signature } },
      }
    : { ...payment, payload: { ...payload, signature } }
}

/** The JSON text of a header; what is no JSON is as absent. */
function decode(header: unknown): string {
  if (typeof header !== 'string') return 'null'
  const text = Buffer.from(header, 'base64').toString()
  try {
    JSON.parse(text)
    return text
  } catch {
    return 'null'
  }
}
