/**
 * Owner of the charge keys: asks the registry for them, says which one signs and whether anything may be sold, and takes
 * others while the gateway runs (spec/payment.md PA28).
 */
import type { EvmSignature } from '@countersign/protocol/payment/evm-signature'
import { hexToBytes } from 'viem'
import { ConfigError } from '../../config/load-config.ts'
import type { EvmCurve } from '../evm-curve.ts'
import { createSettlementAccount, type SettlementAccount } from '../exact/sender.ts'
import { pause } from '../exact/pause.ts'
import {
  chooseKey,
  nothingRead,
  standingOf,
  type KeyChoice,
  type KeyReading,
} from './choose-key.ts'
import type { KeyStanding } from './key-standing.ts'

type Hex = `0x${string}`

/** What the keyset says of the keys, EIP-55. */
export type NamedKeys = {
  /** Signs from now on. */
  readonly address: string
  readonly others: readonly string[]
}

/** Asks the registry. Rejects when the chain does not answer. */
export type ReadKeyRecords = (keys: readonly Hex[]) => Promise<Omit<KeyReading, 'readAtMs'>>

/** What the operator is told of one key. */
export type KeyReport = { readonly address: string; readonly standing: KeyStanding | 'unasked' }

/** The keys that a keyset names. */
export type SettlementKeys = {
  named(): NamedKeys
  /** By EIP-191 with the key of this address, to show that it is held. @throws Error when there is no such key. */
  confirm(address: string, message: Uint8Array): Promise<Uint8Array>
}

