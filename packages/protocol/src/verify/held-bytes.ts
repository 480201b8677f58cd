/** Compares what the caller holds of a call with what was signed (spec/bundle.md BU3.8). */
import { equalBytes } from '../bytes/byte-string.ts'
import { sha256 } from '../crypto/sha256.ts'
import { ProtocolError } from '../errors.ts'
import {
  requestOf,
  responseOf,
  streamOf,
  type BodyDigest,
  type DisclosedClaims,
} from '../receipt/call-claims.ts'
import {
  chainDigests,
  createEventChain,
  readElements,
  type EventChain,
} from '../receipt/event-chain.ts'
import type { Bundle } from './bundle.ts'
import { NotChecked } from './verdict.ts'

/** What a caller holds of a call. */
export type Held = {
  readonly request?: Uint8Array
  readonly response?: Uint8Array
  /** True: `response` is the beginning of the body, up to the end of an event. */
  readonly responseIsPrefix?: boolean
  readonly nonce?: Uint8Array
}

/** Judges the request body held. */
export function checkRequestHeld(claims: DisclosedClaims, { request }: Held): void {
  if (request === undefined) throw new NotChecked('not-given')
  const signed = requestOf(claims)
  if (signed === undefined) throw new NotChecked('withheld')
  if (!isBody(request, signed)) throw new ProtocolError('request-bytes-mismatch')
}

/** Judges the response body held: whole, or a prefix. */
export function checkResponseHeld(claims: DisclosedClaims, bundle: Bundle, held: Held): void {
  if (held.response === undefined) throw new NotChecked('not-given')
  if (held.responseIsPrefix === true) checkPrefix(claims, bundle, held.response)
  else checkWhole(claims, held.response)
}

/** Refuses a chain that is not the signed one. */
export function checkChain(chain: EventChain, signed: EventChain): void {
  if (chain.events !== signed.events || !equalBytes(chain.head, signed.head)) {
    throw new ProtocolError('event-chain-mismatch')
  }
}

function checkWhole(claims: DisclosedClaims, response: Uint8Array): void {
  const signed = responseOf(claims)
  if (signed === undefined) throw new NotChecked('withheld')
  if (!isBody(response, signed)) throw new ProtocolError('response-bytes-mismatch')
  const stream = streamOf(claims)
  if (stream === undefined) return
  const chain = createEventChain()
  for (const { bytes } of readElements(response)) {
    chain.append(sha256(bytes))
    // More events than signed: no need to hash the rest.
    if (chain.events > stream.events) break
  }
  checkChain(chain.current(), stream)
}

function checkPrefix(claims: DisclosedClaims, bundle: Bundle, prefix: Uint8Array): void {
  const stream = streamOf(claims)
  const { events: digests } = bundle
  if (stream === undefined && bundle.claims.some(({ kind }) => kind === 'leaf')) {
    throw new NotChecked('withheld')
  }
  if (stream === undefined || digests === undefined) {
    throw new ProtocolError('response-prefix-unprovable')
  }
  let offset = 0
  let isListed = true
  for (const { bytes, isEvent } of readElements(prefix)) {
    if (!isEvent) throw new ProtocolError('response-prefix-not-at-event-end')
    isListed &&= equalBytes(sha256(bytes), digests.subarray(offset, offset + 32))
    offset += 32
  }
  if (!isListed) throw new ProtocolError('event-chain-mismatch')
  checkChain(chainDigests(digests), stream)
}

function isBody(body: Uint8Array, signed: BodyDigest): boolean {
  return body.length === signed.bytes && equalBytes(sha256(body), signed.sha256)
}
