/** Judges a whole (not streamed) answer of an upstream: what it says, and whether the caller may have it. */
import type { GatewayErrorCode } from '../errors.ts'
import type { UpstreamHeaders } from '../upstream/call-upstream.ts'
import type { ExchangeState } from './exchange.ts'
import { noAssertions } from './exchange.ts'
import { observeJson, type ProviderAssertions } from './observe-answer.ts'

/** `code`: the gateway answers itself instead of passing the body on. */
export type JudgedAnswer = {
  readonly state: ExchangeState
  readonly error: string | null
  readonly assertions: ProviderAssertions
  readonly code: GatewayErrorCode | undefined
}

const ofOperator = new Set([401, 402, 403])

/** The judgement. Status alone never decides: a 200 must hold a JSON object without an error. */
export function judgeWholeAnswer(
  status: number,
  headers: UpstreamHeaders,
  body: Buffer,
): JudgedAnswer {
  const error = `status-${status}`
  const failed = { state: 'upstream-error', assertions: noAssertions } as const
  // The operator's own credentials (402: its account) are at fault, and the body may quote part of them. A 402 of
  // the provider would also read like an offer of ours.
  if (ofOperator.has(status)) return { ...failed, error, code: 'upstream-credentials' }
  // Clients undo an encoding before anybody can compare bytes, so a receipt for coded bytes would look forged.
  if (isCoded(headers)) return { ...failed, error: 'body-encoded', code: 'upstream-failed' }
  if (status >= 400 && status <= 599) return { ...failed, error, code: undefined }
  if (status !== 200) return { ...failed, error, code: 'upstream-failed' }
  const assertions = observeJson(body)
  if (!assertions.isTerminated) {
    return { ...failed, error: 'body-malformed', code: 'upstream-failed' }
  }
  if (assertions.hasError) {
    return { state: 'upstream-error', error: 'error-in-body', assertions, code: undefined }
  }
  return { state: 'complete', error: null, assertions, code: undefined }
}

/** True when a body is compressed although `identity` was asked for. */
export function isCoded(headers: UpstreamHeaders): boolean {
  return (headers['content-encoding'] ?? 'identity') !== 'identity'
}