/** The keys of a process. */
export type ChargeKeys = SettlementKeys & {
  /** By the key of this moment. */
  sign(digest: Uint8Array): EvmSignature
  /** Whether metered calls may be sold now (PA28.3). */
  isGood(): boolean
  /** No key is good, and the one that signs still can: all that is owed is claimed. */
  isRetiring(): boolean
  report(): readonly KeyReport[]
  /**
   * Puts other keys in the place of these; the function that it resolves with takes that back.
   *
   * @throws ConfigError when the key that signs would be gone and none of the others is good: nothing has changed then.
   */
  replace(keys: readonly Hex[], longestCallMs: number): Promise<() => void>
  /** Reads the registry. Rejects when the chain does not answer: what was read before counts on, for a while. */
  refresh(): Promise<void>
  /** The same, in the background. */
  refreshSoon(): void
  /** Told when another key signs, or the others have changed, or whether anything may be sold. One listener. */
  listen(onChange: () => void): void
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

type HeldKey = {
  readonly address: Hex
  readonly account: SettlementAccount
  readonly secret: Uint8Array
}
/** Replaced as a whole, so that a change can be taken back. */
type KeyState = {
  readonly held: readonly HeldKey[]
  readonly horizonMs: number
  readonly reading: KeyReading
  readonly choice: KeyChoice
}

/** What a keyset would name now, as a text to compare. */
export function nameChargeKeys({
  chargeKeys,
}: {
  readonly chargeKeys: Pick<ChargeKeys, 'named'> | undefined
}): string {
  return JSON.stringify(chargeKeys?.named() ?? null)
}

const settleMs = 60_000
const goodPauseMs = 60_000
const badPauseMs = 1000

/** Keys of which nothing is known yet: call `refresh`, then `run`. */
export function createChargeKeys(options: ChargeKeyOptions): ChargeKeys {
  const { curve, read, clock } = options
  const owner = ownState(options)
  // Owned here: readings do not run side by side.
  let refreshing: Promise<void> | undefined

  function refresh(): Promise<void> {
    refreshing ??= readNow().finally(() => {
      refreshing = undefined
    })
    return refreshing
  }

  async function readNow(): Promise<void> {
    const { held } = owner.state()
    const found = await read?.(held.map(({ address }) => address))
    // Replaced meanwhile: the answer says nothing of the keys of now.
    if (found === undefined || owner.state().held !== held) return
    owner.put({ reading: { ...found, readAtMs: clock() } })
  }

  async function replace(keys: readonly Hex[], longestCallMs: number): Promise<() => void> {
    // Who asks now would be told of the keys of before.
    await refreshing?.catch(() => undefined)
    const held = keys.map(holdKey)
    const found = await read?.(held.map(({ address }) => address)).catch(() => undefined)
    const before = owner.current()
    const { choice, reading: known } = before
    const reading = found === undefined ? known : { ...found, readAtMs: clock() }
    const next = owner.derive({ held, reading, horizonMs: longestCallMs + settleMs })
    const isLeft = held.some(({ address }) => address === choice.address)
    if (!isLeft && choice.isSelling && !next.choice.isSelling) {
      const { address } = signerOf(before).account
      throw new ConfigError(`charge key ${address} signs, and no other one is good: leave it there`)
    }
    owner.set(next)
    return () => {
      owner.set(before)
    }
  }

  return {
    sign: (digest) => curve.sign(digest, signerOf(owner.current()).secret),
    confirm: async (address, message) => {
      const key = owner.state().held.find(({ account }) => account.address === address)
      if (key === undefined) throw new Error('this key is not held')
      return hexToBytes(await key.account.signMessage({ message: { raw: message } }))
    },
    named: () => nameKeys(owner.state()),
    isGood: () => owner.current().choice.isSelling,
    isRetiring: () => {
      const { isSelling, standing } = owner.current().choice
      return !isSelling && (standing === 'trusted' || standing === 'settling')
    },
    report: () => owner.report(),
    replace,
    refresh,
    refreshSoon: () => {
      // The next reading is not far, and says what is wrong.
      refresh().catch(() => undefined)
    },
    listen: owner.listen,
    run: async (signal, onFault) => {
      if (read === undefined) return
      while (!signal.aborted) {
        const { isSelling, sellsUntilMs } = owner.current().choice
        const untilMs = isSelling ? Math.min(goodPauseMs, sellsUntilMs - clock()) : badPauseMs
        // Only the signal ends a pause.
        await pause(Math.max(untilMs, badPauseMs), signal).catch(() => undefined)
        await refresh().catch(onFault)
      }
    },
  }
}

/** Owner of the state; says when what others are told of it has changed. */
function ownState({ keys, read, longestCallMs, clock }: ChargeKeyOptions): {
  readonly state: () => KeyState
  /** Judged for this moment. */
  readonly current: () => KeyState
  readonly derive: (change: Partial<KeyState>) => KeyState
  readonly put: (change: Partial<KeyState>) => void
  /** Without telling anybody. */
  readonly set: (state: KeyState) => void
  readonly report: () => readonly KeyReport[]
  readonly listen: (onChange: () => void) => void
} {
  const held = keys.map(holdKey)
  // Both owned here.
  let state: KeyState = judge({
    held,
    horizonMs: longestCallMs + settleMs,
    reading: nothingRead,
    choice: { ...unasked, address: firstOf(held).address },
  })
  let tell: (() => void) | undefined

  function judge(given: KeyState): KeyState {
    const { address } = given.held.find(isSigning(given)) ?? firstOf(given.held)
    if (read === undefined) return { ...given, choice: { ...unasked, address } }
    const others = given.held.flatMap((key) => (key.address === address ? [] : [key.address]))
    const moment = { nowMs: clock(), horizonMs: given.horizonMs }
    return { ...given, choice: chooseKey([address, ...others], given.reading, moment) }
  }

  const derive = (change: Partial<KeyState>): KeyState => judge({ ...state, ...change })

  function put(change: Partial<KeyState>): void {
    const before = summary(state)
    state = derive(change)
    if (summary(state) !== before) tell?.()
  }

  return {
    state: () => state,
    current: () => {
      const { isSelling, sellsUntilMs } = state.choice
      if (isSelling && clock() >= sellsUntilMs) put({})
      return state
    },
    derive,
    put,
    set: (next) => {
      state = next
    },
    report: () =>
      state.held.map(({ account, address }) => ({
        address: account.address,
        standing:
          read === undefined
            ? 'unasked'
            : standingOf(address, state.reading, { nowMs: clock(), horizonMs: state.horizonMs }),
      })),
    listen: (onChange) => {
      tell = onChange
    },
  }
}

/** Where no registry is known, the first key signs and nobody is asked (PA28.1). */
const unasked = {
  standing: 'good',
  isSelling: true,
  sellsUntilMs: Infinity,
} as const

function summary(state: KeyState): string {
  return JSON.stringify([nameKeys(state), state.choice.isSelling])
}

function nameKeys(state: KeyState): NamedKeys {
  const signer = signerOf(state)
  const others = state.held.filter((key) => key !== signer)
  return {
    address: signer.account.address,
    others: others.map(({ account }) => account.address),
  }
}

function signerOf(state: KeyState): HeldKey {
  return state.held.find(isSigning(state)) ?? firstOf(state.held)
}

function isSigning({ choice }: KeyState): (key: HeldKey) => boolean {
  return ({ address }) => address === choice.address
}

function holdKey(key: Hex): HeldKey {
  const account = createSettlementAccount(key)
  return {
    address: `0x${account.address.slice(2).toLowerCase()}`,
    account,
    secret: Uint8Array.from(Buffer.from(key.slice(2), 'hex')),
  }
}

function firstOf(keys: readonly HeldKey[]): HeldKey {
  const [first] = keys
  if (first === undefined) throw new RangeError('no charge key')
  return first
}
