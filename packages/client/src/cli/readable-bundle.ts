/** Everything in a bundle in readable form. Nothing is verified on the way. */
import type { CborMap, CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { ProtocolError } from '@countersign/protocol'
import type { Charge } from '@countersign/protocol/receipt/charge'
import { parseClaim, type ClaimEntry } from '@countersign/protocol/receipt/claims'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import type { Payload } from '@countersign/protocol/receipt/payload'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import type { Bundle, Evidence } from '@countersign/protocol/verify/bundle'

/** JSON as this module makes it. */
export type Readable =
  | string
  | number
  | boolean
  | null
  | readonly Readable[]
  | { readonly [name: string]: Readable }

const maxEvidenceBytes = 1_048_576

/** The parts of a bundle. A part that cannot be read says why instead. */
export function toReadableBundle(bundle: Bundle): { readonly [name: string]: Readable } {
  return {
    statement: readable(() => readStatement(bundle.statement)),
    claims: bundle.claims.map((entry) => readable(() => readClaim(entry))),
    keyset: readable(() => readKeyset(bundle.keyset)),
    evidence: bundle.evidence.map((evidence) => readable(() => readEvidence(evidence))),
    proofs: bundle.proofs.map(({ kind, data }) => ({ kind, bytes: data.length })),
    events: bundle.events === undefined ? null : bundle.events.length / 32,
  }
}

function readable(read: () => Readable): Readable {
  try {
    return read()
  } catch (error) {
    if (error instanceof ProtocolError) return { unreadable: error.code }
    throw error
  }
}

function readStatement(bytes: Uint8Array): Readable {
  const { payload, issuer, kid } = parseStatement(bytes)
  return { issuer, kid: toHex(kid), bytes: bytes.length, ...readPayload(payload) }
}

function readPayload(payload: Payload): { readonly [name: string]: Readable } {
  const base = {
    type: payload.type,
    id: toHex(payload.id),
    sequence: payload.sequence,
    previous: toHex(payload.previous),
    keyset: toHex(payload.keysetDigest),
    time: toTime(payload.timeMs),
  }
  if (payload.type === 'keyset') return base
  return {
    ...base,
    nonce: payload.nonce === undefined ? null : toHex(payload.nonce),
    charge: readCharge(payload.charge),
    claimsRoot: toHex(payload.claimsRoot),
    claimsCount: payload.claimsCount,
  }
}

function readCharge(charge: Charge): Readable {
  const amount = charge.amountAtomic.toString()
  if (charge.scheme === 'none') return { scheme: charge.scheme, amount }
  const { scheme, asset } = charge
  const common = { scheme, amount, asset, paymentId: toHex(charge.paymentId) }
  if (charge.scheme === 'api-key') return common
  const { network } = charge
  if (charge.scheme === 'upto') return { ...common, network }
  if (charge.scheme === 'batch-settlement') {
    return { ...common, network, cumulative: charge.cumulativeAtomic.toString() }
  }
  const { settlementTransaction } = charge
  return {
    ...common,
    network,
    settlementTransaction:
      settlementTransaction === undefined ? null : `0x${toHex(settlementTransaction)}`,
  }
}

function readClaim(entry: ClaimEntry): Readable {
  if (entry.kind === 'leaf') return { withheld: toHex(entry.hash) }
  const { name, value } = parseClaim(entry.bytes)
  return { name, value: name === 'price' ? readPrice(value) : toReadable(value) }
}

/** Amounts are byte strings in CBOR; people read decimals. */
function readPrice(value: CborValue): Readable {
  if (!isMap(value)) return toReadable(value)
  return Object.fromEntries(
    Array.from(value, ([key, member]) => [
      String(key),
      key === 'amount' && member instanceof Uint8Array ? toDecimal(member) : toReadable(member),
    ]),
  )
}

function toDecimal(bytes: Uint8Array): string {
  return BigInt(`0x0${toHex(bytes)}`).toString()
}

function readKeyset(bytes: Uint8Array): Readable {
  const { payload, issuer, kid } = parseStatement(bytes)
  const statement = { issuer, kid: toHex(kid), ...readPayload(payload) }
  if (payload.type !== 'keyset') return statement
  const keyset = parseKeyset(payload.document)
  return {
    ...statement,
    document: {
      issuer: keyset.issuer,
      receiptKey: toHex(keyset.receiptKey),
      notBefore: toTime(keyset.notBeforeMs),
      notAfter: toTime(keyset.notAfterMs),
      configDigest: toHex(keyset.configDigest),
      buildDigest: toHex(keyset.buildDigest),
      previousKeyset:
        keyset.previousKeysetDigest === undefined ? null : toHex(keyset.previousKeysetDigest),
      payees: (keyset.payees ?? []).map(({ network, asset, address }) => ({
        network,
        asset,
        address,
      })),
      settlementAddress: keyset.settlementAddress ?? null,
      tlsSpki: keyset.tlsSpki === undefined ? null : toHex(keyset.tlsSpki),
      hpkeKey: keyset.hpkeKey === undefined ? null : toHex(keyset.hpkeKey),
      upstreams: [...(keyset.upstreams ?? [])],
      termsDigest: keyset.termsDigest === undefined ? null : toHex(keyset.termsDigest),
      otherChargeKeys: [...(keyset.otherChargeKeys ?? [])],
    },
  }
}

function readEvidence({ kind, nonce, data }: Evidence): Readable {
  return {
    kind: kind === 'simulated' ? 'simulated (SIMULATED: no hardware stands behind this)' : kind,
    nonce: toHex(nonce),
    bytes: data.length,
    content: readable(() => toReadable(decodeCbor(data, maxEvidenceBytes))),
  }
}

/** CBOR as JSON: byte strings in hex, map keys as text. */
function toReadable(value: CborValue): Readable {
  if (value instanceof Uint8Array) return toHex(value)
  if (isMap(value)) {
    return Object.fromEntries(
      Array.from(value, ([key, member]) => [String(key), toReadable(member)]),
    )
  }
  return isArray(value) ? value.map(toReadable) : value
}

function isMap(value: CborValue): value is CborMap {
  return value instanceof Map
}

function isArray(value: CborValue): value is readonly CborValue[] {
  return Array.isArray(value)
}

function toTime(milliseconds: number): string {
  const date = new Date(milliseconds)
  // Statements can name times that no calendar has.
  return Number.isNaN(date.getTime()) ? `${milliseconds} ms` : date.toISOString()
}
