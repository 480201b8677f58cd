/** All charge keys that a file or a registry knows of, and what each may do now (spec/payment.md PA28.2). */
import { graceSeconds, judgeKey, type KeyRecord } from '@countersign/contracts/key-standing'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { readKeyRecord, readRegistryKeys, type OperatorRegistry } from './operator-registry.ts'

/**
 * What a key may do. `charge`: sell and settle; `settle`: only what is owed; `nothing`: not now, or not any more. Why, in
 * the second word.
 */
export type KeyState =
  | 'charge: good'
  | 'settle: too near its end for the longest call'
  | 'settle: ended, within its grace'
  | 'nothing: not registered'
  | 'nothing: announced'
  | 'nothing: due, execute it'
  | 'nothing: not begun'
  | 'nothing: ended'
  | 'nothing: revoked'

/** One key. Times are Unix seconds; `undefined` where nothing is known of it. */
export type KeyLine = {
  readonly address: Hex
  /** Whether the file holds it; `undefined` without a file. */
  readonly inFile: boolean | undefined
  readonly state: KeyState
  /** When anybody may execute its registration. */
  readonly readyAtSeconds: number | undefined
  readonly trustedFromSeconds: number | undefined
  readonly trustedUntilSeconds: number | undefined
  readonly settlesUntilSeconds: number | undefined
  readonly revokedAtSeconds: number | undefined
}

const settleMs = 60_000

/**
 * Reads the keys: those that are asked for, those of a file, and what the registry has that did not end for long.
 *
 * @param longestCallMs - how long a call of the gateway may take: a key must outlive it by a minute to be good.
 * @throws ClientError `chain-unreachable`.
 */
export async function readOverview(
  registry: OperatorRegistry,
  asked: { readonly addresses: readonly Hex[]; readonly inFile: readonly Hex[] | undefined },
  nowMs: number,
  longestCallMs: number,
): Promise<readonly KeyLine[]> {
  const nowSeconds = Math.floor(nowMs / 1000)
  const { live, scheduled, blockSeconds } = await readRegistryKeys(registry, nowSeconds)
  const file = asked.inFile?.map(lower)
  const all = [
    ...asked.addresses,
    ...(file ?? []),
    ...live.keys.map(({ key }) => key),
    ...scheduled.map(({ key }) => key),
  ].map(lower)
  const lines: KeyLine[] = []
  for (const address of new Set(all)) {
    const record = await readKeyRecord(registry, address)
    const waiting = scheduled.find(({ key }) => lower(key) === address)
    const readyAtSeconds = waiting?.readyAtSeconds
    const moment = { blockSeconds, nowMs, horizonMs: longestCallMs + settleMs }
    const interval = record.validUntilSeconds === 0 ? waiting : record
    lines.push({
      address,
      inFile: file?.includes(address),
      state: describe(record, readyAtSeconds, moment),
      readyAtSeconds: record.validUntilSeconds === 0 ? readyAtSeconds : undefined,
      trustedFromSeconds: interval?.validFromSeconds,
      trustedUntilSeconds: interval?.validUntilSeconds,
      settlesUntilSeconds: interval && interval.validUntilSeconds + graceSeconds,
      revokedAtSeconds: record.revokedAtSeconds === 0 ? undefined : record.revokedAtSeconds,
    })
  }
  return lines.toSorted((a, b) => (b.trustedUntilSeconds ?? 0) - (a.trustedUntilSeconds ?? 0))
}

function describe(
  record: KeyRecord,
  readyAtSeconds: number | undefined,
  moment: Parameters<typeof judgeKey>[1],
): KeyState {
  const { validFromSeconds, validUntilSeconds, revokedAtSeconds } = record
  if (validUntilSeconds === 0) {
    if (readyAtSeconds === undefined) return 'nothing: not registered'
    // The next block has the time of now, also where the latest one is old.
    const nextSeconds = Math.max(moment.blockSeconds, moment.nowMs / 1000)
    return nextSeconds < readyAtSeconds ? 'nothing: announced' : 'nothing: due, execute it'
  }
  switch (judgeKey(record, moment)) {
    case 'good':
      return 'charge: good'
    case 'trusted':
      return 'settle: too near its end for the longest call'
    case 'settling':
      return 'settle: ended, within its grace'
    case 'untrusted':
      if (revokedAtSeconds !== 0) return 'nothing: revoked'
      return Math.min(moment.blockSeconds, moment.nowMs / 1000) < validFromSeconds
        ? 'nothing: not begun'
        : 'nothing: ended'
  }
}

function lower(address: Hex): Hex {
  return `0x${address.slice(2).toLowerCase()}`
}
