/**
 * DER (X.690) writer for the few ASN.1 types that an X.509 certificate needs. It only writes;
 * nothing here parses. Every function returns one complete tag-length-value element.
 */

const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** One element with the given tag byte and content. Content up to 65,535 bytes. */
export function derElement(tagByte: number, content: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(tagByte), derLength(content.length), content])
}

/** SEQUENCE of complete elements. */
export function derSequence(...elements: readonly Uint8Array[]): Uint8Array {
  return derElement(tag.sequence, Buffer.concat(elements))
}

/** SET of exactly one element, so that no DER ordering rule applies. */
export function derSetOfOne(element: Uint8Array): Uint8Array {
  return derElement(tag.set, element)
}

/** BOOLEAN. */
export function derBoolean(value: boolean): Uint8Array {
  return derElement(tag.boolean, Uint8Array.of(value ? 0xff : 0x00))
}

/** Non-negative INTEGER from big-endian bytes; leading zeros are removed, a sign byte is added. */
export function derUnsignedInteger(bigEndian: Uint8Array): Uint8Array {
  const firstNonZero = bigEndian.findIndex((byte) => byte !== 0)
  const magnitude = firstNonZero === -1 ? Uint8Array.of(0) : bigEndian.subarray(firstNonZero)
  const needsSignByte = (magnitude[0] ?? 0) >= 0x80
  const content = needsSignByte ? Buffer.concat([Uint8Array.of(0), magnitude]) : magnitude
  return derElement(tag.integer, content)
}

/** BIT STRING whose last `unusedBits` (0–7) bits are padding. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return derElement(tag.bitString, Buffer.concat([Uint8Array.of(unusedBits), bytes]))
}

/** OCTET STRING. */
export function derOctetString(bytes: Uint8Array): Uint8Array {
  return derElement(tag.octetString, bytes)
}

/** UTF8String. */
export function derUtf8String(text: string): Uint8Array {
  return derElement(tag.utf8String, Buffer.from(text, 'utf8'))
}

/** OBJECT IDENTIFIER from dotted decimal, for example `2.5.29.17`. */
export function derObjectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map((arc) => Number.parseInt(arc, 10))
  const content = [first * 40 + second, ...rest].flatMap(toBase128)
  return derElement(tag.objectIdentifier, Uint8Array.from(content))
}

/** Time in whole seconds: UTCTime from 1950 to 2049, GeneralizedTime otherwise (RFC 5280 §4.1.2.5). */
export function derTime(epochMs: number): Uint8Array {
  const iso = new Date(epochMs).toISOString()
  const digits = `${iso.slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  const year = Number.parseInt(iso.slice(0, 4), 10)
  const isUtcTime = year >= 1950 && year < 2050
  return isUtcTime
    ? derElement(tag.utcTime, Buffer.from(digits.slice(2), 'ascii'))
    : derElement(tag.generalizedTime, Buffer.from(digits, 'ascii'))
}

function derLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length)
  if (length < 0x100) return Uint8Array.of(0x81, length)
  return Uint8Array.of(0x82, length >> 8, length & 0xff)
}

function toBase128(arc: number): number[] {
  const bytes = [arc & 0x7f]
  for (let rest = arc >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80)
  return bytes
}
