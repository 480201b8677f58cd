/** Messages of HTTP in binary (RFC 9292, indeterminate length): what is sealed. */
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { encodeInteger, readInteger } from './quic-integer.ts'
import { SealedError } from './sealed-error.ts'

/** Name in lower case, and value. */
export type Field = readonly [name: string, value: string]

/** A request, whole. */
export type BinaryRequest = {
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly fields: readonly Field[]
  readonly body: Uint8Array
}

/** Reads an answer as it arrives. */
export type ResponseReader = {
  /** Status and fields, once; the content that is there now. */
  push(bytes: Uint8Array): {
    readonly head: { readonly status: number; readonly fields: readonly Field[] } | undefined
    readonly content: Uint8Array
  }
  /** The trailer fields of an answer that has ended. */
  end(): readonly Field[]
}

/** Most bytes of a section of fields, and of the method, the path and the authority. */
const maxSectionBytes = 65_536
/** Most pieces of the content of a request. */
const maxPieces = 16_384
const requestFraming = 2
const responseFraming = 3
const scheme = 'https'
const methodForm = /^[A-Z]{1,16}$/
const pathForm = /^\/[\u0021-\u007e]{0,8191}$/
const authorityForm = /^[\u0021-\u007e]{1,255}$/
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/
const fieldValue = /^[\t\u0020-\u007e\u0080-\u00ff]*$/
const noBytes = new Uint8Array(0)

/** A request with its content in one piece. */
export function encodeRequest({
  method,
  path,
  authority,
  fields,
  body,
}: BinaryRequest): Uint8Array {
  return concatBytes(
    encodeInteger(requestFraming),
    ...[method, scheme, authority, path].map((text) => withLength(encodeUtf8(text))),
    encodeFields(fields),
    encodeContent(body),
    encodeInteger(0),
    encodeFields([]),
  )
}

/** The beginning of an answer. */
export function encodeResponseHead(status: number, fields: readonly Field[]): Uint8Array {
  return concatBytes(encodeInteger(responseFraming), encodeInteger(status), encodeFields(fields))
}

/** A piece of content; of an empty one, nothing. */
export function encodeContent(content: Uint8Array): Uint8Array {
  return content.length === 0 ? noBytes : withLength(content)
}

/** The end of an answer. */
export function encodeResponseEnd(trailers: readonly Field[]): Uint8Array {
  return concatBytes(encodeInteger(0), encodeFields(trailers))
}

/**
 * Parses a whole request: nothing is missing, nothing follows, and no field could be read as two.
 *
 * @throws SealedError `sealed-malformed`.
 */
export function parseRequest(bytes: Uint8Array): BinaryRequest {
  const reader = createCursor()
  reader.push(bytes)
  if (reader.integer() !== requestFraming) throw malformed()
  const [method, sentScheme, authority, path] = [0, 1, 2, 3].map(() => reader.text())
  const fields = reader.fields()
  const pieces: Uint8Array[] = []
  for (let piece = need(reader.piece()); piece.length > 0; piece = need(reader.piece())) {
    pieces.push(piece)
    // Each costs more than it holds.
    if (pieces.length > maxPieces) throw malformed()
  }
  const trailers = need(reader.fields())
  if (!reader.isEmpty() || trailers.length > 0 || sentScheme !== scheme) throw malformed()
  return {
    method: matching(methodForm, method),
    path: matching(pathForm, path),
    authority: matching(authorityForm, authority),
    fields: need(fields),
    body: concatBytes(...pieces),
  }
}

/**
 * A reader of one answer.
 *
 * @throws SealedError `sealed-malformed`, `sealed-truncated`, from its methods.
 */
