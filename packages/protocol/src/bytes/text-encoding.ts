/** base64url (RFC 4648 §5, unpadded), base64 (§4, padded) and lower-case hex, all strict: one text for one byte string. */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
// By character code; -1 stands for what is not in the alphabet.
const sextets = Int8Array.from({ length: 128 }, (_, code) =>
  alphabet.indexOf(String.fromCharCode(code)),
)
const base64 = /^[A-Za-z0-9+/]*={0,2}$/
const hexDigits = '0123456789abcdef'
// By byte.
const hexPairs = Array.from(
  { length: 256 },
  (_, byte) => hexDigits.charAt(byte >> 4) + hexDigits.charAt(byte & 15),
)
// By character code, as above.
const nibbles = Int8Array.from({ length: 128 }, (_, code) =>
  hexDigits.indexOf(String.fromCharCode(code)),
)

/** Unpadded base64url. */
export function toBase64url(bytes: Uint8Array): string {
  let text = ''
  let held = 0
  let heldBits = 0
  for (const byte of bytes) {
    held = ((held & 15) << 8) | byte
    heldBits += 8
    while (heldBits >= 6) {
      heldBits -= 6
      text += alphabet.charAt((held >> heldBits) & 63)
    }
  }
  return heldBits === 0 ? text : text + alphabet.charAt((held << (6 - heldBits)) & 63)
}

/** The bytes, or `undefined` for padding, another alphabet, an impossible length or spare bits that are not zero. */
export function fromBase64url(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let held = 0
  let heldBits = 0
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const sextet = sextets[text.charCodeAt(index)]
    if (sextet === undefined || sextet < 0) return undefined
    held = ((held & 255) << 6) | sextet
    heldBits += 6
    if (heldBits >= 8) {
      heldBits -= 8
      bytes[length++] = (held >> heldBits) & 255
    }
  }
  const spareBits = held & ((1 << heldBits) - 1)
  return heldBits === 6 || spareBits !== 0 ? undefined : bytes
}

/** The bytes of padded base64, or `undefined` as above. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (!base64.test(text) || text.length % 4 !== 0) return undefined
  return fromBase64url(text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''))
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String(hexPairs[byte])
  return text
}

/** The bytes, or `undefined` for upper case, another alphabet or an odd length. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let index = 0; index < bytes.length; index++) {
    const high = nibbles[text.charCodeAt(2 * index)] ?? -1
    const low = nibbles[text.charCodeAt(2 * index + 1)] ?? -1
    if (high < 0 || low < 0) return undefined
    bytes[index] = (high << 4) | low
  }
  return bytes
}
