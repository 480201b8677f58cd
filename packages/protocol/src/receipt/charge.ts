/** What a call cost (spec/receipt.md RC2). Amounts are atomic units. */
import type { CborMap, CborValue } from '../bytes/cbor-encode.ts'
import { openMap, type MapReader } from '../bytes/map-reader.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'

/** The charge in a receipt or refusal. */
export type Charge =
  | { readonly scheme: 'none'; readonly amountAtomic: 0n }
  | {
      readonly scheme: 'api-key'
      readonly amountAtomic: bigint
      readonly asset: string
      readonly paymentId: Uint8Array
    }
  | {
      readonly scheme: 'exact'
      readonly amountAtomic: bigint
      readonly network: string
      readonly asset: string
      readonly paymentId: Uint8Array
      readonly settlementTransaction?: Uint8Array
    }

const maxAmountBytes = 32
const code: ErrorCode = 'payload-malformed'

/** The CBOR map of a charge (RC2.1). */
export function encodeCharge(charge: Charge): CborMap {
  const map = new Map<number, CborValue>([
    [1, charge.scheme],
    [2, encodeAmount(charge.amountAtomic)],
  ])
  if (charge.scheme === 'none') return map
  if (charge.scheme === 'exact') {
    map.set(3, charge.network)
    if (charge.settlementTransaction !== undefined) map.set(6, charge.settlementTransaction)
  }
  return map.set(4, charge.asset).set(5, charge.paymentId)
}

/**
 * The charge of a decoded map, with just the keys of its scheme (RC2.2).
 *
 * @throws ProtocolError `payload-malformed`.
 */
export function parseCharge(value: CborValue): Charge {
  const scheme = value instanceof Map ? value.get(1) : undefined
  switch (scheme) {
    case 'none':
      return parseNone(value)
    case 'api-key': {
      const fields = openMap(value, [1, 2, 4, 5], [], code)
      return { scheme, ...parseCommon(fields) }
    }
    case 'exact': {
      const fields = openMap(value, [1, 2, 3, 4, 5], [6], code)
      const network = fields.text(3, 1, 128)
      const charge = { scheme, network, ...parseCommon(fields) } as const
      if (charge.paymentId.length !== 32) throw new ProtocolError(code)
      return fields.has(6) ? { ...charge, settlementTransaction: fields.bytes(6, 32, 32) } : charge
    }
    default:
      throw new ProtocolError(code)
  }
}

/** Unsigned big-endian without leading zero bytes; zero has no bytes (RC2.1). */
export function encodeAmount(amountAtomic: bigint): Uint8Array {
  if (amountAtomic < 0n) throw new RangeError('an amount is never negative')
  const digits = amountAtomic === 0n ? '' : amountAtomic.toString(16)
  const padded = digits.padStart(digits.length + (digits.length % 2), '0')
  const bytes = Uint8Array.from({ length: padded.length / 2 }, (_, index) =>
    Number.parseInt(padded.slice(2 * index, 2 * index + 2), 16),
  )
  if (bytes.length > maxAmountBytes) throw new RangeError('an amount has at most 32 bytes')
  return bytes
}

/**
 * The amount at this key of a map.
 *
 * @throws ProtocolError with the code of the reader, or `code`, when it is longer or has a leading zero byte.
 */
export function readAmount(fields: MapReader, key: number | string, code: ErrorCode): bigint {
  const bytes = fields.bytes(key, 0, maxAmountBytes)
  if (bytes[0] === 0) throw new ProtocolError(code)
  let amount = 0n
  for (const byte of bytes) amount = amount * 256n + BigInt(byte)
  return amount
}

function parseNone(value: CborValue): Charge {
  const fields = openMap(value, [1, 2], [], code)
  if (readAmount(fields, 2, code) !== 0n) throw new ProtocolError(code)
  return { scheme: 'none', amountAtomic: 0n }
}

function parseCommon(fields: MapReader): {
  amountAtomic: bigint
  asset: string
  paymentId: Uint8Array
} {
  return {
    amountAtomic: readAmount(fields, 2, code),
    asset: fields.text(4, 1, 128),
    paymentId: fields.bytes(5, 1, 64),
  }
}
