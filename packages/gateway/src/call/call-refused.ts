/** A call that the gateway answers itself. */
import { describeGatewayError, type GatewayErrorCode } from '../errors.ts'
import type { Dialect } from '../http/wire-routes.ts'
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

/** The body of such an answer: the error object of the caller's wire with the members of RFC 9457 beside it. */
export function createErrorBody(
  code: GatewayErrorCode,
  detail: string,
  dialect: Dialect = 'openai',
): Buffer {
  const { status, type, title, hint } = describeGatewayError(code)
  const message = detail === '' ? `${title} ${hint}` : `${title} ${detail} ${hint}`
  const problem = { title, status, detail: detail === '' ? title : detail, code, hint }
  const urn = `urn:countersign:error:${code}`
  switch (dialect) {
    case 'openai':
      return toBytes({ error: { message, type, param: null, code }, type: urn, ...problem })
    case 'anthropic':
      // Its clients know an error by this type.
      return toBytes({
        type: 'error',
        error: { type: anthropicType(status), message },
        request_id: null,
        ...problem,
      })
    case 'google':
      return toBytes({
        error: {
          code: status,
          message,
          status: googleStatus(status),
          details: [
            {
              '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
              reason: code.toUpperCase().replaceAll('-', '_'),
              domain: 'countersign',
            },
          ],
        },
        type: urn,
        ...problem,
      })
  }
}

const anthropicTypes: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [402, 'billing_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [503, 'overloaded_error'],
  [504, 'timeout_error'],
])

function anthropicType(status: number): string {
  return anthropicTypes.get(status) ?? (status < 500 ? 'invalid_request_error' : 'api_error')
}

const googleStatuses: ReadonlyMap<number, string> = new Map([
  [401, 'UNAUTHENTICATED'],
  [402, 'FAILED_PRECONDITION'],
  [404, 'NOT_FOUND'],
  [409, 'ABORTED'],
  [429, 'RESOURCE_EXHAUSTED'],
  [499, 'CANCELLED'],
  [500, 'INTERNAL'],
  [502, 'UNAVAILABLE'],
  [503, 'UNAVAILABLE'],
  [504, 'DEADLINE_EXCEEDED'],
])

function googleStatus(status: number): string {
  return googleStatuses.get(status) ?? 'INVALID_ARGUMENT'
}

function toBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
