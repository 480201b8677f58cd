/** A chat call, and what was signed for it. */

/** A chat call that streams. */
export function chatRequest(prompt: string, model = 'loopback-echo'): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 200,
      messages: [{ role: 'user', content: prompt }],
    }),
  }
}

/** The members of a payment that tests look at. */
export type SentPayment = {
  readonly accepted: { readonly scheme: string }
  readonly payload: {
    readonly type?: string
    readonly voucher?: { readonly maxClaimableAmount: string; readonly channelId: string }
    readonly deposit?: { readonly amount: string }
  }
}

/** The payment in a request. */
export function paymentIn(init: RequestInit): SentPayment | undefined {
  const header = new Headers(init.headers).get('payment-signature')
  // What the code under test sent; a wrong shape fails the test that reads it.
  return header === null ? undefined : JSON.parse(Buffer.from(header, 'base64').toString())
}

/** The ceiling of the voucher in a request. */
export function ceilingOf(init: RequestInit): bigint | undefined {
  const voucher = paymentIn(init)?.payload.voucher
  return voucher === undefined ? undefined : BigInt(voucher.maxClaimableAmount)
}
