/** What a keyset is opened with beside its receipt key, here or by a primary for all of its workers. */
import type { SettlementKeys } from '../payment/charge-key/charge-keys.ts'
import type { NamedSettlement } from './confirm-keys.ts'
import { createHpkeKey, type HpkeKey } from './hpke-key.ts'
import { nameKeys } from './name-keys.ts'
import { createTlsKey, type TlsKey } from './tls-key.ts'

/** Which keys an epoch has besides the one for receipts. */
export type KeyPlan = {
  /** Names in the certificate; `undefined` when TLS ends somewhere else. */
  readonly tlsNames: readonly string[] | undefined
  readonly sealed: boolean
  /** Charge keys, which outlive epochs; a keyset names those of the moment when it is opened. */
  readonly settlement: SettlementKeys | undefined
}

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

/** Keys of a process that is alone. */
export function createKeys(
  { tlsNames, sealed, settlement }: KeyPlan,
  nowMs: number,
  notAfterMs: number,
): Pick<KeysetTurn, 'tls' | 'hpke' | 'settlement'> {
  return {
    tls: tlsNames === undefined ? undefined : createTlsKey(tlsNames, nowMs, notAfterMs),
    hpke: sealed ? createHpkeKey() : undefined,
    settlement: settlement && nameKeys(settlement),
  }
}
