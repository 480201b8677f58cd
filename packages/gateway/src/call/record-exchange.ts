/** What is recorded of an exchange that is over. */
import { describeGatewayError, type GatewayErrorCode } from '../errors.ts'
import { describeUpstreamClaim, type UpstreamFailure } from '../upstream/call-upstream.ts'
import { createErrorBody } from './call-refused.ts'
import { errorHeaders } from './deliver.ts'
import { abortedByClient, failedState, type Ending } from './ending.ts'
import {
  emptyBody,
  noObservation,
  recordBody,
  type BodyRecord,
  type DrainRecord,
  type ExchangeRecord,
} from './exchange.ts'
import type { Head, Running } from './running-exchange.ts'

const failureCodes: Record<UpstreamFailure, GatewayErrorCode> = {
  unreachable: 'upstream-unreachable',
  reset: 'upstream-failed',
  timeout: 'upstream-timeout',
  'answer-malformed': 'upstream-failed',
}

/** The record of an exchange of which nothing was returned to the caller. */
export function recordUnanswered(running: Running, ending: Ending, head?: Head): ExchangeRecord {
  const body = head === undefined ? emptyBody : recordBody(running.attempt.collected.bytes())
  const common = {
    ...commonRecord(running, head, body),
    drain: recordDrain(running, ending, false),
    observation: noObservation,
    observedBody: Buffer.alloc(0),
  }
  switch (ending.kind) {
    case 'caller-gone':
      return { ...common, ...abortedByClient, answer: { kind: 'gone' } }
    case 'out-of-time':
      return {
        ...common,
        state: 'timeout',
        error: ending.error,
        answer: gatewayError(running, 'upstream-timeout'),
      }
    case 'upstream-failed':
      return {
        ...common,
        ...failedState(ending.failure),
        answer: gatewayError(running, failureCodes[ending.failure]),
      }
    case 'upstream-ended':
      return {
        ...common,
        ...failedState('answer-malformed'),
        answer: gatewayError(running, 'upstream-failed'),
      }
  }
}

/** What every record has. */
export function commonRecord(
  running: Running,
  head: Head | undefined,
  upstreamBody: BodyRecord,
): Pick<
  ExchangeRecord,
  | 'upstreamStatus'
  | 'upstreamBody'
  | 'requestId'
  | 'stream'
  | 'sentMs'
  | 'firstByteMs'
  | 'endedMs'
  | 'upstreamClaim'
  | 'failed'
  | 'isOutgrown'
  | 'returned'
> {
  const id = head?.headers['x-request-id'] ?? head?.headers['request-id']
  const requestId = typeof id === 'string' ? id.slice(0, 256) : null
  return {
    upstreamStatus: head?.status ?? null,
    upstreamBody,
    requestId,
    stream: undefined,
    sentMs: running.attempt.sentMs,
    firstByteMs: running.attempt.firstByteMs,
    endedMs: running.gateway.nowMs(),
    upstreamClaim: describeUpstreamClaim(
      running.sent.chosen.route.upstream,
      requestId,
      running.attempt.exchange?.tls(),
    ),
    failed: running.failed,
    isOutgrown: running.isOutgrown,
    returned: undefined,
  }
}

/** How the reading without a caller ended; `isWhole`: with the whole answer. */
export function recordDrain(
  { drain }: Running,
  ending: Ending,
  isWhole: boolean,
): DrainRecord | undefined {
  if (drain === undefined) return undefined
  const { leftMs } = drain
  if (ending.kind === 'caller-gone') return { leftMs, end: drain.end ?? 'time' }
  return { leftMs, end: isWhole ? 'complete' : 'upstream-error' }
}

/** An answer of our own in place of the upstream's. */
export function gatewayError(
  { call, hasLeft }: Running,
  code: GatewayErrorCode,
  detail = '',
): ExchangeRecord['answer'] {
  if (hasLeft) return { kind: 'gone' }
  const { status } = describeGatewayError(code)
  return {
    kind: 'whole',
    status,
    headers: errorHeaders,
    body: createErrorBody(code, detail, call.dialect),
    transform: 'gateway-error',
  }
}
