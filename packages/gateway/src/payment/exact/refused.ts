/** A payment that is refused, from wherever the reason is found. */
import type { GatewayErrorCode } from '../../errors.ts'

/** Thrown by the steps of admission; becomes a refusal with a fresh quote. The detail goes to the caller. */
export class PaymentRefused extends Error {
  readonly code: GatewayErrorCode
  readonly detail: string
  /** Beside those of the quote. */
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: GatewayErrorCode,
    detail = '',
    options?: { readonly cause?: unknown; readonly headers?: Readonly<Record<string, string>> },
  ) {
    super(`${code}: ${detail}`, options)
    this.name = 'PaymentRefused'
    this.code = code
    this.detail = detail
    this.headers = options?.headers ?? {}
  }
}
