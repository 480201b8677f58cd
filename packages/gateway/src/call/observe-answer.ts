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
const dataPrefix = Buffer.from('data:')
const done = '[DONE]'
const doneMark = Buffer.from(done)
// A whole event of the terminal kind, with some room for comments.
const maxDoneEventBytes = 1024
const usageMark = Buffer.from('"usage"')
const finishMark = Buffer.from('"finish_reason"')
const errorMark = Buffer.from('"error"')
const separators = new Set([0x20, 0x09, 0x0a, 0x0d, 0x3a])

type Found = { model: string | null; finish: string | null; usage: unknown; error: boolean }

/** Observes a chat completion stream. Only events that can matter are parsed, and only up to 64 KiB. */
export function createStreamObserver(): StreamObserver {
  const found: Found = { model: null, finish: null, usage: undefined, error: false }
  let isTerminated = false
  return {
    observe(event) {
      const bytes = Buffer.from(event.buffer, event.byteOffset, event.length)
      const start = bytes.indexOf(dataPrefix)
      if (start < 0) return
      if (bytes.length <= maxDoneEventBytes && bytes.includes(doneMark)) {
        isTerminated ||= dataOf(bytes).trim() === done
      }
      if (bytes.length <= maxObservedBytes && matters(bytes, found)) {
        take(found, parseJson(dataOf(bytes)))
      }
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

function matters(bytes: Buffer, found: Found): boolean {
  return (
    found.model === null ||
    hasMember(bytes, usageMark, 0x7b) ||
    hasMember(bytes, finishMark, 0x22) ||
    bytes.includes(errorMark)
  )
}

/** Whether a member of that name may have a value that begins so; `null`, which most chunks say, does not. */
function hasMember(bytes: Buffer, mark: Buffer, opener: number): boolean {
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + 1)) {
    let offset = at + mark.length
    while (separators.has(bytes[offset] ?? 0)) offset++
    if (bytes[offset] === opener) return true
  }
  return false
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
  const raw = isObject(usage) ? JSON.stringify(usage) : ''
  const isKnown = isObject(usage) && raw.length <= maxRawUsageBytes
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

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
