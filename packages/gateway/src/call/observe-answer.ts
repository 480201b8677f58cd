/** Watches a provider's answer go by: usage, model, finish reason, end of the protocol. Asserted by the provider. */
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'

/** What a provider said in its answer. */
export type ProviderAssertions = {
  readonly model: string | null
  readonly finish: string | null
  readonly usage: CborValue
  /** The terminal event of the protocol was seen, or the whole JSON object. */
  readonly isTerminated: boolean
  /** The provider reported an error inside its answer. */
  readonly hasError: boolean
}

/** Collects assertions from the events of a stream. */
export type StreamObserver = {
  observe(event: Uint8Array): void
  result(): ProviderAssertions
}

const maxObservedBytes = 65_536
const maxRawUsageBytes = 4096
const done = '[DONE]'
// A whole event of the terminal kind, with some room for comments.
const maxDoneEventBytes = 1024
// Members that matter, with values of their own: most chunks say "usage":null. One pass over a text costs a tenth of
// a search for each name in the bytes.
const marks = /"usage"[ \t\n\r:]*\{|"finish_reason"[ \t\n\r:]*"|"error"/

type Found = { model: string | null; finish: string | null; usage: unknown; error: boolean }

/** Observes a chat completion stream. Only events that can matter are parsed, and only up to 64 KiB. */
export function createStreamObserver(): StreamObserver {
  const found: Found = { model: null, finish: null, usage: undefined, error: false }
  let isTerminated = false
  return {
    observe(event) {
      if (event.length > maxObservedBytes) return
      const bytes = Buffer.from(event.buffer, event.byteOffset, event.length)
      // One character for each byte: what is searched for is ASCII.
      const text = bytes.toString('latin1')
      if (!text.includes('data:')) return
      if (text.length <= maxDoneEventBytes && text.includes(done)) {
        isTerminated ||= dataOf(bytes).trim() === done
      }
      if (found.model === null || marks.test(text)) take(found, parseJson(dataOf(bytes)))
    },
    result: () => toAssertions(found, isTerminated),
  }
}

/** Observes a whole JSON answer. A body that is not a JSON object counts as not terminated. */
export function observeJson(body: Buffer): ProviderAssertions {
  const found: Found = { model: null, finish: null, usage: undefined, error: false }
  const json = parseJson(body.toString('utf8'))
  take(found, json)
  return toAssertions(found, isObject(json))
}

/** The data of an event: its data lines, joined. */
function dataOf(event: Buffer): string {
  return event
    .toString('utf8')
    .split(/\r\n|\r|\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line.startsWith('data: ') ? 6 : 5))
    .join('\n')
}

function take(found: Found, json: unknown): void {
  if (!isObject(json)) return
  if (typeof json['model'] === 'string') found.model = json['model'].slice(0, 256)
  if (isObject(json['usage'])) found.usage = json['usage']
  if (json['error'] !== undefined && json['error'] !== null) found.error = true
  const choices: unknown = json['choices']
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined
  if (isObject(first) && typeof first['finish_reason'] === 'string') {
    found.finish = first['finish_reason'].slice(0, 64)
  }
}

function toAssertions(found: Found, isTerminated: boolean): ProviderAssertions {
  return {
    model: found.model,
    finish: found.finish,
    usage: toUsageClaim(found.usage),
    isTerminated,
    hasError: found.error,
  }
}

/** The `usage` claim (spec/receipt.md RC4): the last snapshot, never a sum. */
function toUsageClaim(usage: unknown): CborValue {
  const raw = isObject(usage) ? stringify(usage) : undefined
  const isKnown = isObject(usage) && raw !== undefined && raw.length <= maxRawUsageBytes
  return new Map<string, CborValue>([
    ['raw', isKnown ? raw : null],
    ['input', isKnown ? countOf(usage['prompt_tokens']) : null],
    ['output', isKnown ? countOf(usage['completion_tokens']) : null],
    ['source', isKnown ? 'provider' : 'none'],
  ])
}

function countOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function stringify(value: object): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    // Nested deeper than the stack: a provider must not be able to stop the statement about its answer.
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
