/** The HPKE keys that calls may be sealed to, and the calls that were (spec/sealed.md SE5). */
import { hash } from 'node:crypto'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeRequestHead } from '@countersign/protocol/sealed/request-head'
import type { HpkeKey } from './hpke-key.ts'

/** Owner of the keys of this epoch and the one before, and of the memory against replays. */
export type SealedKeys = {
  /** The key of a new epoch; that of the last one stays until the next. One that is the latest already changes nothing. */
  replace(key: HpkeKey): void
  /** The keys that this head may mean. */
  find(head: Uint8Array): readonly HpkeKey[]
  /** Only what is `new` may be made; with no room to remember it nobody could know later. */
  take(encapsulated: Uint8Array, nowMs: number): SealedCallState | Promise<SealedCallState>
}

/** Keys whose memory is in this process. */
export type OwnSealedKeys = Omit<SealedKeys, 'take'> & {
  take(encapsulated: Uint8Array, nowMs: number): SealedCallState
}

/** Whether a sealed call was made before. */
export type SealedCallState = 'new' | 'seen' | 'no-room'

/** How far the clock of a caller may be off, and how long a call may be on its way. */
export const sealedWindowMs = 300_000

const maxRemembered = 200_000

/** No key yet. */
export function createSealedKeys(): OwnSealedKeys {
  // All are owned here. Times in `taken` ascend with its order.
  let keys: readonly HpkeKey[] = []
  const taken = new Map<string, number>()
  return {
    replace: (key) => {
      const [latest] = keys
      if (latest !== undefined && equalBytes(latest.publicKey, key.publicKey)) return
      keys = [key, ...keys.slice(0, 1)]
    },
    find: (head) =>
      keys.filter(({ publicKey }) => Buffer.compare(encodeRequestHead(publicKey), head) === 0),
    take: (encapsulated, nowMs) => {
      for (const [name, atMs] of taken) {
        // A call is dated at most one window before and one after: later it is refused by its date.
        if (atMs >= nowMs - 2 * sealedWindowMs) break
        taken.delete(name)
      }
      const name = hash('sha256', encapsulated, 'base64')
      if (taken.has(name)) return 'seen'
      if (taken.size >= maxRemembered) return 'no-room'
      taken.set(name, nowMs)
      return 'new'
    },
  }
}
