/** Judges a whole (not streamed) answer of an upstream: what it says, and whether the caller may have it. */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
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
const maxDecodedBytes = 67_108_864
const decoders = new Map([
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
])

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
  if (status >= 400 && status <= 599) return { ...failed, error, code: undefined }
  if (status !== 200) return { ...failed, error, code: 'upstream-failed' }
  const decoded = decode(headers['content-encoding'], body)
  const assertions = decoded === undefined ? noAssertions : observeJson(decoded)
  if (!assertions.isTerminated) {
    return { ...failed, error: 'body-malformed', code: 'upstream-failed' }
  }
  if (assertions.hasError) {
    return { state: 'upstream-error', error: 'error-in-body', assertions, code: undefined }
  }
  return { state: 'complete', error: null, assertions, code: undefined }
}

/** A copy for metering only; the caller gets the bytes as they came. */
function decode(
  encoding: string | readonly string[] | undefined,
  body: Buffer,
): Buffer | undefined {
  if (encoding === undefined || encoding === 'identity') return body
  const decoder = typeof encoding === 'string' ? decoders.get(encoding) : undefined
  try {
    return decoder?.(body, { maxOutputLength: maxDecodedBytes })
  } catch {
    return undefined
  }
}
