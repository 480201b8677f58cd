/** Spans, and how OTLP/HTTP writes them as JSON (opentelemetry-proto 1.x, JSON mapping). */
import { attributeNames, serviceName } from './names.ts'

/** The value of an attribute. */
export type AttributeValue = string | number | readonly string[]

/** One step of a call. Times are milliseconds since the Unix epoch. */
export type Span = {
  /** 32 and 16 lower-case hex digits. */
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly kind: 'server' | 'client'
  readonly startMs: number
  readonly endMs: number
  readonly attributes: ReadonlyMap<string, AttributeValue>
  readonly isError: boolean
}

const kinds = { server: 2, client: 3 } as const
const errorStatus = 2

/** The body of an export request. */
export function encodeSpans(spans: readonly Span[]): string {
  const resource = {
    attributes: toAttributes(new Map([[attributeNames.serviceName, serviceName]])),
  }
  const scopeSpans = [{ scope: { name: serviceName }, spans: spans.map(toOtlp) }]
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans }] })
}

function toOtlp(span: Span): unknown {
  const { traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, isError } = span
  return {
    traceId,
    spanId,
    ...(parentSpanId === undefined ? {} : { parentSpanId }),
    name,
    kind: kinds[kind],
    startTimeUnixNano: `${startMs}000000`,
    endTimeUnixNano: `${Math.max(startMs, endMs)}000000`,
    attributes: toAttributes(attributes),
    status: isError ? { code: errorStatus } : {},
  }
}

function toAttributes(attributes: ReadonlyMap<string, AttributeValue>): readonly unknown[] {
  return Array.from(attributes, ([key, value]) => ({ key, value: toValue(value) }))
}

function toValue(value: AttributeValue): unknown {
  if (typeof value === 'number') return { intValue: value.toString() }
  if (typeof value === 'string') return { stringValue: value }
  return { arrayValue: { values: value.map((stringValue) => ({ stringValue })) } }
}
