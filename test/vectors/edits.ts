/** Small faults, to be put into statements, keysets and evidence. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { toLowS } from '@countersign/protocol/crypto/es256'
import { encodeCoseSign1, parseCoseSign1 } from '@countersign/protocol/receipt/cose'
import { editField, type ByteEdit, type Edit, type Fields } from './forge.ts'

/** n, the order of P-256. */
export const groupOrder: bigint = BigInt(
  '0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
)

/** So many zero bytes. */
export function zeros(length: number): Uint8Array {
  return new Uint8Array(length)
}

/** A COSE_Sign1 tag and what follows it. */
export function tagged(parts: CborValue): Uint8Array {
  return concatBytes(Uint8Array.of(0xd2), encodeCbor(parts))
}

/** An array in an array, and so on, so deep. */
export function nested(depth: number): CborValue {
  return depth === 0 ? 0 : [nested(depth - 1)]
}

/** Sets a field. */
export function set(key: number | string, value: CborValue): Edit {
  return (fields: Fields) => {
    fields.set(key, value)
  }
}

/** Removes a field. */
export function remove(key: number): Edit {
  return (fields: Fields) => {
    fields.delete(key)
  }
}

/** Changes the map that stands at a key. */
export function within(key: number, edit: Edit): Edit {
  return (fields: Fields) => {
    editField(fields, key, edit)
  }
}

/** Adds to a field that is an integer. */
export function add(key: number, difference: number): Edit {
  return (fields: Fields) => {
    fields.set(key, Number(fields.get(key)) + difference)
  }
}

/** Puts these bytes in the place of one. */
export function replaceByte(index: number, ...bytes: readonly number[]): ByteEdit {
  return (given) =>
    concatBytes(given.slice(0, index), Uint8Array.from(bytes), given.slice(index + 1))
}

/** Appends these bytes. */
export function append(...bytes: readonly number[]): ByteEdit {
  return (given) => concatBytes(given, Uint8Array.from(bytes))
}

/** Changes the signature of a COSE_Sign1, and its payload without signing again. */
export function signatureOf(edit: ByteEdit, payload: ByteEdit = (bytes) => bytes): ByteEdit {
  return (bytes) => {
    const cose = parseCoseSign1(bytes, bytes.length)
    return encodeCoseSign1({
      protectedBytes: cose.protectedBytes,
      payloadBytes: payload(cose.payloadBytes),
      signature: edit(cose.signature),
    })
  }
}

/** The other signature of the same message: n - s in the place of s. */
export function toHighS(signature: Uint8Array): Uint8Array {
  const s = BigInt(`0x${Buffer.from(signature.slice(32)).toString('hex')}`)
  const high = concatBytes(signature.slice(0, 32), toScalar(groupOrder - s))
  if (Buffer.compare(toLowS(high), signature) !== 0) throw new Error('not the other s')
  return high
}

/** 32 bytes, big-endian. */
export function toScalar(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'))
}
