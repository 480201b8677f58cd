/** Recomputes what a call had to be charged from what its receipt discloses (spec/metering.md ME6, ME7). Trusts no figure of it. */
import { equalBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { isCborMap, type CborMap, type CborValue } from '../bytes/cbor-encode.ts'
import { decodeJson, type JsonValue } from '../bytes/json-decode.ts'
import { openMap } from '../bytes/map-reader.ts'
import { ProtocolError } from '../errors.ts'
import { modelOf, priceOf, type DisclosedClaims } from './call-claims.ts'
import { readAmount, type Charge } from './charge.ts'
import { inputKinds, usageKinds } from './usage-kinds.ts'

/** What a bill says, recomputed. `due` is what had to be charged. */
export type Bill =
  /** By use: quote × usage, rounded up once, at most what was authorised. */
  | { readonly kind: 'metered'; readonly model: string; readonly dueAtomic: bigint }
  /** The price of the call, or nothing. */
  | { readonly kind: 'fixed'; readonly priceAtomic: bigint }
  /** It cannot be recomputed from what is disclosed. */
  | { readonly kind: 'open'; readonly reason: OpenBillReason }
  /** The receipt contradicts itself, or its charge is not what it had to be. */
  | { readonly kind: 'wrong'; readonly code: BillCode; readonly dueAtomic: bigint | undefined }

/** Why a bill stays open. */
export type OpenBillReason =
  /** A claim that it needs is withheld. */
  | 'withheld'
  /** A crash cut the call short: nothing but the charge is known (spec/receipt.md RC4.13). */
  | 'recovered'
  /** An older gateway: the use is stated, its rates are not. */
  | 'no-rates'

/** What is wrong with a bill. */
export type BillCode =
  | 'bill-malformed'
  | 'bill-model-mismatch'
  | 'bill-authorised-mismatch'
  | 'bill-capped-mismatch'
  | 'bill-too-high'
  | 'bill-too-low'

/** The rates of one model, as the claim `rates` states them. Rates are for 1,000,000 units. */
export type StatedRates = {
  readonly model: string
  readonly perCallAtomic: bigint
  readonly tiers: readonly {
    readonly aboveInput: number
    readonly rates: ReadonlyMap<string, bigint>
  }[]
}

const rateUnit = 1_000_000n
const maxTiers = 64
const maxAmountBits = 256n
const sources: ReadonlySet<string> = new Set(['provider', 'estimated', 'none'])
const usedStates: ReadonlySet<CborValue | undefined> = new Set(['complete', 'aborted-by-client'])
const kinds: readonly string[] = usageKinds
const countedIn: ReadonlySet<string> = new Set(inputKinds)
const amountForm = /^(?:0|[1-9][0-9]{0,77})$/

/**
 * Judges the charge of a receipt. The claims must be those of a bundle that `verify` found valid: nothing here looks at
 * a signature.
 *
 * @param isWhole - no claim of the receipt is withheld.
 */
export function judgeBill(charge: Charge, claims: DisclosedClaims, isWhole: boolean): Bill {
  try {
    return judge(charge, claims, isWhole)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return wrong('bill-malformed')
  }
}

/**
 * Reads the text of the claim `rates`: one entry of ME5.5, in its one form.
 *
 * @throws ProtocolError `claim-schema`.
 */
export function parseRates(text: string): StatedRates {
  const value = decodeJson(encodeUtf8(text))
  if (!isList(value) || value.length !== 3) throw malformed()
  const [model, amount, tiers] = value
  if (typeof model !== 'string' || !isList(tiers)) throw malformed()
  if (tiers.length === 0 || tiers.length > maxTiers) throw malformed()
  const rates = { model, perCallAtomic: readDecimal(amount), tiers: tiers.map(readTier) }
  // Another text of the same rates would have another digest.
  if (!equalBytes(encodeUtf8(encodeRates(rates)), encodeUtf8(text))) throw malformed()
  return rates
}

/** The price of this use: numerators of all kinds are summed, and rounded up once (ME6.1). */
export function priceUse(
  { perCallAtomic, tiers }: StatedRates,
  counts: ReadonlyMap<string, number>,
): bigint {
  let totalInput = 0
  for (const [kind, count] of counts) if (countedIn.has(kind)) totalInput += count
  const holding = tiers.findLast(({ aboveInput }, index) => index === 0 || totalInput > aboveInput)
  let numerator = 0n
  for (const [kind, count] of counts) numerator += BigInt(count) * (holding?.rates.get(kind) ?? 0n)
  return perCallAtomic + (numerator + rateUnit - 1n) / rateUnit
}

function judge(charge: Charge, claims: DisclosedClaims, isWhole: boolean): Bill {
  const priceAtomic = priceOf(claims)
  if (priceAtomic === undefined) {
    // Beside a price, `recovered` excuses nothing (RC4.13).
    return { kind: 'open', reason: claims.has('recovered') ? 'recovered' : 'withheld' }
  }
  const metering = claims.get('metering')
  const rates = readRates(claims.get('rates'))
  const model = modelOf(claims)
  if (rates !== undefined && model !== undefined && model.requested !== rates.model) {
    return wrong('bill-model-mismatch')
  }
  if (metering !== undefined) {
    if (rates === undefined) return { kind: 'open', reason: isWhole ? 'no-rates' : 'withheld' }
    // Whose rates they are, nobody can say without it.
    if (model === undefined) return { kind: 'open', reason: 'withheld' }
    return judgeMetered(charge, priceAtomic, rates, metering)
  }
  if (!isWhole) return { kind: 'open', reason: 'withheld' }
  if (charge.amountAtomic === 0n) return { kind: 'fixed', priceAtomic }
  // A model that is priced by use charges by its use or nothing, and nobody pays for a call that failed.
  const dueAtomic = rates !== undefined || !wasUsed(claims) ? 0n : priceAtomic
  return isDue(charge, dueAtomic) ? { kind: 'fixed', priceAtomic } : wrongCharge(charge, dueAtomic)
}

function judgeMetered(
  charge: Charge,
  priceAtomic: bigint,
  rates: StatedRates,
  value: CborValue,
): Bill {
  const members = ['authorised', 'capped', 'counts', 'notes', 'source', 'tier']
  const metering = openMap(value, members, [], 'claim-schema')
  const authorisedAtomic = readAmount(metering, 'authorised', 'claim-schema')
  const source = metering.text('source', 1, 16)
  if (!sources.has(source)) throw malformed()
  if (authorisedAtomic !== priceAtomic) return wrong('bill-authorised-mismatch')
  // A provider that failed without a figure is paid nothing (ME6.3).
  const usedAtomic = source === 'none' ? 0n : priceUse(rates, readCounts(metering.value('counts')))
  const isCapped = usedAtomic > authorisedAtomic
  if (metering.value('capped') !== isCapped) return wrong('bill-capped-mismatch')
  const dueAtomic = isCapped ? authorisedAtomic : usedAtomic
  if (isDue(charge, dueAtomic)) return { kind: 'metered', model: rates.model, dueAtomic }
  return wrongCharge(charge, dueAtomic)
}

/** A strict voucher costs at least one unit (spec/payment.md PA18.3), also when its answer was cut (PA14.6). */
function isDue({ amountAtomic, scheme }: Charge, dueAtomic: bigint): boolean {
  const isLeast = scheme === 'batch-settlement' && dueAtomic === 0n && amountAtomic === 1n
  return amountAtomic === dueAtomic || isLeast
}

function wrongCharge({ amountAtomic }: Charge, dueAtomic: bigint): Bill {
  return wrong(amountAtomic > dueAtomic ? 'bill-too-high' : 'bill-too-low', dueAtomic)
}

function wasUsed(claims: DisclosedClaims): boolean {
  const outcome = claims.get('outcome')
  return isCborMap(outcome) && usedStates.has(outcome.get('state'))
}

function readRates(value: CborValue | undefined): StatedRates | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw malformed()
  return parseRates(value)
}

