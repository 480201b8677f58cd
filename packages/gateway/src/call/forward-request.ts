/** What goes upstream: the very bytes of the caller, or with the name of the model put in place of its public one. */
import { nativeSha256 } from '../keys/native-sha256.ts'
import type { AnswerSigning } from '../profiles/open-gradient-answer.ts'
import type { Route } from '../upstream/upstreams.ts'
import type { Bill } from './bill.ts'
import type { CallRequest } from './call-request.ts'
import type { ChosenRoute } from './choose-route.ts'
import type { Call } from './open-call.ts'
import { once } from './once.ts'
import type { AnswerTranslation } from './answer-translation.ts'

/** A request as the upstream gets it. */
export type ForwardedRequest = {
  readonly body: Buffer
  readonly bodyDigest: () => Uint8Array
  /** From the base URL on, query included. */
  readonly path: string
  /** `identity`; `model-name`: the bytes of the name alone were replaced; or the name of an adapter. */
  readonly transform: string
  /** In place of the caller's headers, and what its answer goes through. */
  readonly translation?: AnswerTranslation
}

/** A call on its way to an upstream. */
export type SentCall = {
  readonly request: CallRequest
  readonly forwarded: ForwardedRequest
  readonly chosen: ChosenRoute
  readonly bill: Bill
  /** What its answer is signed with besides, for clients of OpenGradient. */
  readonly signing?: AnswerSigning | undefined
}

/** Makes the request for the upstream of a route. */
export function forwardRequest(
  { request: { url = '' }, path }: Call,
  request: CallRequest,
  { model, upstreamModel }: Route,
): ForwardedRequest {
  const { route, body, bodyDigest, modelSpan } = request
  const target = url.slice(route.prefix.length)
  if (upstreamModel === model) return { body, bodyDigest, path: target, transform: 'identity' }
  if (modelSpan === undefined) {
    const method = url.slice(path.lastIndexOf(':'))
    return { body, bodyDigest, path: `/models/${upstreamModel}${method}`, transform: 'identity' }
  }
  const isForm = request.parts.length > 0
  const name = Buffer.from(isForm ? upstreamModel : JSON.stringify(upstreamModel))
  const { start, end } = modelSpan
  const replaced = Buffer.concat([body.subarray(0, start), name, body.subarray(end)])
  return {
    body: replaced,
    bodyDigest: once(() => nativeSha256(replaced)),
    path: target,
    transform: 'model-name',
  }
}
