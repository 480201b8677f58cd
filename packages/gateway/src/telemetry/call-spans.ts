/**
 * The spans of a call: one for what the caller asked of the gateway, and below it one for what the gateway asked of the
 * upstream. They hold names, figures and times. No prompt, no answer, no credential and no text of a tool is in them.
 */
import type { Charge } from '@countersign/protocol/receipt/charge'
import type { Call } from '../call/open-call.ts'
import type { EndedCall } from '../call/issue-receipt.ts'
import type { WireRoute } from '../http/wire-routes.ts'
import { totalInput, totalOutput } from '../metering/usage.ts'
import { attributeNames as names, operationNames, providerNames } from './names.ts'
import type { AttributeValue, Span } from './span.ts'
import { parseTraceparent, type TraceContext } from './trace-context.ts'

/** The ids that the spans of a call have: 32 random bytes. */
export type SpanIds = TraceContext & {
  readonly serverSpanId: string
  readonly clientSpanId: string
}

/**
 * The ids of a call: in the trace of its caller where there is one. `undefined` for a call that is not sampled: its
 * caller does not want it, or it is not among the percentage that is kept.
 */
export function chooseSpanIds(
  { request }: Call,
  random: Uint8Array,
  samplePercent: number,
): SpanIds | undefined {
  const hex = Buffer.from(random).toString('hex')
  const caller = parseTraceparent(request.headers['traceparent'])
  if (caller?.isSampled === false) return undefined
  const { traceId, parentSpanId } = caller ?? { traceId: hex.slice(0, 32), parentSpanId: undefined }
  // By the trace, so that all of its parts are kept or none.
  if (Number.parseInt(traceId.slice(-8), 16) % 100 >= samplePercent) return undefined
  return {
    traceId,
    parentSpanId,
    serverSpanId: hex.slice(32, 48),
    clientSpanId: hex.slice(48, 64),
  }
}

/** The spans of a call that was sent upstream. */
export function createCallSpans(
  ids: SpanIds,
  call: Call,
  ended: EndedCall,
  charge: Charge,
  endMs: number,
): readonly Span[] {
  const { exchange, request } = ended
  const { answer } = exchange
  const status = answer.kind === 'gone' ? undefined : answer.status
  const server = createServerSpan(ids, call, request.route, endMs, status)
  const attributes = new Map(server.attributes)
    .set(names.state, exchange.state)
    .set(names.chargeScheme, charge.scheme)
    .set(names.chargeAmount, charge.amountAtomic.toString())
  return [{ ...server, attributes }, createClientSpan(ids, ended)]
}

/** The span of a call that the gateway refused. */
export function createRefusalSpan(
  ids: SpanIds,
  call: Call,
  route: WireRoute | undefined,
  refusal: { readonly code: string; readonly status: number },
  endMs: number,
): Span {
  const span = createServerSpan(ids, call, route, endMs, refusal.status)
  return { ...span, attributes: new Map(span.attributes).set(names.errorType, refusal.code) }
}

function createServerSpan(
  { traceId, parentSpanId, serverSpanId }: SpanIds,
  call: Call,
  route: WireRoute | undefined,
  endMs: number,
  status: number | undefined,
): Span {
  const method = call.request.method ?? ''
  const template = route === undefined ? undefined : templateOf(route, call.path)
  const attributes = new Map<string, AttributeValue>([
    [names.method, method],
    [names.receiptId, call.idHex],
  ])
  if (template !== undefined) attributes.set(names.route, template)
  if (status !== undefined) attributes.set(names.status, status)
  return {
    traceId,
    spanId: serverSpanId,
    parentSpanId,
    name: template === undefined ? method : `${method} ${template}`,
    kind: 'server',
    startMs: call.receivedMs,
    endMs,
    attributes,
    isError: status !== undefined && status >= 500,
  }
}

function createClientSpan(ids: SpanIds, { exchange, request, chosen, settled }: EndedCall): Span {
  const { upstream, upstreamModel } = chosen.route
  const { observation, state, error, firstByteMs, sentMs, endedMs } = exchange
  const operation = operationNames[request.route.wire]
  const attributes = new Map<string, AttributeValue>([
    [names.operation, operation],
    [names.provider, providerNames[upstream.kind]],
    [names.requestModel, upstreamModel],
    [names.server, upstream.host],
  ])
  const { model, finish, usage } = observation
  if (model !== null) attributes.set(names.responseModel, model)
  if (finish !== null) attributes.set(names.finishReasons, [finish])
  if (usage.kind !== 'none') attributes.set(names.inputTokens, totalInput(usage.counts))
  if (usage.kind === 'exact') attributes.set(names.outputTokens, totalOutput(usage.counts))
  if (settled.source !== undefined) attributes.set(names.meteringSource, settled.source)
  if (firstByteMs !== null) attributes.set(names.firstByteMs, firstByteMs - sentMs)
  if (error !== null) attributes.set(names.errorType, error)
  return {
    traceId: ids.traceId,
    spanId: ids.clientSpanId,
    parentSpanId: ids.serverSpanId,
    name: `${operation} ${upstreamModel}`,
    kind: 'client',
    startMs: sentMs,
    endMs: endedMs,
    attributes,
    isError: state === 'upstream-error' || state === 'timeout',
  }
}

/** The path without what stands in it: ids of stored responses, names of models. */
function templateOf({ model, prefix }: WireRoute, path: string): string {
  if (model === 'path') return `${prefix}/models/{model}${path.slice(path.lastIndexOf(':'))}`
  if (model === 'member') return path
  const action = path.slice(`${prefix}/responses/`.length).indexOf('/')
  const rest = action < 0 ? '' : path.slice(path.lastIndexOf('/'))
  return `${prefix}/responses/{id}${rest}`
}
