/** Keeps, before a caller can learn it, whose call an id came from. */
import { hash } from 'node:crypto'
import type { Gateway } from '../call/gateway.ts'
import type { Call } from '../call/open-call.ts'
import type { SentCall } from '../call/forward-request.ts'
import type { Origin } from './owner-store.ts'
import { findReferenceReader } from './read-references.ts'

/** Watches one answer. A fault of the store is logged: the ids then belong to nobody. */
export type ReferenceRecorder = {
  readonly inEvent: (event: Uint8Array) => void
  readonly inBody: (body: Buffer) => void
}

/** The recorder of a call; `undefined` on wires whose answers keep nothing. */
export function createReferenceRecorder(
  { references, log }: Gateway,
  call: Call,
  { request, chosen }: SentCall,
  payer: string | null,
): ReferenceRecorder | undefined {
  const reader = findReferenceReader(request.route.wire)
  if (reader === undefined) return undefined
  let origin: Origin | undefined
  const put = (ids: readonly string[]): void => {
    if (ids.length === 0) return
    origin ??= {
      owner: payer,
      tokenDigest: hash('sha256', call.token(), 'buffer'),
      upstream: chosen.route.upstream.name,
      model: request.model,
      timeMs: call.receivedMs,
    }
    try {
      references.put(ids, origin)
    } catch (error) {
      log.error({ err: error }, 'ids of an answer could not be kept')
    }
  }
  return {
    inEvent: (event) => {
      put(reader.inEvent(event))
    },
    inBody: (body) => {
      put(reader.inBody(body))
    },
  }
}
