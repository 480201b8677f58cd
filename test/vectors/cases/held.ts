/** BU3.7 and BU3.8: what the caller holds is not what was signed. */
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { ErrorCode } from '@countersign/protocol/errors'
import type { Held } from '@countersign/protocol/verify/held-bytes'
import type { CheckId } from '@countersign/protocol/verify/policy'
import type { BundleCase } from '../bundle-case.ts'
import { zeros } from '../edits.ts'
import { forgeBundle } from '../forge.ts'
import { discloseOnly } from '../withhold.ts'
import {
  abortedCall,
  jsonCall,
  refusedCall,
  streamCall,
  streamElements,
  withMembers,
  withoutEvents,
  type SampleCall,
} from '../sample-call.ts'

type Row = readonly [
  name: string,
  clause: string,
  call: SampleCall,
  held: Held,
  check: CheckId,
  code: ErrorCode,
]

const prefix = (text: string): Held => ({ response: encodeUtf8(text), responseIsPrefix: true })
const [one = '', two = '', three = ''] = streamElements
const turned = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, index) => (index === 5 ? byte ^ 1 : byte))
const longer = (bytes: Uint8Array): Uint8Array => concatBytes(bytes, zeros(1))

const rows: readonly Row[] = [
  ['another nonce', 'BU3.7', jsonCall, { nonce: zeros(12) }, 'nonce', 'nonce-mismatch'],
  [
    'the beginning of the nonce',
    'BU3.7',
    jsonCall,
    { nonce: (jsonCall.nonce ?? zeros(0)).slice(0, 11) },
    'nonce',
    'nonce-mismatch',
  ],
  [
    'a nonce where none was sent',
    'BU3.7',
    refusedCall,
    { nonce: zeros(1) },
    'nonce',
    'nonce-mismatch',
  ],
  [
    'an empty nonce where none was sent',
    'BU3.7',
    refusedCall,
    { nonce: zeros(0) },
    'nonce',
    'nonce-mismatch',
  ],
  [
    'a request with one bit turned',
    'BU3.8',
    refusedCall,
    { request: turned(refusedCall.request) },
    'request-bytes',
    'request-bytes-mismatch',
  ],
  [
    'a request with one byte more',
    'BU3.8',
    refusedCall,
    { request: longer(refusedCall.request) },
    'request-bytes',
    'request-bytes-mismatch',
  ],
  [
    'no request at all',
    'BU3.8',
    refusedCall,
    { request: zeros(0) },
    'request-bytes',
    'request-bytes-mismatch',
  ],
  [
    'a response with one bit turned',
    'BU3.8',
    refusedCall,
    { response: turned(refusedCall.response) },
    'response-bytes',
    'response-bytes-mismatch',
  ],
  [
    'a response with one byte more',
    'BU3.8',
    refusedCall,
    { response: longer(refusedCall.response) },
    'response-bytes',
    'response-bytes-mismatch',
  ],
  [
    'a part of a stream as if it were the whole',
    'BU3.8',
    streamCall,
    { response: encodeUtf8(one) },
    'response-bytes',
    'response-bytes-mismatch',
  ],
  [
    'the whole stream of an aborted call',
    'BU3.8',
    abortedCall,
    { response: streamCall.response },
    'response-bytes',
    'response-bytes-mismatch',
  ],
  [
    'a right response with another head signed',
    'BU3.8',
    withMembers(withoutEvents(streamCall), 'stream', { head: zeros(32) }),
    { response: streamCall.response },
    'response-bytes',
    'event-chain-mismatch',
  ],
  [
    'a right response with another number of events signed',
    'BU3.8',
    withMembers(withoutEvents(streamCall), 'stream', { events: 4 }),
    { response: streamCall.response },
    'response-bytes',
    'event-chain-mismatch',
  ],
  [
    'a prefix that ends inside an event',
    'RC5.4',
    streamCall,
    prefix(one.slice(0, -1)),
    'response-bytes',
    'response-prefix-not-at-event-end',
  ],
  [
    'a prefix that ends between CR and LF of the empty line',
    'RC5.3',
    streamCall,
    prefix(one + two.slice(0, -1)),
    'response-bytes',
    'event-chain-mismatch',
  ],
  [
    'a whole stream that does not end at an event, as a prefix',
    'RC5.4',
    streamCall,
    { response: streamCall.response, responseIsPrefix: true },
    'response-bytes',
    'response-prefix-not-at-event-end',
  ],
  [
    'a prefix with another event that does not end, judged first',
    'BU3.8',
    streamCall,
    prefix('data: no\n\ndata'),
    'response-bytes',
    'response-prefix-not-at-event-end',
  ],
  [
    'a prefix with another event',
    'RC5.3',
    streamCall,
    prefix(`${one}${two}${three.replace('üße', 'uss')}`),
    'response-bytes',
    'event-chain-mismatch',
  ],
  [
    'a prefix without the first event',
    'RC5.3',
    streamCall,
    prefix(two),
    'response-bytes',
    'event-chain-mismatch',
  ],
  [
    'a prefix with more events than there were',
    'RC5.3',
    streamCall,
    prefix(`${streamElements.join('')}\n\n\n`),
    'response-bytes',
    'event-chain-mismatch',
  ],
  [
    'a prefix, and no digests',
    'BU3.8',
    withoutEvents(streamCall),
    prefix(one),
    'response-bytes',
    'response-prefix-unprovable',
  ],
  [
    'a prefix of a call that was no stream',
    'BU3.8',
    jsonCall,
    prefix(''),
    'response-bytes',
    'response-prefix-unprovable',
  ],
]

/** All cases. */
export function heldCases(): readonly BundleCase[] {
  return rows.map(([name, clause, call, held, check, code]) => ({
    name: `held: ${name}`,
    clause,
    bundle: forgeBundle(call, {
      // A prefix of a call without `stream` is judged only when nothing is withheld.
      ...(code === 'response-prefix-unprovable'
        ? {}
        : discloseOnly('request', 'response', 'stream')),
      evidence: 'none',
    }),
    held,
    verdict: 'invalid',
    level: 'L0',
    failed: { [check]: code },
  }))
}
