/** What a call cost (spec/receipt.md RC2). Amounts are atomic units. */
import { isCborMap, type CborMap, type CborValue } from '../bytes/cbor-encode.ts'
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
  | {
      readonly scheme: 'upto'
      readonly amountAtomic: bigint
      readonly network: string
      readonly asset: string
      /** The payer's Permit2 nonce. */
      readonly paymentId: Uint8Array
    }
  | {
      readonly scheme: 'batch-settlement'
      readonly amountAtomic: bigint
      readonly network: string
      readonly asset: string
      /** The channel id. */
      readonly paymentId: Uint8Array
      /** What the channel is charged in all, this call included. */
      readonly cumulativeAtomic: bigint
    }

const maxAmountBytes = 32
const amountLimit = 1n << 256n
const code: ErrorCode = 'payload-malformed'

/** The CBOR map of a charge (RC2.1). */
export function encodeCharge(charge: Charge): CborMap {
  const map = new Map<number, CborValue>([
    [1, charge.scheme],
    [2, encodeAmount(charge.amountAtomic)],
  ])
  if (charge.scheme === 'none') return map
  if (charge.scheme !== 'api-key') map.set(3, charge.network)
  map.set(4, charge.asset).set(5, charge.paymentId)
  if (charge.scheme === 'exact' && charge.settlementTransaction !== undefined) {
    map.set(6, charge.settlementTransaction)
  }
  if (charge.scheme === 'batch-settlement') map.set(7, encodeAmount(charge.cumulativeAtomic))
  return map
}

/**
 * The charge of a decoded map, with just the keys of its scheme (RC2.2).
 *
 * @throws ProtocolError `payload-malformed`.
 */
export function parseCharge(value: CborValue): Charge {
  const scheme = isCborMap(value) ? value.get(1) : undefined
  if (scheme === 'none') return parseNone(value)
  if (scheme === 'api-key') {
    return { scheme, ...parseCommon(openMap(value, [1, 2, 4, 5], [], code)) }
  }
  if (scheme === 'exact') return parseExact(value)
  if (scheme === 'upto') {
    return { scheme, ...parseOnChain(openMap(value, [1, 2, 3, 4, 5], [], code)) }
  }
  if (scheme === 'batch-settlement') return parseChannelCharge(value)
  throw new ProtocolError(code)
}

/**
 * Unsigned big-endian without leading zero bytes; zero has no bytes (RC2.1).
 *
 * @throws RangeError for a negative amount or one of more than 32 bytes: the caller's own mistake.
 */
export function encodeAmount(amountAtomic: bigint): Uint8Array {
  if (amountAtomic < 0n || amountAtomic >= amountLimit) throw new RangeError('not a 256-bit amount')
  let place = 0
  for (let rest = amountAtomic; rest > 0n; rest >>= 8n) place++
  const bytes = new Uint8Array(place)
  for (let rest = amountAtomic; rest > 0n; rest >>= 8n) bytes[--place] = Number(rest & 255n)
  return bytes
}

/**
 * The amount at this key of a map.
 *
 * @throws ProtocolError with the code of the reader, or `refusal`, when it is longer or has a leading zero byte.
 */
export function readAmount(fields: MapReader, key: number | string, refusal: ErrorCode): bigint {
  const bytes = fields.bytes(key, 0, maxAmountBytes)
  if (bytes[0] === 0) throw new ProtocolError(refusal)
  let amount = 0n
  for (const byte of bytes) amount = amount * 256n + BigInt(byte)
  return amount
}

function parseNone(value: CborValue): Charge {
  const fields = openMap(value, [1, 2], [], code)
  if (readAmount(fields, 2, code) !== 0n) throw new ProtocolError(code)
  return { scheme: 'none', amountAtomic: 0n }
}

function parseExact(value: CborValue): Charge {
  const fields = openMap(value, [1, 2, 3, 4, 5], [6], code)
  const charge = { scheme: 'exact', ...parseOnChain(fields) } as const
  return fields.has(6) ? { ...charge, settlementTransaction: fields.bytes(6, 32, 32) } : charge
}

function parseChannelCharge(value: CborValue): Charge {
  const fields = openMap(value, [1, 2, 3, 4, 5, 7], [], code)
  const charge = parseOnChain(fields)
  const cumulativeAtomic = readAmount(fields, 7, code)
  // A channel is charged at least what this call is charged.
  if (cumulativeAtomic < charge.amountAtomic) throw new ProtocolError(code)
  return { scheme: 'batch-settlement', ...charge, cumulativeAtomic }
}

/** Payments on chain are told apart by 32 bytes (RC2.3). */
function parseOnChain(
  fields: MapReader,
): ReturnType<typeof parseCommon> & { readonly network: string } {
  const charge = { network: fields.text(3, 1, 128), ...parseCommon(fields) }
  if (charge.paymentId.length !== 32) throw new ProtocolError(code)
  return charge
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
