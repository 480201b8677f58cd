/** How long to wait before an upstream is asked again: as long as it asks for, else a growing time with jitter. */
import type { UpstreamHeaders } from '../upstream/call-upstream.ts'

/** An answer of an upstream that cannot serve a call now. */
export type TurnedAway = { readonly headers: UpstreamHeaders; readonly body: Buffer }

const firstDelayMs = 250
const maxSearchedBytes = 65_536

/** What an upstream asks for in milliseconds; `never` when it says that asking again is of no use. */
export function readRetryHint(
  { headers, body }: TurnedAway,
  nowMs: number,
): number | 'never' | undefined {
  const text = body.toString('latin1', 0, maxSearchedBytes)
  // The account of the operator is empty: that does not pass.
  if (headers['x-should-retry'] === 'false' || text.includes('"insufficient_quota"')) return 'never'
  return (
    readMilliseconds(headers['retry-after-ms']) ??
    readRetryAfter(headers['retry-after'], nowMs) ??
    readRetryInfo(text)
  )
}

/**
 * The wait before the attempt after `attempts` failed ones. It is never shorter than the hint.
 *
 * @param random - from 0 up to 1.
 */
export function computeRetryDelayMs(
  attempts: number,
  hintMs: number | undefined,
  maxDelayMs: number,
  random: number,
): number {
  const growing = Math.min(firstDelayMs * 2 ** (attempts - 1), maxDelayMs)
  if (hintMs === undefined) return Math.floor(growing * (0.5 + random / 2))
  return Math.min(maxDelayMs, hintMs + Math.floor(random * firstDelayMs))
}

type HeaderValue = UpstreamHeaders[string]

function readMilliseconds(value: HeaderValue): number | undefined {
  return typeof value === 'string' && /^[0-9]{1,9}(?:\.[0-9]{1,9})?$/.test(value)
    ? Math.ceil(Number(value))
    : undefined
}

/** Seconds, or a date (RFC 9110 §10.2.3). */
function readRetryAfter(value: HeaderValue, nowMs: number): number | undefined {
  if (typeof value !== 'string') return undefined
  if (/^[0-9]{1,9}(?:\.[0-9]{1,9})?$/.test(value)) return Math.ceil(Number(value) * 1000)
  const atMs = /^[A-Z][a-z]{2}, .{20} GMT$/.test(value) ? Date.parse(value) : NaN
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}

/** Google says it in the body. */
function readRetryInfo(text: string): number | undefined {
  const [, seconds] = /"retryDelay"\s*:\s*"([0-9]{1,9}(?:\.[0-9]{1,9})?)s"/.exec(text) ?? []
  return seconds === undefined ? undefined : Math.ceil(Number(seconds) * 1000)
}
