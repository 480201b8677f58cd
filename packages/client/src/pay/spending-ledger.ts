/**
 * Counts what is signed, before it is signed. An amount is counted in the same step in which it is judged, so that calls
 * side by side cannot exceed a limit together.
 */
import { ClientError } from '../errors.ts'
import { appliesTo, type SpendingPlace, type SpendingRule } from './spending-limits.ts'

/** One amount that was counted. */
export type Reservation = {
  /** Nothing was signed, or what was signed can no longer be taken. Safe to call twice. */
  release(): void
  /** No more than this can be taken any more; more than was counted changes nothing. */
  reduceTo(amountAtomic: bigint): void
}

/** Owner of the totals. */
export type SpendingLedger = {
  /**
   * Counts an amount that is about to be signed.
   *
   * @throws ClientError `budget-exhausted`, `day-limit-reached`; nothing is counted then.
   */
  reserve(place: SpendingPlace, amountAtomic: bigint): Reservation
  /** All that was counted by this ledger and not released, in atomic units. */
  signedAtomic(): bigint
}

/** Totals of a day and a place; kept in a file they outlive the process. The ledger changes them. */
export type DayTotals = Map<string, bigint>

const dayMs = 86_400_000
const keptDays = 2

/** A ledger over these totals. */
export function createSpendingLedger(
  options: { readonly budgetAtomic: bigint; readonly rules: readonly SpendingRule[] },
  totals: DayTotals,
  now: () => number,
): SpendingLedger {
  const { budgetAtomic, rules } = options
  // Owned here.
  let signedAtomic = 0n

  function judge(place: SpendingPlace, amountAtomic: bigint, day: number): void {
    if (signedAtomic + amountAtomic > budgetAtomic) {
      const detail = `${signedAtomic} + ${amountAtomic} > ${budgetAtomic}`
      throw new ClientError('budget-exhausted', { detail })
    }
    for (const rule of rules) {
      const { perDayAtomic } = rule
      if (perDayAtomic === undefined || !appliesTo(rule, place)) continue
      const spent = sumOfDay(totals, rule, day)
      if (spent + amountAtomic > perDayAtomic) {
        const detail = `${spent} + ${amountAtomic} > ${perDayAtomic}`
        throw new ClientError('day-limit-reached', { detail })
      }
    }
  }

  return {
    signedAtomic: () => signedAtomic,
    reserve: (place, amountAtomic) => {
      const day = Math.floor(now() / dayMs)
      judge(place, amountAtomic, day)
      const key = dayKey(day, place)
      forgetOldDays(totals, day)
      let countedAtomic = 0n
      const count = (changeAtomic: bigint): void => {
        countedAtomic += changeAtomic
        signedAtomic += changeAtomic
        // Of a day that was forgotten meanwhile nothing is left to lower.
        const total = (totals.get(key) ?? 0n) + changeAtomic
        if (total > 0n) totals.set(key, total)
        else totals.delete(key)
      }
      count(amountAtomic)
      const reduceTo = (mostAtomic: bigint): void => {
        if (mostAtomic < countedAtomic) count(mostAtomic - countedAtomic)
      }
      return { reduceTo, release: () => reduceTo(0n) }
    },
  }
}

function sumOfDay(totals: DayTotals, rule: SpendingRule, day: number): bigint {
  let sum = 0n
  for (const [key, amountAtomic] of totals) {
    const place = readDayKey(key)
    if (place?.day === day && appliesTo(rule, place)) sum += amountAtomic
  }
  return sum
}

/** Today and yesterday stay: a clock that is put back must not open the limits of a day again at once. */
function forgetOldDays(totals: DayTotals, today: number): void {
  for (const key of totals.keys()) {
    const day = readDayKey(key)?.day
    if (day === undefined || day <= today - keptDays) totals.delete(key)
  }
}

function dayKey(day: number, { origin, network, asset }: SpendingPlace): string {
  return [day, origin, network, asset].join(' ')
}

/** The parts of a key, or `undefined` for a text that is none. None of them can hold a space. */
export function readDayKey(key: string): (SpendingPlace & { readonly day: number }) | undefined {
  const [day = '', origin, network, asset, ...more] = key.split(' ')
  if (origin === undefined || network === undefined || asset === undefined) return undefined
  if (more.length > 0 || !/^[0-9]{1,9}$/.test(day)) return undefined
  return { day: Number(day), origin, network, asset }
}
