/**
 * The answer of AWS's security module: a CBOR map {"Attestation": {"document": bytes}} or {"Error": text}, at the
 * beginning of a buffer whose rest means nothing. Nothing of the wrapping is signed, so it may have any form.
 */
import { AttestationError } from './attestation-error.ts'

type Cursor = { readonly bytes: Uint8Array; offset: number }

const indefiniteMap = 0xbf
const mapOfOne = 0xa1
const bytesMajor = 2
const textMajor = 3
const errorForm = /^[A-Za-z]{1,32}$/

/**
 * The document of an answer.
 *
 * @throws AttestationError `attester-refused` when the module names an error, `attester-malformed`.
 */
export function readNsmAnswer(bytes: Uint8Array): Uint8Array {
  const cursor: Cursor = { bytes, offset: 0 }
  const kind = openMember(cursor)
  if (kind === 'Error') {
    const error = takeText(cursor)
    if (!errorForm.test(error)) throw malformed()
    throw new AttestationError('attester-refused', `NSM: ${error}`)
  }
  if (kind !== 'Attestation' || openMember(cursor) !== 'document') throw malformed()
  return Uint8Array.from(takeString(cursor, bytesMajor))
}

/** Enters a map and gives its first name: each map of the answer has one. */
function openMember(cursor: Cursor): string {
  const head = takeInteger(cursor, 1)
  if (head !== mapOfOne && head !== indefiniteMap) throw malformed()
  return takeText(cursor)
}

function takeText(cursor: Cursor): string {
  return Buffer.from(takeString(cursor, textMajor)).toString('latin1')
}

function takeString(cursor: Cursor, major: number): Uint8Array {
  const head = takeInteger(cursor, 1)
  const information = head & 31
  if (head >> 5 !== major || information > 26) throw malformed()
  const length = information < 24 ? information : takeInteger(cursor, 1 << (information - 24))
  return take(cursor, length)
}

function takeInteger(cursor: Cursor, width: number): number {
  return take(cursor, width).reduce((sum, byte) => sum * 256 + byte, 0)
}

function take(cursor: Cursor, length: number): Uint8Array {
  const { bytes, offset } = cursor
  if (length > bytes.length - offset) throw malformed()
  cursor.offset += length
  return bytes.subarray(offset, cursor.offset)
}

function malformed(): AttestationError {
  return new AttestationError('attester-malformed', 'answer of the security module')
}
