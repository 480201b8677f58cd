/** Turns what was seen into claims, signs the statement and keeps it (spec/receipt.md). */
import {
  defineCborRecord,
  type CborInput,
  type CborValue,
} from '@countersign/protocol/bytes/cbor-encode'
import { encodeAmount, type Charge } from '@countersign/protocol/receipt/charge'
import { createClaimsTree, saltBytes, type ClaimsTree } from '@countersign/protocol/receipt/claims'
import type { GatewayErrorCode } from '../errors.ts'
import { nativeSha256, nativeSha256Into } from '../keys/native-sha256.ts'
import { toUsageClaim } from '../metering/usage-claims.ts'
import { adapterVersion } from '../translation/adapters.ts'
import { adapterDigest } from '../translation/generated/adapter-digest.ts'
import { findAttachments, type Attachment } from './attachments.ts'
import type { AnswerTranslation } from './answer-translation.ts'
import type { SettledBill } from './bill.ts'
import { recordBody, type BodyRecord, type ExchangeRecord, type FailedAttempt } from './exchange.ts'
import type { ForwardedRequest, SentCall } from './forward-request.ts'
import type { FormPart } from './form-parts.ts'
import { sealedClaimOf } from '../sealed/sealed-connections.ts'
import type { Gateway } from './gateway.ts'
import type { IssuedReceipt } from './issued-receipt.ts'
import type { Call } from './open-call.ts'

/** What a refusal says of itself and of the body that was received. */
export type RefusalRecord = {
  readonly code: GatewayErrorCode
  readonly status: number
  readonly requestBody: Uint8Array
  readonly answerBody: Uint8Array
}

// Every receipt has these claims: their keys are encoded once.
const rewrittenBody = defineCborRecord('bytes', 'sha256', 'transform')
const modelRecord = defineCborRecord('asserted', 'requested')
const outcomeRecord = defineCborRecord('error', 'state', 'finish')
const priceRecord = defineCborRecord('sheet', 'amount')
const requestRecord = defineCborRecord('path', 'bytes', 'method', 'sha256')
const responseRecord = defineCborRecord('bytes', 'sha256', 'status', 'transform')
const streamRecord = defineCborRecord('head', 'events')
const timingRecord = defineCborRecord('received', 'completed', 'firstByte')
const statusBody = defineCborRecord('bytes', 'sha256', 'status')
const refusalRecord = defineCborRecord('code', 'status')

const noCharge: Charge = { scheme: 'none', amountAtomic: 0n }
const noEvents = new Uint8Array(0)

/** All of a statement but its charge: what depends on the bytes of others is done before a payment ends. */
export type ReceiptDraft = {
  readonly nonce: Uint8Array | undefined
  readonly tree: ClaimsTree
  /** Event digests, 32 bytes each. */
  readonly events: Uint8Array
}

/** A call whose exchange is over, and that is metered. */
export type EndedCall = SentCall & {
  readonly settled: SettledBill
  readonly exchange: ExchangeRecord
}

/**
 * Drafts the receipt of a call that was sent upstream (RC1.1).
 *
 * @throws RangeError for a claim that cannot be encoded.
 */
export function draftReceipt(
  gateway: Gateway,
  call: Call,
  nonce: Uint8Array | undefined,
  ended: EndedCall,
): ReceiptDraft {
  const { request, forwarded, bill, exchange } = ended
  const { route } = ended.chosen
  const { transform } = forwarded
  const { upstreamBody, upstreamStatus, observation } = exchange
  // In the order of their names (RC3.1): others would be sorted for each call.
  const claims = new Map<string, CborInput>([
    ['forwarded', rewrittenBody(forwarded.body.length, forwarded.bodyDigest(), transform)],
    ['model', modelRecord(observation.model, route.model)],
    ['outcome', outcomeRecord(exchange.error, exchange.state, observation.finish)],
    ['parameters', request.parameters],
    ['price', priceRecord(gateway.priceSheetDigest, encodeAmount(bill.priceAtomic))],
    ['request', requestClaim(call, { bytes: request.body.length, sha256: request.bodyDigest() })],
    ['response', responseClaim(exchange)],
    ['timing', timingRecord(call.receivedMs, gateway.nowMs(), exchange.firstByteMs)],
    ['upstream', exchange.upstreamClaim],
    ['upstream-response', statusBody(upstreamBody.bytes, upstreamBody.sha256, upstreamStatus)],
    ['usage', toUsageClaim(observation)],
  ])
  const { stream } = exchange
  if (stream !== undefined) {
    const { events, head } = stream.chain
    claims.set('stream', streamRecord(head, events))
  }
  addOccasionalClaims(claims, call, ended)
  addSealedClaim(claims, call)
  return createDraft(gateway, nonce, claims, stream?.digests ?? noEvents)
}

/** Says of a call that came sealed that it did, and to which key. */
function addSealedClaim(claims: Map<string, CborInput>, { request }: Call): void {
  const claim = sealedClaimOf(request.socket)
  if (claim !== undefined) claims.set('sealed', claim)
}

