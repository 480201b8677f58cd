/** Statements: a payload signed under a protected header that names issuer and subject (spec/statement.md). */
import { concatBytes } from '../bytes/byte-string.ts'
import { encodeCbor } from '../bytes/cbor-encode.ts'
import { toHex } from '../bytes/text-encoding.ts'
import { openMap } from '../bytes/map-reader.ts'
import type { Es256Signer } from '../crypto/es256.ts'
import { ProtocolError } from '../errors.ts'
import {
  encodeCoseHeader,
  keyId,
  parseCoseHeader,
  parseCoseSign1,
  signUnderHeader,
  type CoseSign1,
} from './cose.ts'
import { checkKeysetPayload, encodePayload, parsePayload, type Payload } from './payload.ts'

/** A statement whose form was checked; nothing is said about its signature. */
export type ParsedStatement = {
  readonly cose: CoseSign1
  readonly kid: Uint8Array
  readonly issuer: string
  readonly payload: Payload
}

/** Most bytes of a statement (ST2.1). */
export const maxStatementBytes = 8192

const contentType = 'application/countersign+cbor'
const cwtClaims = 15
// Type, colon, 32 hex digits and the head of the text.
const subjectBytes = 48

/** Signs payloads (ST2): gives the bytes of a tagged COSE_Sign1, and of the payload in it. */
export type StatementSigner = (payload: Payload) => {
  readonly statement: Uint8Array
  readonly payloadBytes: Uint8Array
}

/** A signer of many statements: what is the same in all of their protected headers is encoded once. */
export function createStatementSigner(issuer: string, signer: Es256Signer): StatementSigner {
  const kid = keyId(signer.publicKey)
  const claims = new Map([
    [1, issuer],
    [2, ''],
  ])
  // The subject stands last (ST1.1, ST2.2), and an empty text is one byte.
  const beforeSubject = encodeCoseHeader(contentType, kid, [[cwtClaims, claims]]).slice(0, -1)
  return (payload) => {
    const payloadBytes = encodePayload(payload)
    const protectedBytes = concatBytes(beforeSubject, encodeCbor(subjectOf(payload), subjectBytes))
    return { statement: signUnderHeader(protectedBytes, payloadBytes, signer), payloadBytes }
  }
}

/** Signs one payload (ST2). The result is the bytes of a tagged COSE_Sign1. */
export function signStatement(payload: Payload, issuer: string, signer: Es256Signer): Uint8Array {
  return createStatementSigner(issuer, signer)(payload).statement
}

/**
 * Parses by ST1, ST2.1, ST2.2 and ST3, in the order of ST2.2.
 *
 * @throws ProtocolError `cbor-…`, `cose-…`, `payload-…`, `statement-subject-mismatch`, `keyset-digest-mismatch`.
 */
export function parseStatement(bytes: Uint8Array): ParsedStatement {
  const cose = parseCoseSign1(bytes, maxStatementBytes)
  const { kid, fields } = parseCoseHeader(cose.protectedBytes, contentType, [cwtClaims])
  const claims = openMap(fields.value(cwtClaims), [1, 2], [], 'cose-header-malformed')
  const issuer = claims.text(1, 1, 255)
  const subject = claims.text(2, 1, 255)
  const payload = parsePayload(cose.payloadBytes)
  if (subject !== subjectOf(payload)) throw new ProtocolError('statement-subject-mismatch')
  if (payload.type === 'keyset') checkKeysetPayload(payload)
  return { cose, kid, issuer, payload }
}

/** The subject of a payload (ST3.3). */
function subjectOf(payload: Payload): string {
  return `${payload.type}:${toHex(payload.id)}`
}
