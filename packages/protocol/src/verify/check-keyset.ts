/** What is judged of a keyset statement, in a bundle and in an attestation. */
import { equalBytes } from '../bytes/byte-string.ts'
import { ProtocolError } from '../errors.ts'
import { judgeCoseSignature, keyId } from '../receipt/cose.ts'
import { parseKeyset, type Keyset } from '../receipt/keyset.ts'
import type { KeysetPayload } from '../receipt/payload.ts'
import { parseStatement, type ParsedStatement } from '../receipt/statement.ts'
import type { Policy } from './policy.ts'
import { NotChecked } from './verdict.ts'

/** A keyset statement whose form was checked. */
export type KeysetStatement = ParsedStatement & {
  readonly payload: KeysetPayload
  readonly keyset: Keyset
}

/**
 * Parses a keyset statement and its document, in the order of BU3.14.
 *
 * @throws ProtocolError
 */
export function parseKeysetStatement(bytes: Uint8Array): KeysetStatement {
  const statement = parseStatement(bytes)
  const { payload } = statement
  if (payload.type !== 'keyset') throw new ProtocolError('payload-type-unsupported')
  const keyset = parseKeyset(payload.document)
  if (statement.issuer !== keyset.issuer) throw new ProtocolError('keyset-issuer-mismatch')
  checkDates(payload.timeMs, keyset)
  return { ...statement, payload, keyset }
}

/**
 * The receipt key that the keyset lists signed it (ST4.3).
 *
 * @throws ProtocolError
 */
export async function checkPossession({ cose, kid, keyset }: KeysetStatement): Promise<void> {
  const refused = await judgeCoseSignature(cose, keyset.receiptKey)
  if (refused !== undefined) throw new ProtocolError(refused)
  if (!equalBytes(kid, keyId(keyset.receiptKey))) throw new ProtocolError('keyset-key-not-listed')
}

/**
 * The time lies in the dates of the keyset (ST4.5).
 *
 * @throws ProtocolError `keyset-not-valid-at-time`.
 */
export function checkDates(timeMs: number, keyset: Keyset): void {
  // False for a time that is not a number: refused, not passed.
  const isWithin = timeMs >= keyset.notBeforeMs && timeMs <= keyset.notAfterMs
  if (!isWithin) throw new ProtocolError('keyset-not-valid-at-time')
}

/**
 * The policy takes the issuer (BU3.5).
 *
 * @throws ProtocolError `issuer-not-allowed`; NotChecked.
 */
export function checkIssuer({ issuer }: Keyset, { issuers }: Policy): string {
  if (issuers === 'any') throw new NotChecked('any-issuer')
  if (!issuers.has(issuer)) throw new ProtocolError('issuer-not-allowed')
  return issuer
}