/** Claims of calls that have more to say than most. */
function addOccasionalClaims(
  claims: Map<string, CborInput>,
  { request: { url = '' }, path }: Call,
  { request, forwarded, chosen, bill, settled, exchange }: EndedCall,
): void {
  const { model, upstreamModel, upstream } = chosen.route
  if (bill.rates !== undefined) claims.set('rates', bill.rates)
  if (exchange.failed.length > 0 || chosen.isChoice) {
    claims.set('attempts', attemptsClaim(upstream.name, exchange.failed))
  }
  const { drain } = exchange
  if (drain !== undefined) claims.set('drain', pairs(['end', drain.end], ['left', drain.leftMs]))
  if (upstreamModel !== model) claims.set('routing', pairs(['model', upstreamModel]))
  if (settled.claim !== undefined) claims.set('metering', settled.claim)
  if (forwarded.translation !== undefined) {
    claims.set('translation', describeTranslation(forwarded, forwarded.translation))
  }
  if (url.length > path.length + 1) claims.set('query', url.slice(path.length + 1))
  const { answer } = exchange
  if (answer.kind === 'streamed' && answer.removed !== undefined) {
    const { data, start } = answer.removed
    claims.set('removed', pairs(['data', data], ['start', start]))
  }
  if (request.parts.length > 0) claims.set('parts', request.parts.map(toPartClaim))
  const attachments = request.parts.length > 0 ? [] : findAttachments(request.body)
  if (attachments.length > 0) claims.set('attachments', attachments.map(toAttachmentClaim))
}

function attemptsClaim(upstream: string, failed: readonly FailedAttempt[]): CborValue {
  return pairs(
    ['count', failed.length + 1],
    ['failed', failed.map((each) => pairs(['error', each.error], ['upstream', each.upstream]))],
    ['upstream', upstream],
  )
}

/** What turned the one request into the other, and the answer back (spec/translation.md TR6). */
function describeTranslation(
  { path }: ForwardedRequest,
  { adapter: { name }, headers }: AnswerTranslation,
): CborValue {
  return pairs(
    ['name', name],
    ['path', path],
    ['digest', Buffer.from(adapterDigest, 'hex')],
    ['headers', new Map(Object.entries(headers))],
    ['version', adapterVersion],
  )
}

function toAttachmentClaim({ start, ...body }: Attachment): CborValue {
  return bodyClaim(body, ['start', start])
}

function toPartClaim({ name, span, sha256 }: FormPart): CborValue {
  return bodyClaim({ bytes: span.end - span.start, sha256 }, ['name', name])
}

/** Signs and keeps the receipt. `onStored` is called when it is on the disk. */
export async function issueReceipt(
  gateway: Gateway,
  call: Call,
  draft: ReceiptDraft,
  charge: Charge,
  onStored?: () => void,
): Promise<IssuedReceipt> {
  return issue(gateway, call, 'receipt', draft, charge, onStored)
}

/** Issues the refusal of a call: nothing is charged. */
export async function issueRefusal(
  gateway: Gateway,
  call: Call,
  nonce: Uint8Array | undefined,
  refusal: RefusalRecord,
): Promise<IssuedReceipt> {
  const { code, status, requestBody, answerBody } = refusal
  // What is said to HEAD has no body on the wire (RFC 9110 §9.3.2).
  const returned = call.request.method === 'HEAD' ? noEvents : answerBody
  const claims = new Map<string, CborInput>([
    ['refusal', refusalRecord(code, status)],
    ['request', requestClaim(call, recordBody(requestBody))],
    ['response', answerClaim(recordBody(returned), status, 'gateway-error')],
  ])
  addSealedClaim(claims, call)
  return issue(gateway, call, 'refusal', createDraft(gateway, nonce, claims, noEvents), noCharge)
}

function createDraft(
  gateway: Gateway,
  nonce: Uint8Array | undefined,
  claims: ReadonlyMap<string, CborInput>,
  events: Uint8Array,
): ReceiptDraft {
  const salts = gateway.random(claims.size * saltBytes)
  return { nonce, tree: createClaimsTree(claims, salts, nativeSha256Into), events }
}

async function issue(
  gateway: Gateway,
  call: Call,
  type: 'receipt' | 'refusal',
  { nonce, tree, events }: ReceiptDraft,
  charge: Charge,
  onStored?: () => void,
): Promise<IssuedReceipt> {
  const timeMs = gateway.nowMs()
  const { statement, epoch } = await gateway.epochs.sign({
    type,
    id: call.id,
    timeMs,
    ...(nonce === undefined ? {} : { nonce }),
    charge,
    claimsRoot: tree.root,
    claimsCount: tree.entries.length,
  })
  const stored = {
    id: call.idHex,
    timeMs,
    tokenDigest: nativeSha256(call.token()),
    statement,
    claims: tree.entries,
    keysetDigest: epoch.keysetDigest,
    events,
  }
  if (type === 'receipt') gateway.receipts.put(stored, onStored)
  else gateway.receipts.putTransient(stored)
  return {
    idHex: call.idHex,
    token: call.token(),
    statement: Buffer.from(statement).toString('base64url'),
  }
}

function requestClaim({ request, path }: Call, { bytes, sha256 }: BodyRecord): CborInput {
  return requestRecord(path, bytes, request.method ?? '', sha256)
}

function answerClaim({ bytes, sha256 }: BodyRecord, status: number, transform: string): CborInput {
  return responseRecord(bytes, sha256, status, transform)
}

function responseClaim(exchange: ExchangeRecord): CborInput {
  const { answer, upstreamBody, returned = upstreamBody } = exchange
  switch (answer.kind) {
    case 'whole': {
      const body = answer.transform === 'identity' ? upstreamBody : recordBody(answer.body)
      return answerClaim(body, answer.status, answer.transform)
    }
    case 'streamed': {
      const own = answer.removed === undefined ? 'identity' : 'usage-removed'
      const { body, transform } = answer.translated ?? { body: returned, transform: own }
      return answerClaim(body, answer.status, transform)
    }
    case 'gone':
      return answerClaim(recordBody(noEvents), 0, 'gateway-error')
  }
}

function bodyClaim(body: BodyRecord, other: readonly [string, CborValue]): CborValue {
  return pairs(['bytes', body.bytes], ['sha256', body.sha256], other)
}

function pairs(...entries: readonly (readonly [string, CborValue])[]): CborValue {
  return new Map(entries)
}
