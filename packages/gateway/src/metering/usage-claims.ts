/** What a receipt says of use and its price: the claims `usage` (spec/receipt.md RC4) and `metering` (spec/metering.md ME7). */
import {
  defineCborRecord,
  type CborInput,
  type CborValue,
} from '@countersign/protocol/bytes/cbor-encode'
import { encodeAmount } from '@countersign/protocol/receipt/charge'
import type { Authorisation } from './bound-price.ts'
import type { CappedCharge } from './price-sheet.ts'
import type { MeteredUsage } from './settle-usage.ts'
import { usageKinds } from '@countersign/protocol/receipt/usage-kinds'
import { totalInput, totalOutput, type Observation } from './usage.ts'

const usageRecord = defineCborRecord('raw', 'input', 'output', 'source')

/** The claim `usage`: what the provider reported, in its own words and as totals. */
export function toUsageClaim({ usage }: Observation): CborInput {
  const isExact = usage.kind === 'exact'
  const isCounted = usage.kind !== 'none'
  return usageRecord(
    usage.raw ?? null,
    isCounted ? totalInput(usage.counts) : null,
    isExact ? totalOutput(usage.counts) : null,
    isCounted || usage.raw !== undefined ? 'provider' : 'none',
  )
}

/** The claim `metering`: what is charged for, by kind, and how that was known. */
export function toMeteringClaim(
  { maximumAtomic }: Authorisation,
  { usage, serviceTier }: Observation,
  metered: MeteredUsage,
  charge: CappedCharge,
): CborValue {
  const counts = new Map<string, CborValue>()
  for (const kind of usageKinds) {
    const count = metered.counts[kind] ?? 0
    if (count > 0) counts.set(kind, count)
  }
  return new Map<string, CborValue>([
    ['tier', serviceTier],
    ['notes', usage.kind === 'none' ? [] : usage.notes],
    ['capped', charge.isCapped],
    ['counts', counts],
    ['source', metered.source],
    ['authorised', encodeAmount(maximumAtomic)],
  ])
}
