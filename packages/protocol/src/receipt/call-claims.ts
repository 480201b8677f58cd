/** The claims that have a meaning of their own (spec/receipt.md RC4), and their rules. */
import { equalBytes } from '../bytes/byte-string.ts'
import { isCborMap, type CborValue } from '../bytes/cbor-encode.ts'
import { openMap, textOf, type MapReader } from '../bytes/map-reader.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'
import { readAmount } from './charge.ts'

/** The claims that a statement discloses, by name. */
export type DisclosedClaims = ReadonlyMap<string, CborValue>

/** A body by its length and SHA-256. */
export type BodyDigest = { readonly bytes: number; readonly sha256: Uint8Array }

/** The names of the `model` claim. */
export type ModelClaim = { readonly requested: string; readonly asserted: string | null }

const code: ErrorCode = 'claim-schema'
// A body of empty lines would otherwise cost its verifier two hashes for each byte.
const maxStreamEvents = 2_097_152
const states = new Set(['complete', 'aborted-by-client', 'upstream-error', 'timeout'])
const usageSources = new Set(['provider', 'none'])
const receiptClaims = [
  'forwarded',
  'model',
  'outcome',
  'parameters',
  'price',
  'request',
  'response',
  'timing',
  'upstream',
  'upstream-response',
  'usage',
]
const refusalClaims = ['refusal', 'request', 'response']
// RC4.13: of a call that a crash cut short, nothing else is known.
const recoveredClaims = ['recovered']

const shapes = new Map<string, (value: CborValue) => unknown>([
  ['forwarded', readForwarded],
  ['model', readModel],
  ['outcome', readState],
  ['parameters', checkParameters],
  ['price', readPrice],
  ['recovered', checkRecovered],
  ['refusal', checkRefusal],
  ['request', checkRequest],
  ['response', readResponse],
  ['routing', readRouting],
  ['stream', readStream],
  ['timing', checkTiming],
  ['upstream', checkUpstream],
  ['upstream-response', readUpstreamResponse],
  ['usage', checkUsage],
])

/**
 * Judges the shape of every disclosed claim of RC4, in list order.
 *
 * @throws ProtocolError `claim-schema`.
 */
export function checkClaimShapes(claims: DisclosedClaims): void {
  for (const [name, value] of claims) shapes.get(name)?.(value)
}

/**
 * Judges RC4.1 and RC4.13 when everything is disclosed.
 *
 * @throws ProtocolError `claim-missing`.
 */
export function checkClaimsPresent(type: 'receipt' | 'refusal', claims: DisclosedClaims): void {
  // Whoever knows more than the request knows it all: `recovered` beside other claims excuses nothing.
  const isRecovered = claims.has('recovered') && !receiptClaims.some((name) => claims.has(name))
  const ofReceipt = isRecovered ? recoveredClaims : receiptClaims
  const required = type === 'receipt' ? ofReceipt : refusalClaims
  if (!required.every((name) => claims.has(name))) throw new ProtocolError('claim-missing')
}

/**
 * Judges RC4.2: what is declared identical is. False when a claim that this needs is withheld.
 *
 * @throws ProtocolError `identity-broken`.
 */
export function checkIdentity(claims: DisclosedClaims): boolean {
  const forwarded = judgeForwarded(claims)
  const response = judgeResponse(claims)
  return forwarded && response
}

/** The price of the call, or `undefined` when it is withheld. */
export function priceOf(claims: DisclosedClaims): bigint | undefined {
  return readClaim(claims, 'price', readPrice)
}

/** The request body as it was received. */
export function requestOf(claims: DisclosedClaims): BodyDigest | undefined {
  return readClaim(claims, 'request', checkRequest)
}

/** The body as it was returned. */
export function responseOf(claims: DisclosedClaims): BodyDigest | undefined {
  return readClaim(claims, 'response', readResponse)
}

/** The model as the caller asked and as the provider said. */
export function modelOf(claims: DisclosedClaims): ModelClaim | undefined {
  return readClaim(claims, 'model', readModel)
}

/** What the upstream was asked for, where the receipt says that it is another name than the caller's. */
export function routedModelOf(claims: DisclosedClaims): string | undefined {
  return readClaim(claims, 'routing', readRouting)
}

/** The host of the upstream; `undefined` when it is withheld, or the claim has not its shape. */
export function upstreamHostOf(claims: DisclosedClaims): string | undefined {
  const upstream = claims.get('upstream')
  const host = isCborMap(upstream) ? upstream.get('host') : undefined
  return typeof host === 'string' ? host : undefined
}

/** The event chain of a stream. */
export function streamOf(
  claims: DisclosedClaims,
): { readonly events: number; readonly head: Uint8Array } | undefined {
  return readClaim(claims, 'stream', readStream)
}

function judgeForwarded(claims: DisclosedClaims): boolean {
  const forwarded = readClaim(claims, 'forwarded', readForwarded)
  if (forwarded === undefined) return false
  if (forwarded.transform !== 'identity') return true
  const request = requestOf(claims)
  if (request === undefined) return false
  refuseOtherBody(forwarded, request)
  return true
}

function judgeResponse(claims: DisclosedClaims): boolean {
  const response = readClaim(claims, 'response', readResponse)
  if (response === undefined) return false
  if (response.transform !== 'identity') return true
  const upstream = readClaim(claims, 'upstream-response', readUpstreamResponse)
  const state = readClaim(claims, 'outcome', readState)
  if (upstream === undefined || state === undefined) return false
  if (state === 'complete') refuseOtherBody(response, upstream)
  if (response.bytes > upstream.bytes) throw new ProtocolError('identity-broken')
  return true
}

