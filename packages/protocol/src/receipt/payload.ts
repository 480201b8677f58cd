/** The signed payload of a statement (spec/statement.md ST3). */
import { decodeCbor } from '../bytes/cbor-decode.ts'
import { defineCborRecord, encodeCbor, isCborMap, type CborValue } from '../bytes/cbor-encode.ts'
import { equalBytes } from '../bytes/byte-string.ts'
import { openMap, type MapReader } from '../bytes/map-reader.ts'
import { sha256 } from '../crypto/sha256.ts'
import { ProtocolError } from '../errors.ts'
import { encodeCharge, parseCharge, type Charge } from './charge.ts'

/** What every payload has. Times are milliseconds since the Unix epoch. */
type PayloadBase = {
  readonly id: Uint8Array
  readonly sequence: number
  readonly previous: Uint8Array
  readonly keysetDigest: Uint8Array
  readonly timeMs: number
}

/** The payload of a receipt or a refusal. */
export type CallPayload = PayloadBase & {
  readonly type: 'receipt' | 'refusal'
  readonly nonce?: Uint8Array
  readonly charge: Charge
  readonly claimsRoot: Uint8Array
  readonly claimsCount: number
}

/** The payload of the statement that opens a keyset. */
export type KeysetPayload = PayloadBase & {
  readonly type: 'keyset'
  readonly document: Uint8Array
}

/** Any payload of this version. */
export type Payload = CallPayload | KeysetPayload

/** Most claims that one statement can have. */
export const maxClaims = 64

const version = 1
const typeNumbers = { receipt: 1, refusal: 2, keyset: 3 } as const
const baseKeys = [1, 2, 3, 4, 5, 6, 7]
const zero32 = new Uint8Array(32)

const keysetRecord = defineCborRecord(1, 2, 3, 4, 5, 6, 7, 12)
const callRecord = defineCborRecord(1, 2, 3, 4, 5, 6, 7, 9, 10, 11)
const nonceRecord = defineCborRecord(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)

/** Deterministic CBOR of a payload. */
export function encodePayload(payload: Payload): Uint8Array {
  const base = [
    version,
    typeNumbers[payload.type],
    payload.id,
    payload.sequence,
    payload.previous,
    payload.keysetDigest,
    payload.timeMs,
  ] as const
  if (payload.type === 'keyset') return encodeCbor(keysetRecord(...base, payload.document))
  const { nonce, claimsRoot, claimsCount } = payload
  const charge = encodeCharge(payload.charge)
  return encodeCbor(
    nonce === undefined
      ? callRecord(...base, charge, claimsRoot, claimsCount)
      : nonceRecord(...base, nonce, charge, claimsRoot, claimsCount),
  )
}

/**
 * Parses by ST3.1 and ST3.2.
 *
 * @throws ProtocolError `cbor-…`, `payload-…`.
 */
export function parsePayload(bytes: Uint8Array): Payload {
  const value = decodeCbor(bytes, bytes.length)
  if (!isCborMap(value)) throw new ProtocolError('payload-malformed')
  if (value.get(1) !== version) throw new ProtocolError('payload-version-unsupported')
  const type = value.get(2)
  if (type === typeNumbers.receipt) return parseCallPayload('receipt', value)
  if (type === typeNumbers.refusal) return parseCallPayload('refusal', value)
  if (type === typeNumbers.keyset) return parseKeysetPayload(value)
  throw new ProtocolError('payload-type-unsupported')
}

function parseCallPayload(type: 'receipt' | 'refusal', value: CborValue): CallPayload {
  const fields = openMap(value, [...baseKeys, 9, 10, 11], [8], 'payload-malformed')
  const payload = {
    type,
    ...parseBase(fields),
    charge: parseCharge(fields.value(9)),
    claimsRoot: fields.bytes(10, 32, 32),
    claimsCount: fields.integer(11, 1, maxClaims),
  }
  return fields.has(8) ? { ...payload, nonce: fields.bytes(8, 1, 64) } : payload
}

/** A keyset opens a sequence (ST3.4); the digest is judged by the caller after the subject. */
function parseKeysetPayload(value: CborValue): KeysetPayload {
  const fields = openMap(value, [...baseKeys, 12], [], 'payload-malformed')
  return { type: 'keyset', ...parseBase(fields), document: fields.bytes(12, 0, bytesWithoutLimit) }
}

/**
 * Judges ST3.4: sequence 0, no previous statement, and the digest of the very document.
 *
 * @throws ProtocolError `payload-malformed`, `keyset-digest-mismatch`.
 */
export function checkKeysetPayload(payload: KeysetPayload): void {
  if (payload.sequence !== 0 || !equalBytes(payload.previous, zero32)) {
    throw new ProtocolError('payload-malformed')
  }
  if (!equalBytes(payload.keysetDigest, sha256(payload.document))) {
    throw new ProtocolError('keyset-digest-mismatch')
  }
}

// The statement's own limit bounds the document; ST4.1 has the exact one.
const bytesWithoutLimit = Number.MAX_SAFE_INTEGER

function parseBase(fields: MapReader): PayloadBase {
  return {
    id: fields.bytes(3, 16, 16),
    sequence: fields.integer(4),
    previous: fields.bytes(5, 32, 32),
    keysetDigest: fields.bytes(6, 32, 32),
    timeMs: fields.integer(7),
  }
}
