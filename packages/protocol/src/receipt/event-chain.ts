/** Server-sent events cut by their bytes, and the hash chain over them (spec/receipt.md RC5). */
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { sha256, sha256Into, type Sha256Into } from '../crypto/sha256.ts'

/** A chain after some events. */
export type EventChain = { readonly events: number; readonly head: Uint8Array }

/** Cuts a stream that arrives in pieces; owns the bytes of the event that is not complete yet. */
export type EventSplitter = {
  /** The events that this piece completes, in order. */
  push(piece: Uint8Array): readonly Uint8Array[]
  /** What is left when the stream has ended, and whether that is a whole event. May be empty. */
  end(): { readonly element: Uint8Array; readonly isEvent: boolean }
}

/** The chain over no events. */
export const emptyEventChain: EventChain = {
  events: 0,
  head: sha256(encodeUtf8('countersign/events/v1')),
}

const chainPrefix = 2
const digestBytes = 32
const lineFeed = 10
const carriageReturn = 13
const sliceBytes = 65_536
const noBytes = new Uint8Array(0)

/** A chain that grows; owns the bytes that are hashed for each step. */
export type GrowingChain = {
  readonly events: number
  /** Takes the next event, given by its digest (RC5.2). */
  append(eventDigest: Uint8Array): void
  /** Takes the next event itself. Gives its digest, in bytes that the next one overwrites. */
  appendEvent(event: Uint8Array): Uint8Array
  /** The chain so far. */
  current(): EventChain
}

/**
 * A chain over no events.
 *
 * @param hashInto - SHA-256, native where that is faster.
 */
export function createEventChain(hashInto: Sha256Into = sha256Into): GrowingChain {
  const step = new Uint8Array(1 + 2 * digestBytes)
  step[0] = chainPrefix
  step.set(emptyEventChain.head, 1)
  const digest = step.subarray(1 + digestBytes)
  let events = 0
  return {
    get events() {
      return events
    },
    append: (eventDigest) => {
      digest.set(eventDigest)
      hashInto(step, step, 1)
      events++
    },
    appendEvent: (event) => {
      hashInto(event, step, 1 + digestBytes)
      hashInto(step, step, 1)
      events++
      return digest
    },
    current: () => ({ events, head: step.slice(1, 1 + digestBytes) }),
  }
}

/** The chain over a list of digests of 32 bytes each, d_1 ‖ … ‖ d_n. */
export function chainDigests(digests: Uint8Array): EventChain {
  const chain = createEventChain()
  for (let offset = 0; offset < digests.length; offset += digestBytes) {
    chain.append(digests.subarray(offset, offset + digestBytes))
  }
  return chain.current()
}

/** An element of a body (RC5.1): an event, or what follows the last one. Never empty. */
export type StreamElement = { readonly bytes: Uint8Array; readonly isEvent: boolean }

/** The elements of a whole body, one after another: a list of those of a body of line ends would fill the memory. */
export function* readElements(body: Uint8Array): Generator<StreamElement> {
  const splitter = createEventSplitter()
  for (let offset = 0; offset < body.length; offset += sliceBytes) {
    const events = splitter.push(body.subarray(offset, offset + sliceBytes))
    for (const bytes of events) yield { bytes, isEvent: true }
  }
  const { element, isEvent } = splitter.end()
  if (element.length > 0) yield { bytes: element, isEvent }
}

/** The elements of a whole body of moderate length: events, and what follows the last one. */
export function splitEvents(body: Uint8Array): {
  readonly events: readonly Uint8Array[]
  readonly rest: Uint8Array
} {
  const splitter = createEventSplitter()
  const events = splitter.push(body)
  const { element, isEvent } = splitter.end()
  return isEvent ? { events: [...events, element], rest: noBytes } : { events, rest: element }
}

/** A splitter for one stream. Events that lie in one piece are views of it, others are copies. */
export function createEventSplitter(): EventSplitter {
  // Owned by push: the start of the event under way, and what its last bytes were.
  const held = createByteCollector()
  let lineIsEmpty = true
  let pending: 'none' | 'line-end' | 'event-end' = 'none'

  function push(piece: Uint8Array): readonly Uint8Array[] {
    const events: Uint8Array[] = []
    let start = 0
    const cut = (end: number): void => {
      events.push(held.take(piece.subarray(start, end)))
      start = end
    }
    // Almost all streams have no carriage returns: then one native search jumps over each line.
    const hasReturns = piece.includes(carriageReturn)
    for (let offset = 0; offset < piece.length; offset++) {
      if (pending === 'none' && !hasReturns) {
        const lineEnd = piece.indexOf(lineFeed, offset)
        if (lineEnd !== offset) lineIsEmpty = false
        if (lineEnd < 0) break
        offset = lineEnd
      }
      const byte = piece[offset]
      const before = pending
      pending = 'none'
      if (before !== 'none' && byte === lineFeed) {
        if (before === 'event-end') cut(offset + 1)
        continue
      }
      if (before === 'event-end') cut(offset)
      if (byte === lineFeed && lineIsEmpty) cut(offset + 1)
      if (byte === carriageReturn) pending = lineIsEmpty ? 'event-end' : 'line-end'
      lineIsEmpty = byte === lineFeed || byte === carriageReturn
    }
    held.append(piece.subarray(start))
    return events
  }

  return { push, end: () => ({ element: held.take(noBytes), isEvent: pending === 'event-end' }) }
}

type ByteCollector = {
  append(bytes: Uint8Array): void
  /** All that was appended, and this; empty afterwards. */
  take(last: Uint8Array): Uint8Array
}

/** Doubles its room when it is full, so that many small pieces of one event cost no more than few large ones. */
function createByteCollector(): ByteCollector {
  let room: Uint8Array = noBytes
  let length = 0
  return {
    append: (bytes) => {
      const needed = length + bytes.length
      if (needed > room.length) {
        const larger = new Uint8Array(Math.max(needed, 2 * room.length))
        larger.set(room.subarray(0, length))
        room = larger
      }
      room.set(bytes, length)
      length = needed
    },
    take: (last) => {
      const taken = length === 0 ? last : concatBytes(room.subarray(0, length), last)
      room = noBytes
      length = 0
      return taken
    },
  }
}