export function createResponseReader(): ResponseReader {
  const reader = createCursor()
  // Owned by this reader: what was read so far.
  let state: 'head' | 'content' | 'trailers' | 'done' = 'head'
  let trailers: readonly Field[] = []

  function readHead(): { readonly status: number; readonly fields: readonly Field[] } | undefined {
    return reader.attempt(() => {
      const framing = reader.integer()
      const status = reader.integer()
      const fields = reader.fields()
      if (framing !== undefined && framing !== responseFraming) throw malformed()
      if (status === undefined || fields === undefined) return undefined
      // Informational answers mean nothing here.
      if (status < 200 || status > 599) throw malformed()
      return { status, fields }
    })
  }

  function readContent(): Uint8Array {
    const pieces: Uint8Array[] = []
    while (state === 'content') {
      const piece = reader.attempt(() => reader.piece())
      if (piece === undefined) break
      if (piece.length === 0) state = 'trailers'
      else pieces.push(piece)
    }
    return concatBytes(...pieces)
  }

  return {
    push: (bytes) => {
      reader.push(bytes)
      const head = state === 'head' ? readHead() : undefined
      if (head !== undefined) state = 'content'
      const content = readContent()
      const read = state === 'trailers' ? reader.attempt(() => reader.fields()) : undefined
      if (read !== undefined) {
        trailers = read
        state = 'done'
      }
      if (state === 'done' && !reader.isEmpty()) throw malformed()
      return { head, content }
    },
    end: () => {
      if (state !== 'done') throw new SealedError('sealed-truncated')
      return trailers
    },
  }
}

type Cursor = {
  push(bytes: Uint8Array): void
  isEmpty(): boolean
  /** Takes back what `read` took when it gives `undefined`. */
  attempt<T>(read: () => T | undefined): T | undefined
  integer(): number | undefined
  /** Bytes with their length before them. */
  piece(): Uint8Array | undefined
  text(): string | undefined
  fields(): readonly Field[] | undefined
}

function createCursor(): Cursor {
  // Owned by this cursor.
  let held = noBytes
  let at = 0
  const integer = (): number | undefined => {
    const read = readInteger(held, at)
    if (read === undefined) return undefined
    at = read.end
    return read.value
  }
  const piece = (): Uint8Array | undefined => {
    const length = integer()
    if (length === undefined || at + length > held.length) return undefined
    at += length
    return held.slice(at - length, at)
  }
  const text = (): string | undefined => {
    const bytes = piece()
    // A text takes many times the room of its bytes.
    if (bytes !== undefined && bytes.length > maxSectionBytes) throw malformed()
    return bytes && toLatin1(bytes)
  }
  const fields = (): readonly Field[] | undefined => {
    const found: Field[] = []
    const begin = at
    for (;;) {
      const name = text()
      if (at - begin > maxSectionBytes) throw malformed()
      if (name === '') return found
      const value = text()
      if (name === undefined || value === undefined) {
        if (held.length - begin > maxSectionBytes) throw malformed()
        return undefined
      }
      if (!fieldName.test(name) || !fieldValue.test(value)) throw malformed()
      found.push([name, value])
    }
  }
  return {
    push: (bytes) => {
      held = new Uint8Array(concatBytes(held.subarray(at), bytes))
      at = 0
    },
    isEmpty: () => at === held.length,
    attempt: (read) => {
      const begin = at
      const result = read()
      if (result === undefined) at = begin
      return result
    },
    integer,
    piece,
    text,
    fields,
  }
}

function encodeFields(fields: readonly Field[]): Uint8Array {
  const lines = fields.flatMap(([name, value]) => [fromLatin1(name), fromLatin1(value)])
  return concatBytes(...lines.map(withLength), encodeInteger(0))
}

function withLength(bytes: Uint8Array): Uint8Array {
  return concatBytes(encodeInteger(bytes.length), bytes)
}

function toLatin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
}

function fromLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw malformed()
  return value
}

function matching(form: RegExp, text: string | undefined): string {
  const found = need(text)
  if (!form.test(found)) throw malformed()
  return found
}

function malformed(): SealedError {
  return new SealedError('sealed-malformed')
}
