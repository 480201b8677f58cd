/** One exchange with an upstream: relays the answer to the caller as it arrives, and records what was seen. */
import { createHash } from 'node:crypto'
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import {
  appendEvent,
  createEventSplitter,
  emptyEventChain,
  type EventChain,
} from '@countersign/protocol/receipt/event-chain'
import { nativeSha256 } from '../keys/native-sha256.ts'
import { createBodyCollector } from './body-collector.ts'
import { createStreamObserver, observeJson, type ProviderAssertions } from './observe-answer.ts'

/** How a call ended (spec/receipt.md RC4). */
export type ExchangeState = 'complete' | 'aborted-by-client' | 'upstream-error' | 'timeout'

/** A body by what a receipt says of it. */
export type BodyRecord = { readonly bytes: number; readonly sha256: Uint8Array }

/** What was seen of an exchange. */
export type ExchangeRecord = {
  readonly state: ExchangeState
  readonly error: string | null
  readonly upstreamStatus: number | null
  readonly upstreamBody: BodyRecord
  readonly requestId: string | null
  readonly assertions: ProviderAssertions
  readonly stream: { readonly chain: EventChain; readonly digests: Uint8Array } | undefined
  readonly firstByteMs: number | null
  readonly upstreamClaim: CborValue
  readonly answer: RecordedAnswer
}

/** How the answer goes, or went, to the caller. */
export type RecordedAnswer =
  | {
      readonly kind: 'whole'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: Buffer
      readonly transform: 'identity' | 'gateway-error'
    }
  | {
      readonly kind: 'streamed'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      /** False: the transport must be cut, because a clean end would be a lie. */
      readonly endsCleanly: boolean
      /** The whole body, when it was small enough to be kept. */
      readonly kept: Buffer | undefined
    }
  | { readonly kind: 'gone' }

/** Hashes a streamed body and its events as they pass. */
export type StreamRecorder = {
  push(chunk: Buffer): void
  /** Events so far. */
  events(): number
  end(): {
    readonly body: BodyRecord
    readonly chain: EventChain
    readonly digests: Uint8Array
    readonly assertions: ProviderAssertions
  }
}

// Of a longer stream no prefix can be proven (docs/known-gaps.md); a megabyte for each running stream is the price.
const maxKeptDigests = 32_768

/** SHA-256 of no bytes. */
export const emptyBody: BodyRecord = { bytes: 0, sha256: nativeSha256(new Uint8Array(0)) }

/** No assertions: nothing of an answer was seen. */
export const noAssertions: ProviderAssertions = observeJson(Buffer.alloc(0))

/** The record of a body that is held whole. */
export function recordBody(body: Uint8Array): BodyRecord {
  return { bytes: body.length, sha256: nativeSha256(body) }
}

/** A recorder for one stream. */
export function createStreamRecorder(): StreamRecorder {
  const running = createHash('sha256')
  const splitter = createEventSplitter()
  const observer = createStreamObserver()
  const digests = createBodyCollector()
  let chain = emptyEventChain
  let bytes = 0

  function take(event: Uint8Array): void {
    const digest = nativeSha256(event)
    chain = appendEvent(chain, digest, nativeSha256)
    if (chain.events <= maxKeptDigests) digests.append(digest)
    observer.observe(event)
  }

  return {
    push(chunk) {
      bytes += chunk.length
      running.update(chunk)
      for (const event of splitter.push(chunk)) take(event)
    },
    events: () => chain.events,
    end() {
      const { element } = splitter.end()
      if (element.length > 0) take(element)
      return {
        body: { bytes, sha256: running.digest() },
        chain,
        digests: chain.events > maxKeptDigests ? new Uint8Array(0) : digests.bytes(),
        assertions: observer.result(),
      }
    },
  }
}
