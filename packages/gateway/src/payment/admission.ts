/** The seam between a call and how it is paid. Schemes implement it; create-gateway.ts names them. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Charge } from '@countersign/protocol/receipt/charge'
import type { GatewayErrorCode } from '../errors.ts'
import type { PayerLimits } from '../limits/payer-limits.ts'

/** The call that somebody wants to have admitted. */
export type AdmissionRequest = {
  /** 16 bytes, made before anything else. */
  readonly receiptId: Uint8Array
  readonly method: string
  readonly path: string
  /** SHA-256 of the body as received. */
  readonly bodyDigest: () => Uint8Array
  readonly headers: IncomingHttpHeaders
  readonly model: string
  /** The most that the call can cost. */
  readonly priceAtomic: bigint
  /** The charge may be less than that: what a fixed authorization cannot pay for. */
  readonly isPricedByUse: boolean
  /** The caller asked for a stream, whose first byte leaves before its charge is known. */
  readonly isStream?: boolean
  /** The network that the call comes from (http/caller-address.ts); callers without one count as one. */
  readonly caller?: () => string
  /** Asked once, when the payer is known and before anything is recorded; the caller of `admit` gives the place back. */
  readonly limits?: Pick<PayerLimits, 'enter'>
}

/** An answer of our own instead of the upstream's. `headers` may carry a fresh quote. */
export type Refusal = {
  readonly code: GatewayErrorCode
  readonly detail: string
  readonly headers: Readonly<Record<string, string>>
}

/** What admission decides. `replay`: this very call was answered before, under that receipt id (32 hex digits). */
export type Admission =
  | { readonly kind: 'admitted'; readonly payment: AdmittedPayment }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'replay'; readonly receiptId: string; readonly whenGone: Refusal }

/** Whether bytes may leave. `headers` go with the answer. */
export type Release =
  | { readonly kind: 'released'; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** A reservation that is durable. Its owner calls `release` at most once and `complete` exactly once. */
export type AdmittedPayment = {
  /** Who pays, as the scheme names it; `null` when it cannot know. The same payer always has the same name. */
  readonly payer: string | null
  /** Resolves when the answer may leave, with that fact durable; never rejects. Settlement has begun before. */
  release(form?: 'whole' | 'stream'): Promise<Release>
  /**
   * Ends the reservation and gives the charge to sign. `used`: the call was answered (or the caller left).
   * `unused`: the upstream failed; nothing is charged, and what was already taken stays as a credit. `cut`: as
   * `unused`, but a part of the answer has left: a metered payment is used up. `usedAtomic` is less than the price where
   * a call costs what it used: `exact` cannot charge that.
   */
  complete(result: CallResult, usedAtomic?: bigint): Promise<Charge>
  /** What a metered scheme needs besides; `null` for all others. */
  readonly metered: MeteredEnd | null
  /** What the call costs whatever it used, where the payment was authorised at a fixed price; that may be of earlier. */
  readonly fixedAtomic?: bigint
  /**
   * What a release means. `free`: it is given at once and leaves no trace. `durable`: a call that was released and never
   * ended is used (PA12.2). `free-whole`: as `free` for a whole answer, which leaves after its charge, not for a stream.
   * Absent: whatever else the scheme does there.
   */
  readonly releases?: 'free' | 'free-whole' | 'durable'
}

/** How a call ended for its payment. */
export type CallResult = 'used' | 'unused' | 'cut'

/** The end of a metered payment (spec/payment.md PA22). */
export type MeteredEnd = {
  /** `PAYMENT-RESPONSE`, once `complete` has resolved: a header of a whole answer, a trailer of a stream. */
  headers(): Readonly<Record<string, string>>
  /** What the answer so far is worth, as far as it is proven: a crash charges that. Never less than before. */
  progress(provenAtomic: bigint): void
  /** The receipt is on the disk: a start need not issue it again. */
  receiptStored(): void
}

/** A way to pay. */
export type PaymentScheme = {
  admit(request: AdmissionRequest): Promise<Admission>
  /** The payer that these headers alone prove; `null` when they prove none. */
  identify(headers: IncomingHttpHeaders): string | null | Promise<string | null>
  /** Ends background work; unsettled work is left as recovery finds it. */
  close(): Promise<void>
}
