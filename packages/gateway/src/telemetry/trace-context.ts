/** The header `traceparent` (W3C Trace Context): where in its own trace a caller stands. */

/** Where a span belongs. */
export type TraceContext = {
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** 16 lower-case hex digits; `undefined`: a trace of our own. */
  readonly parentSpanId: string | undefined
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const maxLength = 512

/** What a caller says; `undefined` for anything that the standard calls invalid. `isSampled` is the caller's wish. */
export function parseTraceparent(
  header: string | readonly string[] | undefined,
): (TraceContext & { readonly isSampled: boolean }) | undefined {
  if (typeof header !== 'string' || header.length > maxLength) return undefined
  const [, version, traceId = '', parentSpanId = '', flags = '', more] = form.exec(header) ?? []
  if (version === undefined || version === 'ff') return undefined
  if (version === '00' && more !== undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(parentSpanId)) return undefined
  return { traceId, parentSpanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}
