/** Comparing and joining byte strings, and text as UTF-8. */

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** True when both have the same bytes. Not constant-time: for public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return compareBytes(a, b) === 0
}

/** Bytewise order: negative, 0 or positive. A prefix comes before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; ; index++) {
    const byteOfA = a[index]
    const byteOfB = b[index]
    if (byteOfA === undefined || byteOfB === undefined) return a.length - b.length
    if (byteOfA !== byteOfB) return byteOfA - byteOfB
  }
}

/**
 * The order of two texts by their UTF-8 bytes, without encoding them. Both have paired surrogates only.
 *
 * UTF-16 units sort like UTF-8 but for surrogates, which stand for code points above all other units.
 */
export function compareTexts(a: string, b: string): number {
  const shared = Math.min(a.length, b.length)
  for (let index = 0; index < shared; index++) {
    const unitOfA = a.charCodeAt(index)
    const unitOfB = b.charCodeAt(index)
    if (unitOfA !== unitOfB) return rank(unitOfA) - rank(unitOfB)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  const isSurrogate = unit >= 0xd800 && unit < 0xe000
  return isSurrogate ? unit + 0x10000 : unit
}

/** All parts in one new byte string. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** A copy of a part, always a plain Uint8Array: a Buffer's own slice would be a view. */
export function copyBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(bytes.subarray(start, end))
  return copy
}

/** UTF-8 of a text; unpaired surrogates become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  return utf8Encoder.encode(text)
}

/**
 * Bytes of the UTF-8 of a text, without encoding it.
 *
 * @throws RangeError for unpaired surrogates.
 */
export function utf8Length(text: string): number {
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) length += 1
    else if (unit < 0x800) length += 2
    else if (unit < 0xd800 || unit > 0xdfff) length += 3
    else {
      const isPair = unit < 0xdc00 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00
      if (!isPair) throw new RangeError('a text with unpaired surrogates')
      length += 4
      index++
    }
  }
  return length
}

/** Strict UTF-8, byte order marks kept; `undefined` when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    return undefined
  }
}
