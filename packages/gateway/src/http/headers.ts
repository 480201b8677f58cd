/** Which headers pass. Everything that is not listed is dropped (docs/decisions/2026-11-21-header-lists.md). */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dialect } from './wire-routes.ts'

const common = ['content-type', 'accept'] as const
const requestHeaders: Readonly<Record<Dialect, readonly string[]>> = {
  openai: [...common, 'openai-beta'],
  anthropic: [...common, 'anthropic-version', 'anthropic-beta'],
  google: common,
}
const responseHeaders = [
  'content-type',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'x-request-id',
  'request-id',
  'openai-processing-ms',
  'openai-version',
]
// A value that undici refuses would block one slot of its pool for ever: refuse it here (RFC 9110 §5.5).
const fieldValue = /^[\t\u0020-\u007e\u0080-\u00ff]*$/

/**
 * The headers of a call to an upstream, as a flat list for undici. Not `idempotency-key`: all callers share the operator's
 * account, so one caller's key could give another the first one's answer. Not the caller's own credentials either: the
 * operator's takes their place, in the header of its provider.
 */
export function selectRequestHeaders(
  headers: IncomingHttpHeaders,
  dialect: Dialect,
  credential: readonly [name: string, value: string] | undefined,
): string[] {
  const selected = ['accept-encoding', 'identity', 'user-agent', 'countersign-gateway']
  for (const name of requestHeaders[dialect]) {
    const value = headers[name]
    if (typeof value === 'string' && fieldValue.test(value)) selected.push(name, value)
  }
  if (credential !== undefined) selected.push(...credential)
  return selected
}

/** The headers of an upstream's answer that the caller gets. */
export function selectResponseHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string> {
  const selected: Record<string, string> = {}
  for (const name of responseHeaders) {
    const value = headers[name]
    if (typeof value === 'string' && fieldValue.test(value)) selected[name] = value
  }
  return selected
}
