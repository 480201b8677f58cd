/** A request as it will be sent: its exact bytes, fixed before anything is signed for it. */
import { hashRequest } from '@countersign/protocol/payment/request-nonce'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { ClientError } from './errors.ts'

/** One request of the caller. */
export type OutgoingRequest = {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
  readonly signal: AbortSignal | undefined
  /** What the caller gave `fetch`, for members that only its run time knows. */
  readonly init: RequestInit
}

/** The request that this package pays for and whose receipt it fetches: one that has an effect. */
export function isNotarised({ method }: OutgoingRequest): boolean {
  return method === 'POST'
}

/**
 * Reads what a caller gave `fetch`, the body to its last byte.
 *
 * @throws ClientError `body-unsupported`, `options-invalid`.
 */
export async function readRequest(
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<OutgoingRequest> {
  const request = createRequest(input, init)
  return {
    url: new URL(request.url),
    method: request.method,
    headers: new Headers(request.headers),
    body: await readBody(request),
    signal: init.signal ?? (input instanceof Request ? input.signal : undefined),
    init,
  }
}

/** The hash that a payment for this request is bound to; the query is no part of it (spec/payment.md PA4.2). */
export function hashOutgoing({ method, url, body }: OutgoingRequest): Uint8Array {
  return hashRequest(method, url.pathname, sha256(body))
}

/** The `model` of a JSON body, or empty: offers are remembered for each model. */
export function modelOf({ body }: OutgoingRequest): string {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body))
    const model =
      typeof value === 'object' && value !== null && 'model' in value ? value.model : undefined
    return typeof model === 'string' ? model : ''
  } catch {
    // A body that is no JSON has no model; the gateway will say what is wrong with it.
    return ''
  }
}

function createRequest(input: string | URL | Request, init: RequestInit): Request {
  const streaming = init.body instanceof ReadableStream ? { duplex: 'half' as const } : {}
  try {
    return new Request(input, { ...init, ...streaming })
  } catch (cause) {
    throw new ClientError('options-invalid', { detail: 'not a request', cause })
  }
}

async function readBody(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await request.arrayBuffer())
  } catch (cause) {
    throw new ClientError('body-unsupported', { cause })
  }
}
