import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { emptyEventChain } from '@countersign/protocol/receipt/event-chain'
import { parseBundle, type Bundle } from '@countersign/protocol/verify/bundle'
import {
  checkChain,
  checkRequestHeld,
  checkResponseHeld,
} from '@countersign/protocol/verify/held-bytes'
import { expect, test } from 'vitest'
import { zeros } from '../../../../test/vectors/edits.ts'
import { forgeBundle } from '../../../../test/vectors/forge.ts'
import {
  jsonCall,
  streamCall,
  streamElements,
  withMembers,
} from '../../../../test/vectors/sample-call.ts'
import { refusalOf } from '../arbitrary.ts'

const open = (): Bundle => parseBundle(forgeBundle(streamCall))

const judgePrefix = (bundle: Bundle, end: number): string | undefined =>
  refusalOf(() => {
    const response = streamCall.response.slice(0, end)
    checkResponseHeld(streamCall.claims, bundle, { response, responseIsPrefix: true })
  })

test('every prefix of the stream is proven where an event ends, and refused everywhere else', () => {
  const bundle = open()
  const { length } = streamCall.response
  const ends = new Set([0])
  let end = 0
  for (const element of streamElements.slice(0, -1)) ends.add((end += encodeUtf8(element).length))
  const proven = Array.from({ length: length + 1 }, (_, at) => at).filter(
    (at) => judgePrefix(bundle, at) === undefined,
  )
  expect(proven).toEqual([...ends])
})

test('the whole stream is compared with bytes and chain', () => {
  const bundle = open()
  const judge = (response: Uint8Array, given: Bundle = bundle): string | undefined =>
    refusalOf(() => {
      checkResponseHeld(streamCall.claims, given, { response })
    })
  expect(judge(streamCall.response)).toBeUndefined()
  expect(judge(streamCall.response.slice(1))).toBe('response-bytes-mismatch')
  const { events: _, ...without } = bundle
  expect(judge(streamCall.response, without)).toBeUndefined()
})

test('what is not held or not shown is not checked', () => {
  const bundle = open()
  const response = streamCall.response
  expect(() => {
    checkRequestHeld(new Map(), {})
  }).toThrow('not-given')
  expect(() => {
    checkRequestHeld(new Map(), { request: zeros(0) })
  }).toThrow('withheld')
  expect(() => {
    checkResponseHeld(new Map(), bundle, {})
  }).toThrow('not-given')
  expect(() => {
    checkResponseHeld(new Map(), bundle, { responseIsPrefix: true })
  }).toThrow('not-given')
  expect(() => {
    checkResponseHeld(new Map(), bundle, { response })
  }).toThrow('withheld')
})

test('a prefix of a call without stream cannot be proven, unless that claim may be withheld', () => {
  const bundle = open()
  const held = { response: zeros(0), responseIsPrefix: true }
  const shown = parseBundle(forgeBundle(jsonCall))
  const withheld: Bundle = {
    ...shown,
    claims: [...shown.claims.slice(1), { kind: 'leaf', hash: zeros(32) }],
  }
  expect(
    refusalOf(() => {
      checkResponseHeld(jsonCall.claims, shown, held)
    }),
  ).toBe('response-prefix-unprovable')
  expect(() => {
    checkResponseHeld(jsonCall.claims, withheld, held)
  }).toThrow('withheld')
  const { events: _, ...without } = bundle
  expect(
    refusalOf(() => {
      checkResponseHeld(streamCall.claims, without, held)
    }),
  ).toBe('response-prefix-unprovable')
})

const judgeRequest = (request: Uint8Array): string | undefined =>
  refusalOf(() => {
    checkRequestHeld(jsonCall.claims, { request })
  })

test('the request is compared by length and digest', () => {
  expect(judgeRequest(jsonCall.request)).toBeUndefined()
  expect(judgeRequest(jsonCall.request.toReversed())).toBe('request-bytes-mismatch')
  expect(judgeRequest(jsonCall.request.slice(1))).toBe('request-bytes-mismatch')
})

const judgeChain = (events: number, head: Uint8Array): string | undefined =>
  refusalOf(() => {
    checkChain(emptyEventChain, { events, head })
  })

test('chains differ by their number of events or by their head', () => {
  expect(judgeChain(0, emptyEventChain.head)).toBeUndefined()
  expect(judgeChain(1, emptyEventChain.head)).toBe('event-chain-mismatch')
  expect(judgeChain(0, zeros(32))).toBe('event-chain-mismatch')
})

test('a prefix of the listed events is refused when the list does not give the signed head', () => {
  const other = withMembers(streamCall, 'stream', { head: zeros(32) })
  const held = { response: zeros(0), responseIsPrefix: true }
  const judge = (claims: typeof other.claims): string | undefined =>
    refusalOf(() => {
      checkResponseHeld(claims, open(), held)
    })
  expect(judge(streamCall.claims)).toBeUndefined()
  expect(judge(other.claims)).toBe('event-chain-mismatch')
})

test('a right digest with another length is refused', () => {
  const other = withMembers(jsonCall, 'request', { bytes: 1 })
  expect(
    refusalOf(() => {
      checkRequestHeld(other.claims, { request: jsonCall.request })
    }),
  ).toBe('request-bytes-mismatch')
})
