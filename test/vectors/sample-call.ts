/** The calls that the vectors are made of: bodies, and the claims that a gateway makes about them. */
import { encodeUtf8, concatBytes } from '@countersign/protocol/bytes/byte-string'
import { isCborMap, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { encodeAmount, type Charge } from '@countersign/protocol/receipt/charge'
import { chainDigests } from '@countersign/protocol/receipt/event-chain'
import { seededBytes } from './signers.ts'

/** The time at which the sample statements are signed, in milliseconds. */
export const signedAtMs = 1_800_000_000_000

/** A call of the vectors. */
export type SampleCall = {
  readonly name: string
  readonly type: 'receipt' | 'refusal'
  readonly claims: ReadonlyMap<string, CborValue>
  readonly charge: Charge
  readonly request: Uint8Array
  readonly response: Uint8Array
  readonly nonce?: Uint8Array
  /** True: the bundle shows no claim. */
  readonly isWithheld?: boolean
  /** d_1 ‖ … ‖ d_n. */
  readonly events?: Uint8Array
}

/** The events of the sample stream; the last element is no whole event. */
export const streamElements: readonly string[] = [
  'data: {"choices":[{"delta":{"content":"Gr"}}]}\n\n',
  ': keep-alive\r\n\r\n',
  'event: message\rdata: {"choices":[{"delta":{"content":"üße"}}]}\r\r',
  'data: {"choices":[{"finish_reason":"stop"}],\ndata: "usage":null}\n\n',
  'data: [DONE]\n',
]

const requestBody = encodeUtf8('{"model":"small-1","messages":[{"role":"user","content":"Hi"}]}')
const streamRequestBody = encodeUtf8('{"model":"small-1","stream":true,"messages":[]}')
const answerBody = encodeUtf8('{"choices":[{"message":{"content":"Grüße"}}]}')
const refusalBody = encodeUtf8('{"error":{"code":"model-unknown"}}')

/** An answer in one piece, paid for with an EIP-3009 transfer that was confirmed before signing. */
export const jsonCall: SampleCall = {
  name: 'json',
  type: 'receipt',
  claims: receiptClaims(requestBody, answerBody, answerBody, 'complete'),
  charge: exactCharge(1500n),
  request: requestBody,
  response: answerBody,
  nonce: seededBytes('nonce').subarray(0, 12),
}

const streamBody = encodeUtf8(streamElements.join(''))

/** A streamed answer, with the digests of its events. */
export const streamCall: SampleCall = streamed('stream', streamBody, 'complete')

/** A stream that the client gave up at the end of an event: what was returned is the beginning of what came. */
export const abortedCall: SampleCall = streamed(
  'aborted',
  encodeUtf8(streamElements.slice(0, 2).join('')),
  'aborted-by-client',
)

/** A call that the gateway refused. */
export const refusedCall: SampleCall = {
  name: 'refused',
  type: 'refusal',
  claims: new Map<string, CborValue>([
    ['refusal', fields({ code: 'model-unknown', status: 404 })],
    ['request', requestClaim(requestBody)],
    ['response', responseClaim(refusalBody, 404, 'gateway-error')],
  ]),
  charge: { scheme: 'none', amountAtomic: 0n },
  request: requestBody,
  response: refusalBody,
}

/** The smallest call: a refusal with one claim, for faults that have nothing to do with claims. */
export const smallCall: SampleCall = {
  ...refusedCall,
  name: 'small',
  claims: new Map([['refusal', null]]),
  isWithheld: true,
}

/** A text-keyed CBOR map. */
export function fields(members: Readonly<Record<string, CborValue>>): Map<string, CborValue> {
  return new Map(Object.entries(members))
}

/** An EIP-3009 charge whose settlement was confirmed before signing. */
export function exactCharge(amountAtomic: bigint): Charge {
  return { ...unconfirmedCharge(amountAtomic), settlementTransaction: seededBytes('transaction') }
}

/** An EIP-3009 charge that is settled later. */
export function unconfirmedCharge(amountAtomic: bigint): Charge & { readonly scheme: 'exact' } {
  return {
    scheme: 'exact',
    amountAtomic,
    network: 'eip155:84532',
    asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
    paymentId: seededBytes('payment'),
  }
}

/** An `upto` charge. */
export function uptoCharge(amountAtomic: bigint): Charge {
  const { network, asset, paymentId } = unconfirmedCharge(amountAtomic)
  return { scheme: 'upto', amountAtomic, network, asset, paymentId }
}

/** A charge on a channel. */
export function channelCharge(amountAtomic: bigint, cumulativeAtomic: bigint): Charge {
  const { network, asset } = unconfirmedCharge(amountAtomic)
  const paymentId = seededBytes('channel')
  return {
    scheme: 'batch-settlement',
    amountAtomic,
    network,
    asset,
    paymentId,
    cumulativeAtomic,
  }
}

/** A receipt about a call that a crash cut short. */
export const recoveredCall: SampleCall = {
  ...refusedCall,
  name: 'recovered',
  type: 'receipt',
  claims: new Map<string, CborValue>([['recovered', fields({ request: seededBytes('request') })]]),
  charge: uptoCharge(7n),
}

/** The call with this claim added or replaced. */
export function withClaim(call: SampleCall, name: string, value: CborValue): SampleCall {
  return { ...call, claims: new Map(call.claims).set(name, value) }
}

/** The call with some members of one claim replaced. */
export function withMembers(
  call: SampleCall,
  name: string,
  members: Readonly<Record<string, CborValue>>,
): SampleCall {
  const claim = call.claims.get(name)
  if (!isCborMap(claim)) throw new Error(`the sample has no claim ${name}`)
  return withClaim(call, name, new Map([...claim, ...Object.entries(members)]))
}

/** The call without the digests of its events. */
export function withoutEvents(call: SampleCall): SampleCall {
  const { events, ...rest } = call
  return events === undefined ? call : rest
}

/** All claims of a receipt but `stream`. */
function receiptClaims(
  request: Uint8Array,
  upstream: Uint8Array,
  response: Uint8Array,
  state: string,
): Map<string, CborValue> {
  const tls = fields({
    chain: [seededBytes('leaf'), seededBytes('authority')],
    spki: seededBytes('spki'),
    version: 'TLSv1.3',
  })
  return new Map<string, CborValue>([
    ['forwarded', fields({ ...digest(request), transform: 'identity' })],
    ['model', fields({ asserted: 'small-1-2026', requested: 'small-1' })],
    ['outcome', fields({ error: null, finish: 'stop', state })],
    ['parameters', fields({ model: '"small-1"', temperature: '0.70' })],
    ['price', fields({ amount: encodeAmount(2000n), sheet: seededBytes('sheet') })],
    ['request', requestClaim(request)],
    ['response', responseClaim(response, 200, 'identity')],
    ['timing', fields({ completed: signedAtMs, firstByte: null, received: signedAtMs - 900 })],
    ['upstream', fields({ host: 'api.example', requestId: null, tls })],
    ['upstream-response', fields({ ...digest(upstream), status: 200 })],
    ['usage', fields({ input: 9, output: null, raw: '{"in":9}', source: 'provider' })],
  ])
}

function streamed(name: string, response: Uint8Array, state: string): SampleCall {
  const events = streamDigests(response)
  const { events: count, head } = chainDigests(events)
  const claims = receiptClaims(streamRequestBody, streamBody, response, state)
  return {
    name,
    type: 'receipt',
    claims: claims.set('stream', fields({ events: count, head })),
    charge: exactCharge(2000n),
    request: streamRequestBody,
    response,
    events,
  }
}

/** Cut by the known elements, not by the code under test. */
function streamDigests(body: Uint8Array): Uint8Array {
  const digests: Uint8Array[] = []
  let offset = 0
  for (const element of streamElements) {
    const { length } = encodeUtf8(element)
    if (offset < body.length) digests.push(sha256(body.subarray(offset, offset + length)))
    offset += length
  }
  return concatBytes(...digests)
}

function digest(body: Uint8Array): { readonly bytes: number; readonly sha256: Uint8Array } {
  return { bytes: body.length, sha256: sha256(body) }
}

function requestClaim(body: Uint8Array): CborValue {
  return fields({ ...digest(body), method: 'POST', path: '/v1/chat/completions' })
}

function responseClaim(body: Uint8Array, status: number, transform: string): CborValue {
  return fields({ ...digest(body), status, transform })
}
