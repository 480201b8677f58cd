/** What goes upstream: the very bytes of the caller, or those with what spec/receipt.md RC4.5 and RC4.11 name. */
import { nativeSha256 } from '../keys/native-sha256.ts'
import type { AnswerSigning } from '../profiles/open-gradient-answer.ts'
import type { Route } from '../upstream/upstreams.ts'
import type { Bill } from './bill.ts'
import { refuse } from './call-refused.ts'
import type { CallRequest } from './call-request.ts'
import type { ChosenRoute } from './choose-route.ts'
import type { Call } from './open-call.ts'
import { once } from './once.ts'
import type { AnswerTranslation } from './answer-translation.ts'
import { applySplices, type Splice } from './splice.ts'
import { createUsageOption } from './usage-option.ts'

/** A request as the upstream gets it. */
export type ForwardedRequest = {
  readonly body: Buffer
  readonly bodyDigest: () => Uint8Array
  /** From the base URL on, query included. */
  readonly path: string
  /** `identity`; what was done to the bytes, names in ascending order, joined by `+`; or the name of an adapter. */
  readonly transform: string
  /** The upstream is asked for usage that the caller did not ask for. */
  readonly addsUsage: boolean
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

const chatWires = new Set(['openai-chat', 'openai-completions'])
const rewriteHeader = 'x-countersign-rewrite'

/**
 * Makes the request for the upstream of a route.
 *
 * @throws CallRefused `request-malformed` where the caller forbids a rewrite without which there is no call.
 */
export function forwardRequest(
  call: Call,
  request: CallRequest,
  { model, upstreamModel, addUsage }: Route,
  // An answer that is changed in another way is left as the caller asked for it.
  isSigned: boolean,
): ForwardedRequest {
  const { route, body, bodyDigest } = request
  const isRewritable = mayRewrite(call)
  const isRenamed = upstreamModel !== model
  const path = targetOf(call, request, isRenamed ? upstreamModel : undefined)
  const name = isRenamed ? createModelName(request, upstreamModel) : undefined
  if (name !== undefined && !isRewritable) {
    throw refuse('request-malformed', 'This model has another name upstream: it takes a rewrite.')
  }
  const usage =
    addUsage && isRewritable && !isSigned && chatWires.has(route.wire)
      ? createUsageOption(body, request.members)
      : undefined
  const addsUsage = usage !== undefined
  const splices = [usage, name].filter((splice) => splice !== undefined)
  if (splices.length === 0) return { body, bodyDigest, path, transform: 'identity', addsUsage }
  const changed = applySplices(body, splices)
  const names = [...(addsUsage ? ['include-usage'] : []), ...(isRenamed ? ['model-name'] : [])]
  return {
    body: changed,
    bodyDigest: once(() => nativeSha256(changed)),
    path,
    transform: names.join('+'),
    addsUsage,
  }
}

/**
 * Whether the caller bears a rewrite: `x-countersign-rewrite: none` says no.
 *
 * @throws CallRefused `request-malformed` for any other value.
 */
export function mayRewrite({ request }: Call): boolean {
  const value = request.headers[rewriteHeader]
  if (value === undefined) return true
  if (value === 'none') return false
  throw refuse('request-malformed', `The header ${rewriteHeader} takes one value: none.`)
}

/** The path for the upstream, where a path that names the model has its other name. */
function targetOf(
  { request: { url = '' }, path }: Call,
  { route, modelSpan }: CallRequest,
  otherName: string | undefined,
): string {
  if (otherName === undefined || modelSpan !== undefined) return url.slice(route.prefix.length)
  return `/models/${otherName}${url.slice(path.lastIndexOf(':'))}`
}

function createModelName(
  { modelSpan, parts }: CallRequest,
  upstreamModel: string,
): Splice | undefined {
  if (modelSpan === undefined) return undefined
  const isForm = parts.length > 0
  return { span: modelSpan, text: isForm ? upstreamModel : JSON.stringify(upstreamModel) }
}