function readCounts(value: CborValue): ReadonlyMap<string, number> {
  if (!isCborMap(value)) throw malformed()
  const counts = new Map<string, number>()
  for (const [kind, count] of value satisfies CborMap) {
    if (typeof kind !== 'string' || !kinds.includes(kind)) throw malformed()
    if (typeof count !== 'number' || count < 1) throw malformed()
    counts.set(kind, count)
  }
  return counts
}

function readTier(value: JsonValue): StatedRates['tiers'][number] {
  if (!isList(value) || value.length !== 2) throw malformed()
  const [aboveInput, list] = value
  if (typeof aboveInput !== 'number' || aboveInput < 0 || !isList(list)) throw malformed()
  return { aboveInput, rates: new Map(list.map(readRate)) }
}

function readRate(value: JsonValue): readonly [string, bigint] {
  if (!isList(value) || value.length !== 2) throw malformed()
  const [kind, rate] = value
  if (typeof kind !== 'string' || !kinds.includes(kind)) throw malformed()
  return [kind, readDecimal(rate)]
}

function readDecimal(value: JsonValue | undefined): bigint {
  if (typeof value !== 'string' || !amountForm.test(value)) throw malformed()
  const amount = BigInt(value)
  if (amount >> maxAmountBits !== 0n) throw malformed()
  return amount
}

/** The text of ME5.5 without rates of 0: what a parse must come from. */
function encodeRates({ model, perCallAtomic, tiers }: StatedRates): string {
  const text = tiers.map(({ aboveInput, rates }) => [
    aboveInput,
    kinds.flatMap((kind) => {
      const rate = rates.get(kind) ?? 0n
      return rate === 0n ? [] : [[kind, `${rate}`]]
    }),
  ])
  return JSON.stringify([model, `${perCallAtomic}`, text])
}

function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function wrong(code: BillCode, dueAtomic?: bigint): Bill {
  return { kind: 'wrong', code, dueAtomic }
}

function malformed(): ProtocolError {
  return new ProtocolError('claim-schema')
}
