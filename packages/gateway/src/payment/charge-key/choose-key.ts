/** Which charge key signs, and until when anything may be sold by it (spec/payment.md PA28.2, PA28.3). */
import {
  goodUntilMs,
  judgeKey,
  keyStandings,
  type KeyMoment,
  type KeyRecord,
  type KeyStanding,
} from '@countersign/contracts/key-standing'

type Hex = `0x${string}`

/** What the registry said, and when. Addresses are lower case; a key without an entry was not asked for. */
export type KeyReading = {
  readonly records: ReadonlyMap<Hex, KeyRecord>
  readonly blockSeconds: number
  readonly readAtMs: number
}

/** The outcome for one moment. `sellsUntilMs`: when it is to be judged again, if it is selling. */
export type KeyChoice = {
  readonly address: Hex
  readonly standing: KeyStanding
  readonly isSelling: boolean
  readonly sellsUntilMs: number
}

/** Before the first answer of a chain. */
export const nothingRead: KeyReading = {
  records: new Map(),
  blockSeconds: 0,
  readAtMs: -Infinity,
}

const maxReadingAgeMs = 900_000

/** The standing of one key. */
export function standingOf(address: Hex, reading: KeyReading, moment: Moment): KeyStanding {
  const record = reading.records.get(address)
  const { blockSeconds } = reading
  return record === undefined ? 'untrusted' : judgeKey(record, { ...moment, blockSeconds })
}

type Moment = Omit<KeyMoment, 'blockSeconds'>

/** Of the best standing the key that ends last; the first one, which signs by now, when no other is better. */
export function chooseKey(
  keys: readonly [Hex, ...(readonly Hex[])],
  reading: KeyReading,
  moment: Moment,
): KeyChoice {
  const endOf = (key: Hex): number => reading.records.get(key)?.validUntilSeconds ?? 0
  const rankOf = (key: Hex): number => keyStandings.indexOf(standingOf(key, reading, moment))
  const [first, ...others] = keys
  let address = first
  for (const key of others) {
    const isHigher = rankOf(key) < rankOf(address)
    if (isHigher || (rankOf(key) === rankOf(address) && endOf(key) > endOf(address))) address = key
  }
  const standing = standingOf(address, reading, moment)
  const record = reading.records.get(address)
  const readUntilMs = reading.readAtMs + maxReadingAgeMs
  const isSelling = standing === 'good' && moment.nowMs < readUntilMs
  if (record === undefined || !isSelling) {
    return { address, standing, isSelling: false, sellsUntilMs: moment.nowMs }
  }
  const sellsUntilMs = Math.min(goodUntilMs(record, moment), readUntilMs)
  return { address, standing, isSelling, sellsUntilMs }
}
