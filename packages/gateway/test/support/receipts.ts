/** Fetches the receipt of an answer and verifies it against the very bytes sent and received. */
import type { IncomingHttpHeaders } from 'node:http'
import { expect } from 'vitest'
import { defaultPolicy, parseBundle, verify, type Verdict } from '@countersign/protocol'
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseClaim } from '@countersign/protocol/receipt/claims'
import type { CallPayload } from '@countersign/protocol/receipt/payload'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import type { Held } from '@countersign/protocol/verify/held-bytes'
import { callRaw, type RawResult } from '../../../../test/provider/raw-client.ts'

/** A CBOR value as plain data: maps become objects, byte strings lower-case hex. */
export type Plain = string | number | boolean | null | readonly Plain[] | PlainObject

/** An object of plain data. */
export interface PlainObject {
  readonly [name: string]: Plain
}

/** A receipt or refusal that was fetched, with its claims by name. */
export interface FetchedReceipt {
  readonly bundle: Uint8Array
  readonly payload: CallPayload
  readonly claims: PlainObject
  /** Unpadded base64url. */
  readonly statement: string
}

/** Fetches a bundle; `token` null asks as a stranger. */
export async function fetchReceipt(
  origin: string,
  id: string,
  token: string | null,
  waitSeconds = 0,
): Promise<FetchedReceipt> {
  const answer = await callRaw({
    url: `${origin}/v1/receipts/${id}?wait=${waitSeconds}`,
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
  })
  expect(answer.status, answer.body.toString()).toBe(200)
  return readReceipt(answer.body)
}

/** Opens a bundle without judging it. */
export function readReceipt(bytes: Uint8Array): FetchedReceipt {
  const bundle = parseBundle(bytes)
  const { payload } = parseStatement(bundle.statement)
  if (payload.type === 'keyset') throw new Error('a keyset is no receipt')
  const claims = bundle.claims.flatMap((entry) =>
    entry.kind === 'claim' ? [parseClaim(entry.bytes)] : [],
  )
  return {
    bundle: bytes,
    payload,
    claims: Object.fromEntries(claims.map(({ name, value }) => [name, toPlain(value)])),
    statement: toBase64url(bundle.statement),
  }
}

/** The receipt id and token that an answer carries. */
export function receiptOf(headers: IncomingHttpHeaders): {
  readonly id: string
  readonly token: string
} {
  const id = headers['x-receipt-id']
  const token = headers['x-receipt-token']
  expect(id).toMatch(/^[0-9a-f]{32}$/)
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/)
  return { id: String(id), token: String(token) }
}

/** Judges a bundle by the default policy. */
export async function judge(receipt: FetchedReceipt, held: Held): Promise<Verdict> {
  return verify(receipt.bundle, defaultPolicy, Date.now(), held)
}

/** Fetches the receipt of an answer and expects it to verify against what the caller holds. */
export async function expectVerified(
  origin: string,
  answer: Pick<RawResult, 'headers' | 'body'>,
  request: Uint8Array | string,
  held: Held = { response: answer.body },
): Promise<FetchedReceipt> {
  const { id, token } = receiptOf(answer.headers)
  const receipt = await fetchReceipt(origin, id, token, 60)
  expect(toHex(receipt.payload.id)).toBe(id)
  const verdict = await judge(receipt, { request: Buffer.from(request), ...held })
  const problems = verdict.checks.filter(({ status }) => status === 'failed')
  expect(problems).toEqual([])
  expect(verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
  return receipt
}

function toPlain(value: CborValue): Plain {
  if (value instanceof Uint8Array) return toHex(value)
  if (value instanceof Map) {
    return Object.fromEntries(Array.from(value, ([key, member]) => [String(key), toPlain(member)]))
  }
  if (isArray(value)) return value.map(toPlain)
  if (typeof value === 'object' && value !== null) throw new Error('no CBOR value')
  return value
}

function isArray(value: CborValue): value is readonly CborValue[] {
  return Array.isArray(value)
}
