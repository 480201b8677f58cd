/**
 * Owner of the charge keys: asks the registry for them, says which one signs and whether anything may be sold, and takes
 * others while the gateway runs (spec/payment.md PA28). No key signs before the keysets name it.
 */
import type { KeyStanding } from '@countersign/contracts/key-standing'
import type { EvmSignature } from '@countersign/protocol/payment/evm-signature'
import { hexToBytes } from 'viem'
import { ConfigError } from '../../config/load-config.ts'
import type { EvmCurve } from '../evm-curve.ts'
import { createSettlementAccount } from '../exact/sender.ts'
import { pause } from '../exact/pause.ts'
import { nothingRead, standingOf, type KeyReading } from './choose-key.ts'
import { createKeyOwner, type KeyOwner, type Place } from './key-owner.ts'
import {
  findSigner,
  foresee,
  listHeld,
  type ConfiguredKeys,
  type HeldKey,
  type KeyState,
  type NamedKeys,
} from './key-state.ts'

type Hex = `0x${string}`

/** Asks the registry. Rejects when the chain does not answer. */
export type ReadKeyRecords = (keys: readonly Hex[]) => Promise<Omit<KeyReading, 'readAtMs'>>

/** What the operator is told of one key. */
export type KeyReport = {
  readonly address: string
  readonly standing: KeyStanding | 'unasked'
  /** Whether keysets name it: before that it signs nothing. */
  readonly isAnnounced: boolean
}

/** The keys that a keyset names. */
export type SettlementKeys = {
  named(): NamedKeys
  /** By EIP-191 with the key of this address, to show that it is held. @throws Error when there is no such key. */
  confirm(address: string, message: Uint8Array): Promise<Uint8Array>
}

/** Keys that keysets are to name before they sign. One of the two is called, once. */
export type KeyChange = {
  /** The keysets that name them are current: they are the keys of now. */
  readonly commit: () => void
  /** They never were. */
  readonly undo: () => void
}

/** The keys of a process. */
export type ChargeKeys = SettlementKeys & {
  /** By the key of this moment. @throws ChargeKeyUnannounced while no keyset names one. */
  sign(digest: Uint8Array): EvmSignature
  /** Whether metered calls may be sold now (PA28.3). */
  isGood(): boolean
  /** No key is good, and the one that signs still can: all that is owed is claimed. */
  isRetiring(): boolean
  report(): readonly KeyReport[]
  /**
   * Has keysets name other keys, which take the place of these by `commit`.
   *
   * @throws ConfigError when the key that signs would be gone and none of the others is good: nothing has changed then.
   */
  replace(keys: readonly Hex[], longestCallMs: number): Promise<KeyChange>
  /** The current keyset of this place names these (PA28.7). */
  shown(place: Place, names: NamedKeys): void
  /** This place shows keysets no more. */
  gone(place: Place): void
  /** Places whose keysets do not name what is to be named; none while keys are being replaced. */
  behind(): readonly Place[]
  /** Reads the registry. Rejects when the chain does not answer: what was read before counts on, for a while. */
  refresh(): Promise<void>
  /** The same, in the background. */
  refreshSoon(): void
  /**
   * Told when another key signs, or the others have changed, or whether anything may be sold; and from time to time
   * while a place is behind. One listener.
   */
  listen(onChange: (isNews: boolean) => void): void
  /** Reads again and again until the signal is aborted. */
  run(signal: AbortSignal, onFault: (error: unknown) => void): Promise<void>
}

/** What keys are opened with. `read`: absent where no operator is announced (PA28.1). */
export type ChargeKeyOptions = {
  readonly keys: readonly Hex[]
  readonly curve: Pick<EvmCurve, 'sign'>
  readonly read: ReadKeyRecords | undefined
  readonly longestCallMs: number
  readonly clock: () => number
}

/** No keyset that is current names a charge key: whatever is to be signed waits (PA28.7). */
export class ChargeKeyUnannounced extends Error {
  constructor() {
    super('no keyset of this gateway names one of its charge keys yet: nothing is signed')
    this.name = 'ChargeKeyUnannounced'
  }
}

const settleMs = 60_000
const goodPauseMs = 60_000
const badPauseMs = 1000

