/** Judges a whole (not streamed) answer of an upstream: what it says, and whether the caller may have it. */
import type { GatewayErrorCode } from '../errors.ts'
import type { UpstreamHeaders } from '../upstream/call-upstream.ts'
import type { ExchangeState } from './exchange.ts'
import { noObservation } from './exchange.ts'
import { observeBody, type MeterWire } from '../metering/observe-usage.ts'
import { isObject, parseLongJson } from '../metering/read-json.ts'
import type { Observation } from '../metering/usage.ts'

/** `code`: the gateway answers itself instead of passing the body on. */
export type JudgedAnswer = {
  readonly state: ExchangeState
  readonly error: string | null
  readonly observation: Observation
  readonly code: GatewayErrorCode | undefined
}

const ofOperator = new Set([401, 402, 403])
const leastSecret = 16

/** What an answer can be, by its route. */
export type ExpectedAnswer = {
  readonly meter: MeterWire | undefined
  /** `any`: audio and text beside JSON. */
  readonly form: 'json' | 'any'
  /** The operator's key at this upstream. */
  readonly secret?: string | undefined
}

/** The judgement. Status alone never decides: a 200 must hold JSON without an error, or what else its path answers. */
export function judgeWholeAnswer(
  status: number,
  headers: UpstreamHeaders,
  body: Buffer,
  expected: ExpectedAnswer,
): JudgedAnswer {
  const error = `status-${status}`
  const failed = { state: 'upstream-error', observation: noObservation } as const
  // The operator's own credentials (402: its account) are at fault, and the body may quote part of them. A 402 of
  // the provider would also read like an offer of ours.
  if (ofOperator.has(status)) return { ...failed, error, code: 'upstream-credentials' }
  // Servers that show what they were sent show the key.
  if (status >= 400 && quotes(body, expected.secret)) {
    return { ...failed, error, code: 'upstream-credentials' }
  }
  // Clients undo an encoding before anybody can compare bytes, so a receipt for coded bytes would look forged.
  if (isCoded(headers)) return { ...failed, error: 'body-encoded', code: 'upstream-failed' }
  if (status >= 400 && status <= 599) return { ...failed, error, code: undefined }
  if (status !== 200) return { ...failed, error, code: 'upstream-failed' }
  const observation = observe(headers, body, expected)
  if (!observation.isTerminated) {
    return { ...failed, error: 'body-malformed', code: 'upstream-failed' }
  }
  if (observation.hasError) {
    return { state: 'upstream-error', error: 'error-in-body', observation, code: undefined }
  }
  return { state: 'complete', error: null, observation, code: undefined }
}

/** A word as `EMPTY`, for servers that ask for no key, is no secret. */
function quotes(body: Buffer, secret: string | undefined): boolean {
  return secret !== undefined && secret.length >= leastSecret && body.includes(secret)
}

function observe(
  headers: UpstreamHeaders,
  body: Buffer,
  { meter, form }: ExpectedAnswer,
): Observation {
  if (form === 'any' && !isJson(headers)) {
    return { ...noObservation, isTerminated: body.length > 0 }
  }
  if (meter !== undefined) return observeBody(meter, body)
  return { ...noObservation, isTerminated: isObject(parseLongJson(body)) }
}

function isJson(headers: UpstreamHeaders): boolean {
  const [mediaType = ''] = String(headers['content-type']).split(';')
  return mediaType.trim().toLowerCase() === 'application/json'
}

/** True when a body is compressed although `identity` was asked for. */
export function isCoded(headers: UpstreamHeaders): boolean {
  return (headers['content-encoding'] ?? 'identity') !== 'identity'
}
