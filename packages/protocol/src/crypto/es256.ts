/** ES256 as spec/statement.md ST2.3 and ST2.4 have it: raw 64-byte keys and low-s signatures. */
import { compareBytes, concatBytes, equalBytes } from '../bytes/byte-string.ts'
import type { ErrorCode } from '../errors.ts'
import { verifySignature } from './verify-signature.ts'

/** Signs with a P-256 key. `publicKey` is x ‖ y; `sign` returns r ‖ s with a low s over SHA-256 of the message. */
export type Es256Signer = {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
}

const groupOrder = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const order = toBytes(groupOrder)
const halfOrder = toBytes(groupOrder / 2n)
const zero = new Uint8Array(32)
const uncompressedPoint = Uint8Array.of(4)
const es256 = { name: 'ECDSA', hash: 'SHA-256' } as const

/** The refusal that ST2.4 has for this signature, or `undefined` when it verifies. */
export async function judgeEs256(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<ErrorCode | undefined> {
  const form = judgeSignatureForm(signature)
  if (form !== undefined) return form
  const key = { kind: 'P-256', bytes: concatBytes(uncompressedPoint, publicKey) } as const
  const verifies = await verifySignature(key, es256, signature, message)
  return verifies ? undefined : 'signature-invalid'
}

/** The same signature with s replaced by n − s where s is high: what a signer must do (ST2.4). */
export function toLowS(signature: Uint8Array): Uint8Array {
  const s = signature.subarray(32)
  if (compareBytes(s, halfOrder) <= 0) return signature
  const low = concatBytes(signature)
  const words = new DataView(low.buffer, 32)
  const orderWords = new DataView(order.buffer)
  let borrow = 0
  for (let offset = 28; offset >= 0; offset -= 4) {
    const difference = orderWords.getUint32(offset) - words.getUint32(offset) - borrow
    borrow = difference < 0 ? 1 : 0
    words.setUint32(offset, difference)
  }
  return low
}

function judgeSignatureForm(signature: Uint8Array): ErrorCode | undefined {
  const r = signature.subarray(0, 32)
  const s = signature.subarray(32)
  const isZero = equalBytes(r, zero) || equalBytes(s, zero)
  if (signature.length !== 64 || isZero || compareBytes(r, order) >= 0) {
    return 'cose-signature-malformed'
  }
  return compareBytes(s, halfOrder) > 0 ? 'cose-signature-high-s' : undefined
}

function toBytes(scalar: bigint): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: 32 }, (_, place) =>
    Number((scalar >> BigInt(248 - 8 * place)) & 255n),
  )
}
