/** The keyset document: which keys, configuration and build stand behind statements (spec/statement.md ST4). */
import { decodeCbor } from '../bytes/cbor-decode.ts'
import { encodeCbor, type CborValue } from '../bytes/cbor-encode.ts'
import { compareTexts } from '../bytes/byte-string.ts'
import { openMap, textOf } from '../bytes/map-reader.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'

/** Where payments go on one network. */
export type Payee = { readonly network: string; readonly asset: string; readonly address: string }

/** The content of a keyset document. Keys are x ‖ y, digests SHA-256, times milliseconds. */
export type Keyset = {
  readonly issuer: string
  readonly receiptKey: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly configDigest: Uint8Array
  readonly buildDigest: Uint8Array
  readonly previousKeysetDigest?: Uint8Array
  readonly payees?: readonly Payee[]
  readonly settlementAddress?: string
  /** SHA-256 of the SubjectPublicKeyInfo of the TLS key. */
  readonly tlsSpki?: Uint8Array
  /** X25519 public key for sealed calls. */
  readonly hpkeKey?: Uint8Array
  /** Every host that calls can be forwarded to, in ascending order. */
  readonly upstreams?: readonly string[]
  /** SHA-256 of the announced terms of the operator (spec/contracts.md CO7.3). */
  readonly termsDigest?: Uint8Array
  /** Charge keys that the gateway holds besides `settlementAddress`. */
  readonly otherChargeKeys?: readonly string[]
}

/** Longest life of a keyset (ST4.2). */
export const maxKeysetLifetimeMs = 86_400_000

const maxKeysetBytes = 4096

/** Most hosts of a keyset (ST4.1). */
export const maxUpstreams = 32

const maxOtherChargeKeys = 8

const code: ErrorCode = 'keyset-malformed'

/** Deterministic CBOR of a keyset document. */
export function encodeKeyset(keyset: Keyset): Uint8Array {
  const map = new Map<number, CborValue>([
    [1, 1],
    [2, keyset.issuer],
    [3, keyset.receiptKey],
    [4, keyset.notBeforeMs],
    [5, keyset.notAfterMs],
    [6, keyset.configDigest],
    [7, keyset.buildDigest],
  ])
  if (keyset.previousKeysetDigest !== undefined) map.set(8, keyset.previousKeysetDigest)
  if (keyset.payees !== undefined) map.set(9, keyset.payees.map(encodePayee))
  if (keyset.settlementAddress !== undefined) map.set(10, keyset.settlementAddress)
  if (keyset.tlsSpki !== undefined) map.set(11, keyset.tlsSpki)
  if (keyset.hpkeKey !== undefined) map.set(12, keyset.hpkeKey)
  if (keyset.upstreams !== undefined) map.set(13, keyset.upstreams)
  if (keyset.termsDigest !== undefined) map.set(14, keyset.termsDigest)
  if (keyset.otherChargeKeys !== undefined) map.set(15, keyset.otherChargeKeys)
  return encodeCbor(map)
}

/**
 * Parses by ST4.1, then judges ST4.2.
 *
 * @throws ProtocolError `keyset-malformed`, `keyset-lifetime`.
 */
export function parseKeyset(document: Uint8Array): Keyset {
  const fields = openMap(
    decode(document),
    [1, 2, 3, 4, 5, 6, 7],
    [8, 9, 10, 11, 12, 13, 14, 15],
    code,
  )
  fields.integer(1, 1, 1)
  const keyset = {
    issuer: fields.text(2, 1, 255),
    receiptKey: fields.bytes(3, 64, 64),
    notBeforeMs: fields.integer(4),
    notAfterMs: fields.integer(5),
    configDigest: fields.bytes(6, 32, 32),
    buildDigest: fields.bytes(7, 32, 32),
    ...(fields.has(8) ? { previousKeysetDigest: fields.bytes(8, 32, 32) } : {}),
    ...(fields.has(9) ? { payees: fields.array(9, 0, 8).map(parsePayee) } : {}),
    ...(fields.has(10) ? { settlementAddress: fields.text(10, 1, 128) } : {}),
    ...(fields.has(11) ? { tlsSpki: fields.bytes(11, 32, 32) } : {}),
    ...(fields.has(12) ? { hpkeKey: fields.bytes(12, 32, 32) } : {}),
    ...(fields.has(13) ? { upstreams: parseHosts(fields.array(13, 1, maxUpstreams)) } : {}),
    ...(fields.has(14) ? { termsDigest: fields.bytes(14, 32, 32) } : {}),
    ...(fields.has(15)
      ? { otherChargeKeys: parseChargeKeys(fields.array(15, 1, maxOtherChargeKeys)) }
      : {}),
  }
  const lifetimeMs = keyset.notAfterMs - keyset.notBeforeMs
  if (lifetimeMs <= 0 || lifetimeMs > maxKeysetLifetimeMs)
    throw new ProtocolError('keyset-lifetime')
  return keyset
}

function decode(document: Uint8Array): CborValue {
  try {
    return decodeCbor(document, maxKeysetBytes)
  } catch (cause) {
    throw new ProtocolError(code, { cause })
  }
}

/** One set has one encoding. */
function parseHosts(values: readonly CborValue[]): readonly string[] {
  const hosts = values.flatMap((value) => textOf(value, 1, 255) ?? [])
  const isAscending = hosts.every((host, index) => {
    const next = hosts[index + 1]
    return next === undefined || compareTexts(host, next) < 0
  })
  if (hosts.length !== values.length || !isAscending) throw new ProtocolError(code)
  return hosts
}

function parseChargeKeys(values: readonly CborValue[]): readonly string[] {
  const keys = values.flatMap((value) => textOf(value, 1, 128) ?? [])
  if (new Set(keys).size !== values.length) throw new ProtocolError(code)
  return keys
}

function encodePayee(payee: Payee): CborValue {
  return new Map([
    [1, payee.network],
    [2, payee.asset],
    [3, payee.address],
  ])
}

function parsePayee(value: CborValue): Payee {
  const fields = openMap(value, [1, 2, 3], [], code)
  return {
    network: fields.text(1, 1, 128),
    asset: fields.text(2, 1, 128),
    address: fields.text(3, 1, 128),
  }
}
