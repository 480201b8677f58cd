/** Price sheets: whole atomic units per kind of use, and the price of a call by them (spec/metering.md ME5, ME6). */
import { hash } from 'node:crypto'
import { inputKinds, usageKinds, type UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import { outputKinds, totalInput, type UsageCounts } from './usage.ts'

/** Atomic units for 1,000,000 units of each kind: tokens, seconds, uses. */
export type Rates = Readonly<Record<UsageKind, bigint>>

/** Rates that hold for a whole call when more tokens than this went in, cache included. */
export type PriceTier = { readonly aboveInput: number; readonly rates: Rates }

/** What a model costs. */
export type PriceSheet = {
  /** For each call, before any use. */
  readonly perCallAtomic: bigint
  /** The first holds always; others in ascending order, the last that applies holds. */
  readonly tiers: readonly [PriceTier, ...PriceTier[]]
}

/** A charge, and whether more was used than was authorised. */
export type CappedCharge = { readonly amountAtomic: bigint; readonly isCapped: boolean }

/** The size of the unit that rates are for. */
export const rateUnit = 1_000_000n

/** The price of this use: numerators of all kinds are summed, and rounded up once (ME6.1). */
export function computePrice(sheet: PriceSheet, counts: UsageCounts): bigint {
  const { rates } = tierOf(sheet, totalInput(counts))
  let numerator = 0n
  for (const kind of usageKinds) {
    const count = counts[kind]
    if (count !== undefined && count > 0) numerator += BigInt(count) * rates[kind]
  }
  return sheet.perCallAtomic + divideUp(numerator, rateUnit)
}

/** The price, and never more than was authorised (ME6.2). */
export function computeCharge(
  sheet: PriceSheet,
  counts: UsageCounts,
  maximumAtomic: bigint,
): CappedCharge {
  const price = computePrice(sheet, counts)
  const isCapped = price > maximumAtomic
  return { amountAtomic: isCapped ? maximumAtomic : price, isCapped }
}

/** The highest rate of any of these kinds, in any tier that this much input can reach. */
export function highestRate(
  sheet: PriceSheet,
  kinds: readonly UsageKind[],
  inputTokens: number,
): bigint {
  let highest = 0n
  for (const [index, { aboveInput, rates }] of sheet.tiers.entries()) {
    if (index > 0 && inputTokens <= aboveInput) break
    for (const kind of kinds) if (rates[kind] > highest) highest = rates[kind]
  }
  return highest
}

/** Whether anything but the call itself has a price. */
export function isMetered(sheet: PriceSheet): boolean {
  return sheet.tiers.some(({ rates }) => usageKinds.some((kind) => rates[kind] > 0n))
}

/** Whether tokens have a price: then a request needs a bound on them. */
export function pricesTokens(sheet: PriceSheet): boolean {
  return sheet.tiers.some(({ rates }) => tokenKinds.some((kind) => rates[kind] > 0n))
}

/** All kinds, those that are not given at 0. */
export function fillRates(rates: Readonly<Partial<Record<UsageKind, bigint>>>): Rates {
  return { ...zeroRates, ...rates }
}

/** A sheet by which a call costs the same whatever it uses. */
export function createCallSheet(perCallAtomic: bigint): PriceSheet {
  return { perCallAtomic, tiers: [{ aboveInput: 0, rates: zeroRates }] }
}

const tokenKinds = [...inputKinds, ...outputKinds]
const zeroRates: Rates = {
  input: 0n,
  'input-audio': 0n,
  'input-image': 0n,
  'input-video': 0n,
  'cache-read': 0n,
  'cache-read-audio': 0n,
  'cache-read-image': 0n,
  'cache-read-video': 0n,
  'cache-write-5m': 0n,
  'cache-write-1h': 0n,
  output: 0n,
  'output-audio': 0n,
  'output-image': 0n,
  'output-video': 0n,
  reasoning: 0n,
  'audio-second': 0n,
  image: 0n,
  'web-search': 0n,
  'web-fetch': 0n,
  'file-search': 0n,
  'code-session': 0n,
  'server-tool': 0n,
  source: 0n,
}

/** SHA-256 of the canonical text of all sheets (ME5.5): equal prices have equal digests. */
export function computeSheetsDigest(
  sheets: Iterable<readonly [name: string, sheet: PriceSheet]>,
): Uint8Array {
  const ordered = [...sheets].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return hash('sha256', JSON.stringify(ordered.map(toCanonical)), 'buffer')
}

/** The canonical text of one sheet: what a receipt states so that its charge can be recomputed (ME7.2). */
export function encodeSheet(name: string, sheet: PriceSheet): string {
  return JSON.stringify(toCanonical([name, sheet]))
}

function toCanonical([name, sheet]: readonly [string, PriceSheet]): unknown {
  const tiers = sheet.tiers.map(({ aboveInput, rates }) => [
    aboveInput,
    usageKinds.filter((kind) => rates[kind] > 0n).map((kind) => [kind, rates[kind].toString()]),
  ])
  return [name, sheet.perCallAtomic.toString(), tiers]
}

function tierOf({ tiers }: PriceSheet, inputTokens: number): PriceTier {
  let holding: PriceTier = tiers[0]
  for (const tier of tiers.slice(1)) if (inputTokens > tier.aboveInput) holding = tier
  return holding
}

/** Quotient of numbers that are not negative, rounded up. */
export function divideUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator
}