/** Keys of which nothing is known yet and which no keyset names: call `refresh`, then `run`; and `shown`. */
export function createChargeKeys(options: ChargeKeyOptions): ChargeKeys {
  const { curve, read, clock, longestCallMs } = options
  const isAsked = read !== undefined
  const configured = {
    keys: options.keys.map(holdKey),
    horizonMs: longestCallMs + settleMs,
  }
  const owner = createKeyOwner(startOf(configured), isAsked, clock)
  const refresh = createReadings(owner, options)

  return {
    sign: (digest) => {
      const state = owner.current()
      if (state.choice === undefined) throw new ChargeKeyUnannounced()
      return curve.sign(digest, findSigner(state, isAsked, clock()).secret)
    },
    confirm: async (address, message) => {
      const key = owner.confirming().find(({ account }) => account.address === address)
      if (key === undefined) throw new Error('this key is not held')
      return hexToBytes(await key.account.signMessage({ message: { raw: message } }))
    },
    named: owner.named,
    isGood: () => owner.current().choice?.isSelling === true,
    isRetiring: () => {
      const { choice } = owner.current()
      if (choice === undefined || choice.isSelling) return false
      return choice.standing === 'trusted' || choice.standing === 'settling'
    },
    report: () => reportOn(owner.state(), isAsked, clock()),
    replace: async (keys, longestMs) => {
      // Who asks now would be told of the keys of before.
      await refresh.ended()
      return replaceKeys(owner, options, {
        keys: keys.map(holdKey),
        horizonMs: longestMs + settleMs,
      })
    },
    shown: owner.shown,
    gone: owner.gone,
    behind: owner.behind,
    refresh: refresh.now,
    refreshSoon: () => {
      // The next reading is not far, and says what is wrong.
      refresh.now().catch(() => undefined)
    },
    listen: owner.listen,
    run: async (signal, onFault) => {
      while (!signal.aborted) {
        const { choice } = owner.current()
        const isSelling = choice?.isSelling === true
        const untilMs = isSelling
          ? Math.min(goodPauseMs, choice.sellsUntilMs - clock())
          : badPauseMs
        // Only the signal ends a pause.
        await pause(Math.max(untilMs, badPauseMs), signal).catch(() => undefined)
        await refresh.now().catch(onFault)
        if (!signal.aborted) owner.remind()
      }
    },
  }
}

function startOf(configured: ConfiguredKeys): KeyState {
  return {
    configured,
    coming: undefined,
    leaving: undefined,
    announced: new Set(),
    reading: nothingRead,
    choice: undefined,
  }
}

/** Readings of the registry, which do not run side by side. */
function createReadings(
  owner: KeyOwner,
  { read, clock }: Pick<ChargeKeyOptions, 'read' | 'clock'>,
): { readonly now: () => Promise<void>; readonly ended: () => Promise<void> } {
  // Owned here.
  let running: Promise<void> | undefined

  async function readNow(): Promise<void> {
    const asked = listHeld(owner.state())
    const found = await read?.(asked.map(({ address }) => address))
    // Others have come meanwhile: the answer says nothing of them.
    if (found === undefined || listHeld(owner.state()).some((key) => !asked.includes(key))) return
    owner.put({ reading: { ...found, readAtMs: clock() } })
  }

  return {
    now: () => {
      running ??= readNow().finally(() => {
        running = undefined
      })
      return running
    },
    ended: async () => {
      await running?.catch(() => undefined)
    },
  }
}

async function replaceKeys(
  owner: KeyOwner,
  { read, clock }: Pick<ChargeKeyOptions, 'read' | 'clock'>,
  given: ConfiguredKeys,
): Promise<KeyChange> {
  const isAsked = read !== undefined
  const held = listHeld(owner.state())
  const known = new Map(held.map((key) => [key.address, key]))
  const keys = given.keys.map((key) => known.get(key.address) ?? key)
  const asked = [...new Set([...held, ...keys])].map(({ address }) => address)
  const found = await read?.(asked).catch(() => undefined)
  const before = owner.current()
  const reading = found === undefined ? before.reading : { ...found, readAtMs: clock() }
  const coming = { keys, horizonMs: given.horizonMs }
  const choice = foresee({ ...before, reading }, coming, isAsked, clock())
  const signer = findSigner(before, isAsked, clock())
  if (!keys.includes(signer) && before.choice?.isSelling === true && choice?.isSelling !== true) {
    const { address } = signer.account
    throw new ConfigError(`charge key ${address} signs, and no other one is good: leave it there`)
  }
  // Told by `commit` or `undo`: the keysets of the new configuration name them.
  owner.putQuietly({ coming, reading })
  return {
    commit: () => {
      owner.commit(coming)
    },
    undo: () => {
      owner.put({ coming: undefined })
    },
  }
}

function reportOn(state: KeyState, isAsked: boolean, nowMs: number): readonly KeyReport[] {
  const { reading, configured, announced } = state
  const moment = { nowMs, horizonMs: configured.horizonMs }
  return listHeld(state).map((key) => ({
    address: key.account.address,
    standing: isAsked ? standingOf(key.address, reading, moment) : 'unasked',
    isAnnounced: announced.has(key),
  }))
}

function holdKey(key: Hex): HeldKey {
  const account = createSettlementAccount(key)
  return {
    address: `0x${account.address.slice(2).toLowerCase()}`,
    account,
    secret: Uint8Array.from(Buffer.from(key.slice(2), 'hex')),
  }
}