function refuseOtherBody(a: BodyDigest, b: BodyDigest): void {
  if (a.bytes !== b.bytes || !equalBytes(a.sha256, b.sha256)) {
    throw new ProtocolError('identity-broken')
  }
}

function readClaim<T>(
  claims: DisclosedClaims,
  name: string,
  read: (value: CborValue) => T,
): T | undefined {
  const value = claims.get(name)
  return value === undefined ? undefined : read(value)
}

function readBody(fields: MapReader): BodyDigest {
  return { bytes: fields.integer('bytes'), sha256: fields.bytes('sha256', 32, 32) }
}

function readForwarded(value: CborValue): BodyDigest & { readonly transform: string } {
  const fields = openMap(value, ['bytes', 'sha256', 'transform'], [], code)
  return { ...readBody(fields), transform: anyText(fields, 'transform') }
}

function readResponse(value: CborValue): BodyDigest & { readonly transform: string } {
  const fields = openMap(value, ['bytes', 'sha256', 'status', 'transform'], [], code)
  fields.integer('status')
  return { ...readBody(fields), transform: anyText(fields, 'transform') }
}

function readUpstreamResponse(value: CborValue): BodyDigest {
  const fields = openMap(value, ['bytes', 'sha256', 'status'], [], code)
  orNull(fields, 'status', () => fields.integer('status'))
  return readBody(fields)
}

function checkRequest(value: CborValue): BodyDigest {
  const fields = openMap(value, ['bytes', 'method', 'path', 'sha256'], [], code)
  anyText(fields, 'method')
  anyText(fields, 'path')
  return readBody(fields)
}

function readState(value: CborValue): string {
  const fields = openMap(value, ['error', 'finish', 'state'], [], code)
  orNull(fields, 'error', () => anyText(fields, 'error'))
  orNull(fields, 'finish', () => anyText(fields, 'finish'))
  return oneOf(fields, 'state', states)
}

function readPrice(value: CborValue): bigint {
  const fields = openMap(value, ['amount', 'sheet'], [], code)
  fields.bytes('sheet', 32, 32)
  return readAmount(fields, 'amount', code)
}

function readStream(value: CborValue): { readonly events: number; readonly head: Uint8Array } {
  const fields = openMap(value, ['events', 'head'], [], code)
  return {
    events: fields.integer('events', 0, maxStreamEvents),
    head: fields.bytes('head', 32, 32),
  }
}

function readModel(value: CborValue): ModelClaim {
  const fields = openMap(value, ['asserted', 'requested'], [], code)
  const requested = anyText(fields, 'requested')
  return { requested, asserted: textOrNull(fields, 'asserted') }
}

function readRouting(value: CborValue): string {
  return anyText(openMap(value, ['model'], [], code), 'model')
}

function checkParameters(value: CborValue): void {
  if (!isCborMap(value)) throw new ProtocolError(code)
  const texts = [...value.keys(), ...value.values()]
  if (!texts.every((text) => typeof text === 'string')) throw new ProtocolError(code)
}

function checkRecovered(value: CborValue): void {
  openMap(value, ['request'], [], code).bytes('request', 32, 32)
}

function checkRefusal(value: CborValue): void {
  const fields = openMap(value, ['code', 'status'], [], code)
  anyText(fields, 'code')
  fields.integer('status')
}

function checkTiming(value: CborValue): void {
  const fields = openMap(value, ['completed', 'firstByte', 'received'], [], code)
  fields.integer('completed')
  fields.integer('received')
  orNull(fields, 'firstByte', () => fields.integer('firstByte'))
}

function checkUpstream(value: CborValue): void {
  const fields = openMap(value, ['host', 'requestId', 'tls'], [], code)
  anyText(fields, 'host')
  orNull(fields, 'requestId', () => anyText(fields, 'requestId'))
  orNull(fields, 'tls', () => checkTls(fields.value('tls')))
}

function checkTls(value: CborValue): void {
  const fields = openMap(value, ['chain', 'spki', 'version'], [], code)
  fields.bytes('spki', 32, 32)
  anyText(fields, 'version')
  for (const hash of fields.array('chain', 1, 10)) {
    if (!(hash instanceof Uint8Array) || hash.length !== 32) throw new ProtocolError(code)
  }
}

function checkUsage(value: CborValue): void {
  const fields = openMap(value, ['input', 'output', 'raw', 'source'], [], code)
  orNull(fields, 'input', () => fields.integer('input'))
  orNull(fields, 'output', () => fields.integer('output'))
  orNull(fields, 'raw', () => anyText(fields, 'raw'))
  oneOf(fields, 'source', usageSources)
}

function orNull(fields: MapReader, key: string, read: () => unknown): void {
  if (fields.value(key) !== null) read()
}

function textOrNull(fields: MapReader, key: string): string | null {
  return fields.value(key) === null ? null : anyText(fields, key)
}

function anyText(fields: MapReader, key: string): string {
  const text = textOf(fields.value(key), 0, Number.MAX_SAFE_INTEGER)
  if (text === undefined) throw new ProtocolError(code)
  return text
}

function oneOf(fields: MapReader, key: string, values: ReadonlySet<string>): string {
  const text = anyText(fields, key)
  if (!values.has(text)) throw new ProtocolError(code)
  return text
}
