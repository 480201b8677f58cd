/** What a call used, in kinds that are counted apart and priced apart (spec/metering.md ME2). */
import { inputKinds, usageKinds, type UsageKind } from '@countersign/protocol/receipt/usage-kinds'

/** Whole numbers, none negative. A kind that is absent was not used. */
export type UsageCounts = Readonly<Partial<Record<UsageKind, number>>>

/** What is odd about a provider's figures; none of it changes the counts (ME3.5). */
export type UsageNote =
  /** The provider's own total is not the sum that its wire promises. */
  | 'total-mismatch'
  /** Parts that should be disjoint add up to more than their whole. */
  | 'parts-exceed-whole'
  /** Cache writes without a lifetime were counted as the cheaper class. */
  | 'cache-write-unsplit'
  /** A member that this version does not know has a count in it. */
  | 'unknown-member'

/** Usage as far as it was seen. */
export type ObservedUsage =
  | {
      readonly kind: 'none'
      /** What can be counted without the provider's figures: finished uses of tools, images. */
      readonly counts: UsageCounts
      /** The provider's own words, where it said something that counts nothing. */
      readonly raw?: string
    }
  | {
      /**
       * `exact`: the provider counted all that it had produced when it said so. `input-only`: it counted the input, and
       * of the output at most a beginning.
       */
      readonly kind: 'exact' | 'input-only'
      readonly counts: UsageCounts
      /** The provider's own words as JSON; `null` when they are longer than a claim may be. */
      readonly raw: string | null
      readonly notes: readonly UsageNote[]
      /** The provider's own bill in 10^-10 USD, where it gives one (xAI). Recorded, never charged. */
      readonly providerTicks: number | null
    }

/** What a provider said in its answer. Asserted by the provider. */
export type Observation = {
  /** The model that the provider says it served. */
  readonly model: string | null
  /** The first stop reason, in the provider's words. */
  readonly finish: string | null
  readonly serviceTier: string | null
  readonly usage: ObservedUsage
  /** The terminal event of the protocol was seen, or the whole body. */
  readonly isTerminated: boolean
  /** The provider reported an error inside its answer. */
  readonly hasError: boolean
}

/** Kinds whose tokens came out, reasoning included. */
export const outputKinds: readonly UsageKind[] = usageKinds.slice(10, 15)

/** All tokens that went in. */
export function totalInput(counts: UsageCounts): number {
  return sumOf(counts, inputKinds)
}

/** All tokens that came out. */
export function totalOutput(counts: UsageCounts): number {
  return sumOf(counts, outputKinds)
}

/** Counts without the kinds that are zero, in the order of the kinds. */
export function compactCounts(counts: UsageCounts): UsageCounts {
  const compact: Partial<Record<UsageKind, number>> = {}
  for (const kind of usageKinds) {
    const count = counts[kind] ?? 0
    if (count > 0) compact[kind] = count
  }
  return compact
}

function sumOf(counts: UsageCounts, kinds: readonly UsageKind[]): number {
  return kinds.reduce((sum, kind) => sum + (counts[kind] ?? 0), 0)
}
