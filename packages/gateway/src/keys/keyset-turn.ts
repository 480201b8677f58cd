/** A turn to open a keyset: several processes make one chain of them. */
import type { NamedSettlement } from './confirm-keys.ts'
import type { HpkeKey } from './hpke-key.ts'
import type { TlsKey } from './tls-key.ts'

/** What a keyset is opened with beside its own receipt key. One turn at a time: each keyset names the one before it. */
export type KeysetTurn = {
  readonly previousKeysetDigest: Uint8Array | undefined
  readonly tls: TlsKey | undefined
  readonly hpke: HpkeKey | undefined
  readonly settlement: NamedSettlement | undefined
  /**
   * The keyset is stored, or there is none: the next turn may begin. Resolves when callers may be shown its keys: other
   * processes have keysets with the same by then.
   */
  done(isStored: boolean): Promise<void>
}

/** Waits for a turn. `notAfterMs`: the end of the keyset that is to be opened. */
export type TakeTurn = (nowMs: number, notAfterMs: number) => Promise<KeysetTurn>
