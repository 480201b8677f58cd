/** One exchange with an upstream: relays the answer to the caller as it arrives, and records what was seen. */
import { createHash } from 'node:crypto'
import type { CborInput } from '@countersign/protocol/bytes/cbor-encode'
import {
  createEventChain,
  createEventSplitter,
  emptyEventChain,
  type EventChain,
} from '@countersign/protocol/receipt/event-chain'
import { nativeSha256, nativeSha256Into } from '../keys/native-sha256.ts'
import { createUsageObserver, type MeterWire } from '../metering/observe-usage.ts'
import type { Observation } from '../metering/usage.ts'
import { withRoom } from './body-collector.ts'

/** How a call ended (spec/receipt.md RC4). */
export type ExchangeState = 'complete' | 'aborted-by-client' | 'upstream-error' | 'timeout'

/** A body by what a receipt says of it. */
export type BodyRecord = { readonly bytes: number; readonly sha256: Uint8Array }

/** What was kept from the caller: the bytes, and where they stood in the upstream's body. */
export type RemovedBytes = { readonly data: Buffer; readonly start: number }

/** An attempt that was made again, there or elsewhere: the name of the upstream, and what went wrong. */
export type FailedAttempt = { readonly upstream: string; readonly error: string }

/** An answer that was read on without its caller: when that one left, and how the reading ended. */
export type DrainRecord = {
  readonly leftMs: number
  readonly end: 'complete' | 'upstream-error' | 'maximum' | 'time' | 'shutdown'
}

/** What was seen of an exchange. */
export type ExchangeRecord = {
  readonly state: ExchangeState
  readonly error: string | null
  /** The gateway ended it because it was larger than it may be: its caller may have asked for that. */
  readonly isOutgrown: boolean
  readonly upstreamStatus: number | null
  readonly upstreamBody: BodyRecord
  /** What was returned, where that is not what the upstream sent. */
  readonly returned: BodyRecord | undefined
  /** How it went on for a caller who had left; `undefined` when it did not. */
  readonly drain: DrainRecord | undefined
  readonly requestId: string | null
  /** What the provider asserted. */
  readonly observation: Observation
  /** The bytes that were observed, where a price may have to be estimated from them. */
  readonly observedBody: Buffer | undefined
  readonly stream: { readonly chain: EventChain; readonly digests: Uint8Array } | undefined
  readonly sentMs: number
  readonly firstByteMs: number | null
  readonly endedMs: number
  readonly upstreamClaim: CborInput
  /** Attempts before the one that is recorded here. */
  readonly failed: readonly FailedAttempt[]
  readonly answer: RecordedAnswer
  /** The upstream's bytes, where the caller may want to replay their translation. */
  readonly replayBody?: Buffer | undefined
}

/** How the answer goes, or went, to the caller. */
export type RecordedAnswer =
  | {
      readonly kind: 'whole'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: Buffer
      /** `identity`, `gateway-error`, or the name of an adapter or of a profile. */
      readonly transform: string
    }
  | {
      readonly kind: 'streamed'
      readonly status: number
      /** What was kept back of the body returned; `undefined`: the caller got the upstream's bytes. */
      readonly removed: RemovedBytes | undefined
      readonly headers: Readonly<Record<string, string>>
      /** False: the transport must be cut, because a clean end would be a lie. */
      readonly endsCleanly: boolean
      /** The whole body, when it was small enough to be kept. */
      readonly kept: Buffer | undefined
      /** What was returned, where that is not what the upstream sent. */
      readonly translated?: { readonly transform: string; readonly body: BodyRecord }
    }
  | { readonly kind: 'gone' }

/** Hashes a streamed body and its events as they pass. */
export type StreamRecorder = {
  push(chunk: Buffer): void
  /** Reads an event that is not part of the body returned. */
  readonly observe: (event: Uint8Array) => void
  /** Events so far. */
  events(): number
  /** What was seen so far. */
  observation(): Observation
  /** Says, once, that nothing of what follows is returned: it is hashed and observed, and joins no chain. */
  cut(): void
  end(): {
    readonly body: BodyRecord
    /** Up to the cut. */
    readonly returned: BodyRecord
    readonly chain: EventChain
    readonly digests: Uint8Array
    readonly observation: Observation
  }
}

// Of a longer stream no prefix can be proven (docs/known-gaps.md); a megabyte for each running stream is the price.
const maxKeptDigests = 32_768
// Most streams have fewer events; for longer ones it doubles.
const roomForDigests = 128
const digestBytes = 32
const noBytes = new Uint8Array(0)

/** SHA-256 of no bytes. */
export const emptyBody: BodyRecord = { bytes: 0, sha256: nativeSha256(new Uint8Array(0)) }

