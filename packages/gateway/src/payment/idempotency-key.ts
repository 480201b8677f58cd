/** The caller's name for one call (spec/payment.md PA4). */
import type { IncomingHttpHeaders } from 'node:http'

const printable = /^[\u0021-\u007e]{1,255}$/

/** The Idempotency-Key of a request: none, malformed, or 1–255 printable ASCII characters without space. */
export function readIdempotencyKey(
  headers: IncomingHttpHeaders,
): { readonly kind: 'none' | 'malformed' } | { readonly kind: 'given'; readonly key: string } {
  const value = headers['idempotency-key']
  if (value === undefined) return { kind: 'none' }
  if (typeof value !== 'string' || !printable.test(value)) return { kind: 'malformed' }
  return { kind: 'given', key: value }
}
