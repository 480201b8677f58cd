/**
 * Keeps the chunk that holds usage alone from a caller who did not ask for it (spec/receipt.md RC4.12): what was kept
 * back stands in the receipt, so that the provider's very bytes can be put together again.
 */
import { createHash } from 'node:crypto'
import { createEventSplitter } from '@countersign/protocol/receipt/event-chain'
import { dataOf } from '../metering/event-data.ts'
import { isObject, parseJson } from '../metering/read-json.ts'
import type { BodyRecord, RemovedBytes } from './exchange.ts'

/** What the upstream sent, beside what was returned. */
export type CutStream = { readonly upstreamBody: BodyRecord; readonly removed: RemovedBytes }

/** Stands between the upstream and the recorder of one stream. Events pass once they are whole. */
export type UsageCutter = {
  /** Takes what came; gives what goes on. */
  push(chunk: Buffer): Buffer
  /** Gives what is left at the end of the body. */
  flush(): Buffer
  /** `undefined`: all that came was passed on. */
  end(): CutStream | undefined
}

// A claim holds at most 16,384 bytes. A longer chunk is passed on as it is.
const maxRemovedBytes = 8192
const noBytes = Buffer.alloc(0)

/** A cutter for one stream; `onRemoved` is told the event that the caller does not get. */
export function createUsageCutter(onRemoved: (event: Buffer) => void): UsageCutter {
  const splitter = createEventSplitter()
  const hasher = createHash('sha256')
  let bytes = 0
  let passedBytes = 0
  let removed: RemovedBytes | undefined

  function passes(event: Buffer): boolean {
    if (removed !== undefined || !isUsageChunk(event)) {
      passedBytes += event.length
      return true
    }
    removed = { data: Buffer.from(event), start: passedBytes }
    onRemoved(event)
    return false
  }

  function pass(events: readonly Uint8Array[]): Buffer {
    const whole = events.map(({ buffer, byteOffset, length }) =>
      Buffer.from(buffer, byteOffset, length),
    )
    return joinViews(whole.filter(passes))
  }

  return {
    push(chunk) {
      bytes += chunk.length
      hasher.update(chunk)
      return pass(splitter.push(chunk))
    },
    flush: () => pass([splitter.end().element]),
    end: () =>
      removed === undefined
        ? undefined
        : { removed, upstreamBody: { bytes, sha256: hasher.digest() } },
  }
}

/** One piece. Views that lie side by side are one view: what nothing was taken out of is not copied. */
function joinViews([first = noBytes, ...others]: readonly Buffer[]): Buffer {
  const runs: Buffer[] = []
  let { buffer, byteOffset: start } = first
  let end = start + first.length
  for (const view of others) {
    if (view.buffer !== buffer || view.byteOffset !== end) {
      runs.push(Buffer.from(buffer, start, end - start))
      buffer = view.buffer
      start = view.byteOffset
    }
    end = view.byteOffset + view.length
  }
  const last = Buffer.from(buffer, start, end - start)
  return runs.length === 0 ? last : Buffer.concat([...runs, last])
}

/** `choices` is an empty array, `usage` an object: nothing in it is for who did not ask. */
function isUsageChunk(event: Buffer): boolean {
  if (event.length > maxRemovedBytes || !event.includes('"usage"')) return false
  const json = parseJson(dataOf(event).toString('utf8'))
  if (!isObject(json)) return false
  const { choices, usage } = json
  return Array.isArray(choices) && choices.length === 0 && isObject(usage)
}
