/** What a charge key is good for, by its record in the registry (spec/contracts.md CO3.2, spec/payment.md PA28.2). */

/** A record; zero: never registered, never revoked. */
export type KeyRecord = {
  readonly validFromSeconds: number
  readonly validUntilSeconds: number
  readonly revokedAtSeconds: number
}

/** When it is judged: a moment counts only when chain and clock agree that it has come, or has not. */
export type KeyMoment = {
  /** Of the newest block that was read. */
  readonly blockSeconds: number
  readonly nowMs: number
  /** How long after a call begins its charge may have to be signed. */
  readonly horizonMs: number
}

/** In descending order: `good` may be charged by, `trusted` and `settling` sign what is owed. */
export const keyStandings = ['good', 'trusted', 'settling', 'untrusted'] as const

/** One of them. */
export type KeyStanding = (typeof keyStandings)[number]

/** How long an ended key still settles (CO4.1). */
export const graceSeconds = 172_800

/** The standing of a key. */
export function judgeKey(record: KeyRecord, moment: KeyMoment): KeyStanding {
  const { validFromSeconds, validUntilSeconds } = record
  const nowSeconds = moment.nowMs / 1000
  const earliest = Math.min(moment.blockSeconds, nowSeconds)
  const latest = Math.max(moment.blockSeconds, nowSeconds)
  if (validUntilSeconds === 0 || earliest < validFromSeconds) return 'untrusted'
  const endSeconds = endOf(record)
  if (latest + moment.horizonMs / 1000 < endSeconds) return 'good'
  if (latest < endSeconds) return 'trusted'
  return latest < endOf(record, graceSeconds) ? 'settling' : 'untrusted'
}

/** Until when nothing but a later revocation can change that a key is good. */
export function goodUntilMs(
  record: KeyRecord,
  { horizonMs }: Pick<KeyMoment, 'horizonMs'>,
): number {
  return endOf(record) * 1000 - horizonMs
}

/** A revocation leaves no grace. */
function endOf({ validUntilSeconds, revokedAtSeconds }: KeyRecord, grace = 0): number {
  const end = validUntilSeconds + grace
  return revokedAtSeconds === 0 ? end : Math.min(end, revokedAtSeconds)
}
