/** A call that the gateway answers itself. */
import { describeGatewayError, type GatewayErrorCode } from '../errors.ts'
import type { Refusal } from '../payment/admission.ts'

/** Thrown by any step before bytes of an upstream were returned; becomes a signed refusal. */
export class CallRefused extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal, options?: { cause?: unknown }) {
    super(refusal.code, options)
    this.name = 'CallRefused'
    this.refusal = refusal
  }
}

/** A refusal without headers of its own. */
export function refuse(code: GatewayErrorCode, detail = '', cause?: unknown): CallRefused {
  return new CallRefused({ code, detail, headers: {} }, cause === undefined ? {} : { cause })
}

/** The body of such an answer: the OpenAI error object with the members of RFC 9457 beside it. */
export function createErrorBody(code: GatewayErrorCode, detail: string): Buffer {
  const { status, type, title, hint } = describeGatewayError(code)
  const message = detail === '' ? `${title} ${hint}` : `${title} ${detail} ${hint}`
  const problem = {
    error: { message, type, param: null, code },
    type: `urn:countersign:error:${code}`,
    title,
    status,
    detail: detail === '' ? title : detail,
    code,
    hint,
  }
  return Buffer.from(JSON.stringify(problem))
}
