/** The form of a secp256k1 signature, as strict as the contracts (spec/payment.md PA15.5). */
import { compareBytes, copyBytes } from '../bytes/byte-string.ts'
import { fromHex, toHex } from '../bytes/text-encoding.ts'
import { encodeWord, type Hex } from './evm-word.ts'
import { PaymentError } from './payment-code.ts'

/** r ‖ s, and which of the two possible keys made it. */
export type EvmSignature = { readonly compact: Uint8Array; readonly recovery: 0 | 1 }

/**
 * The address (20 bytes) whose key made this signature of a 32-byte digest, or undefined when no key did. A seam:
 * native code on a server, portable code in a browser.
 */
export type RecoverAddress = (digest: Uint8Array, signature: EvmSignature) => Uint8Array | undefined

const form = /^0x[0-9a-fA-F]{130}$/
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const zeroWord = encodeWord(0n)
const orderWord = encodeWord(order)
const maxSWord = encodeWord(order >> 1n)

/**
 * r ‖ s ‖ v in 65 bytes of hex. What the contract would refuse later is refused here: otherwise a voucher would be
 * served that can never be claimed, and it would hold up the claims of others (F10).
 *
 * @throws PaymentError `payment-malformed` for another form, `payment-signature-malformed` for numbers out of range.
 */
export function parseEvmSignature(value: unknown): EvmSignature {
  const hex = typeof value === 'string' && form.test(value) ? value.slice(2).toLowerCase() : ''
  const bytes = fromHex(hex)
  if (bytes?.length !== 65) {
    throw new PaymentError('payment-malformed', 'A signature is 0x and 130 hex digits.')
  }
  const v = bytes[64]
  if (v !== 27 && v !== 28) throw outOfRange('v is not 27 or 28')
  const r = bytes.subarray(0, 32)
  const s = bytes.subarray(32, 64)
  if (compareBytes(r, zeroWord) === 0 || compareBytes(r, orderWord) >= 0) {
    throw outOfRange('r is out of range')
  }
  if (compareBytes(s, zeroWord) === 0 || compareBytes(s, maxSWord) > 0) {
    throw outOfRange('s is out of range, or high')
  }
  return { compact: copyBytes(bytes, 0, 64), recovery: v === 27 ? 0 : 1 }
}

/** The 65 bytes that contracts take, in hex. */
export function encodeEvmSignature({ compact, recovery }: EvmSignature): Hex {
  return `0x${toHex(compact)}${recovery === 0 ? '1b' : '1c'}`
}

function outOfRange(detail: string): PaymentError {
  return new PaymentError('payment-signature-malformed', `The signature's ${detail}.`)
}