/** Nothing of an answer was seen. */
export const noObservation: Observation = {
  model: null,
  finish: null,
  serviceTier: null,
  usage: { kind: 'none', counts: {} },
  isTerminated: false,
  hasError: false,
}

/** The record of a body that is held whole. Without receipts it has no digest: nobody will ask for it. */
export function recordBody(body: Uint8Array, hasReceipts: boolean = true): BodyRecord {
  return { bytes: body.length, sha256: hasReceipts ? nativeSha256(body) : noBytes }
}

/**
 * A recorder for one stream. Without receipts it only observes: `body` and `chain` have no digests then. `onEvent` sees
 * each event before `push` returns.
 */
export function createStreamRecorder(
  hasReceipts: boolean,
  meter: MeterWire,
  onEvent?: (event: Uint8Array) => void,
): StreamRecorder {
  const observer = createUsageObserver(meter)
  const hasher = hasReceipts ? createStreamHasher() : undefined
  let splitter = createEventSplitter()
  let bytes = 0
  let events = 0
  let returned: (HashedStream & { readonly bytes: number }) | undefined

  function take(event: Uint8Array): void {
    events++
    if (returned === undefined) hasher?.takeEvent(event)
    observer.observe(event)
    onEvent?.(event)
  }

  return {
    push(chunk) {
      bytes += chunk.length
      hasher?.takeChunk(chunk)
      for (const event of splitter.push(chunk)) take(event)
    },
    observe: (event) => {
      observer.observe(event)
    },
    events: () => events,
    observation: () => observer.result(),
    cut() {
      // What was returned of the event under way is the last element of the chain; the event itself goes on.
      const { element } = splitter.end()
      returned = { bytes, ...(hasher?.soFar(element) ?? notHashed) }
      splitter = createEventSplitter()
      splitter.push(element)
    },
    end() {
      const { element } = splitter.end()
      if (element.length > 0) take(element)
      const hashed = hasher?.end() ?? notHashed
      const { chain, digests, ...head } = returned ?? { bytes, ...hashed }
      return {
        body: { bytes, sha256: hashed.sha256 },
        returned: { bytes: head.bytes, sha256: head.sha256 },
        chain,
        digests,
        observation: observer.result(),
      }
    },
  }
}

/** Hashes what is returned where that is not what the upstream sent. */
export type ReturnedRecorder = {
  push(chunk: Buffer): void
  /** Events so far. */
  events(): number
  end(): {
    readonly body: BodyRecord
    readonly stream: { readonly chain: EventChain; readonly digests: Uint8Array }
  }
}

/** A recorder of one returned stream. */
export function createReturnedRecorder(hasReceipts: boolean): ReturnedRecorder {
  const splitter = createEventSplitter()
  const hasher = hasReceipts ? createStreamHasher() : undefined
  let bytes = 0
  let events = 0
  return {
    push(chunk) {
      bytes += chunk.length
      hasher?.takeChunk(chunk)
      for (const event of splitter.push(chunk)) {
        events++
        hasher?.takeEvent(event)
      }
    },
    events: () => events,
    end() {
      // What follows the last event is the last element (RC5.1).
      const { element } = splitter.end()
      if (element.length > 0) hasher?.takeEvent(element)
      const { sha256, chain, digests } = hasher?.end() ?? notHashed
      return { body: { bytes, sha256 }, stream: { chain, digests } }
    },
  }
}

type HashedStream = {
  readonly sha256: Uint8Array
  readonly chain: EventChain
  readonly digests: Uint8Array
}

const notHashed: HashedStream = { sha256: noBytes, chain: emptyEventChain, digests: noBytes }

function createStreamHasher(): {
  takeChunk(chunk: Buffer): void
  takeEvent(event: Uint8Array): void
  /** The stream as if it ended now, with this behind its events. */
  soFar(element: Uint8Array): HashedStream
  end(): HashedStream
} {
  const running = createHash('sha256')
  const chain = createEventChain(nativeSha256Into)
  let digests: Buffer = Buffer.allocUnsafeSlow(roomForDigests * digestBytes)
  const takeEvent = (event: Uint8Array): void => {
    const digest = chain.appendEvent(event)
    const end = chain.events * digestBytes
    if (chain.events > maxKeptDigests) return
    if (end > digests.length) digests = withRoom(digests, 2 * digests.length)
    digests.set(digest, end - digestBytes)
  }
  const chained = (): Omit<HashedStream, 'sha256'> => ({
    chain: chain.current(),
    digests:
      chain.events > maxKeptDigests ? noBytes : digests.subarray(0, chain.events * digestBytes),
  })
  return {
    takeChunk: (chunk) => {
      running.update(chunk)
    },
    takeEvent,
    soFar: (element) => {
      if (element.length > 0) takeEvent(element)
      return { sha256: running.copy().digest(), ...chained() }
    },
    end: () => ({ sha256: running.digest(), ...chained() }),
  }
}
