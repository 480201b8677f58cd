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
  const body = head === undefined ? emptyBody : recordBody(running.collected.bytes())
  const common = {
    ...commonRecord(running, head, body),
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
  'upstreamStatus' | 'upstreamBody' | 'requestId' | 'stream' | 'firstByteMs' | 'upstreamClaim'
> {
  const id = head?.headers['x-request-id'] ?? head?.headers['request-id']
  const requestId = typeof id === 'string' ? id.slice(0, 256) : null
  return {
    upstreamStatus: head?.status ?? null,
    upstreamBody,
    requestId,
    stream: undefined,
    firstByteMs: running.firstByteMs,
    upstreamClaim: describeUpstreamClaim(
      running.sent.chosen.route.upstream,
      requestId,
      running.exchange?.tls(),
    ),
  }
}

/** An answer of our own in place of the upstream's. */
export function gatewayError({ call }: Running, code: GatewayErrorCode): ExchangeRecord['answer'] {
  const { status } = describeGatewayError(code)
  return {
    kind: 'whole',
    status,
    headers: errorHeaders,
    body: createErrorBody(code, '', call.dialect),
    transform: 'gateway-error',
  }
}
