/** Tells metrics and traces of a call that is over. */
import type { Charge } from '@countersign/protocol/receipt/charge'
import { judgeServedModel, type ServedAs } from '@countersign/protocol/receipt/served-model'
import { describeGatewayError, type GatewayErrorCode } from '../errors.ts'
import { findWireRoute } from '../http/wire-routes.ts'
import {
  chooseSpanIds,
  createCallSpans,
  createRefusalSpan,
  type SpanIds,
} from '../telemetry/call-spans.ts'
import type { Gateway } from './gateway.ts'
import type { EndedCall } from './issue-receipt.ts'
import type { Call } from './open-call.ts'

const spanRandomBytes = 32

/** A call was sent upstream, and is charged and stated. */
export function observeEndedCall(
  gateway: Gateway,
  call: Call,
  ended: EndedCall,
  charge: Charge,
): void {
  const { request, chosen, exchange, settled } = ended
  const { firstByteMs, sentMs, observation } = exchange
  const { route } = chosen
  const endMs = gateway.nowMs()
  gateway.metrics.observeCall({
    wire: request.route.wire,
    model: route.label,
    upstream: route.upstream.name,
    state: exchange.state,
    durationMs: endMs - call.receivedMs,
    firstByteMs: firstByteMs === null ? undefined : firstByteMs - sentMs,
    counts: observation.usage.counts,
    served: compareServed(ended),
    meteringSource: settled.source,
    chargedAtomic: charge.amountAtomic,
  })
  const ids = findSpanIds(gateway, call)
  if (ids === undefined) return
  for (const span of createCallSpans(ids, call, ended, charge, endMs)) {
    gateway.telemetry?.exporter.put(span)
  }
}

/** A call was refused, or ended without a statement. */
export function observeRefusedCall(gateway: Gateway, call: Call, code: GatewayErrorCode): void {
  gateway.metrics.observeRefusal(code)
  const ids = findSpanIds(gateway, call)
  if (ids === undefined) return
  const route = findWireRoute(call.request.method ?? '', call.path)?.route
  const refusal = { code, status: describeGatewayError(code).status }
  gateway.telemetry?.exporter.put(createRefusalSpan(ids, call, route, refusal, gateway.nowMs()))
}

function findSpanIds({ telemetry, random }: Gateway, call: Call): SpanIds | undefined {
  if (telemetry === undefined) return undefined
  return chooseSpanIds(call, random(spanRandomBytes), telemetry.samplePercent)
}

function compareServed({ chosen, exchange }: EndedCall): ServedAs | 'unsaid' {
  const served = exchange.observation.model
  if (served === null) return 'unsaid'
  const { model: requested, upstreamModel: sent } = chosen.route
  return judgeServedModel({ requested, sent, served })
}
