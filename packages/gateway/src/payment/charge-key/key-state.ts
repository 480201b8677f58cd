/**
 * What a process knows of its charge keys, and what follows from it: which one signs, and what a keyset names
 * (spec/payment.md PA28.2, PA28.7). Values only; their owner is charge-keys.ts.
 */
import type { SettlementAccount } from '../exact/sender.ts'
import { chooseKey, type KeyChoice, type KeyReading } from './choose-key.ts'

type Hex = `0x${string}`

/** A key. `address` is lower case. */
export type HeldKey = {
  readonly address: Hex
  readonly account: SettlementAccount
  readonly secret: Uint8Array
}

/** What the keyset says of the keys, EIP-55. */
export type NamedKeys = {
  /** Signs from now on. */
  readonly address: string
  readonly others: readonly string[]
}

/** The keys of one configuration, and how long before its end a key is good no more. */
export type ConfiguredKeys = { readonly keys: readonly HeldKey[]; readonly horizonMs: number }

/** What is known at a time. */
export type KeyState = {
  readonly configured: ConfiguredKeys
  /** Those of a configuration that is not the current one yet: named, and not used. */
  readonly coming: ConfiguredKeys | undefined
  /** The key that signed when its configuration ended: it goes on until all keys of the new one are announced. */
  readonly leaving: HeldKey | undefined
  /** Keys that keysets name which were current everywhere; a key that is held no more is not among them. */
  readonly announced: ReadonlySet<HeldKey>
  readonly reading: KeyReading
  /** The key that signs; `undefined` while none is announced. */
  readonly choice: KeyChoice | undefined
}

/** Every key that may sign now or soon, each once. */
export function listHeld({ configured, coming, leaving }: KeyState): readonly HeldKey[] {
  const gone = leaving === undefined ? [] : [leaving]
  return [...new Set([...configured.keys, ...gone, ...(coming?.keys ?? [])])]
}

/** Decides again who signs; by an answer of the registry, or without one where nobody is asked (PA28.1). */
export function judgeState(state: KeyState, isAsked: boolean, nowMs: number): KeyState {
  const isDone = state.configured.keys.every((key) => state.announced.has(key))
  const settled = isDone ? { ...state, leaving: undefined } : state
  const held = listHeld(settled)
  const announced = new Set([...settled.announced].filter((key) => held.includes(key)))
  const mine = listSigners(settled).filter((key) => announced.has(key))
  const choice = choose(settled, mine, isAsked, nowMs)
  return { ...settled, announced, choice }
}

/** As `judgeState` would choose, if all keys of a configuration were announced. */
export function foresee(
  state: KeyState,
  configured: ConfiguredKeys,
  isAsked: boolean,
  nowMs: number,
): KeyChoice | undefined {
  return choose({ ...state, configured }, configured.keys, isAsked, nowMs)
}

/** The key that signs, or the one that is going to when a keyset names it. */
export function findSigner(state: KeyState, isAsked: boolean, nowMs: number): HeldKey {
  const { configured, choice } = state
  const address = (choice ?? foresee(state, configured, isAsked, nowMs))?.address
  const [first] = configured.keys
  const found = listSigners(state).find((key) => key.address === address) ?? first
  if (found === undefined) throw new RangeError('no charge key')
  return found
}

/** What a keyset that is opened now names: at most one key and eight others (ST4.1). */
export function nameState(state: KeyState, isAsked: boolean, nowMs: number): NamedKeys {
  const signer = findSigner(state, isAsked, nowMs)
  const others = (state.coming?.keys ?? listSigners(state)).filter((key) => key !== signer)
  return {
    address: signer.account.address,
    others: others.map(({ account }) => account.address),
  }
}

function listSigners({ configured, leaving }: KeyState): readonly HeldKey[] {
  return [...new Set([...configured.keys, ...(leaving === undefined ? [] : [leaving])])]
}

function choose(
  { configured: { horizonMs }, reading, choice }: KeyState,
  keys: readonly HeldKey[],
  isAsked: boolean,
  nowMs: number,
): KeyChoice | undefined {
  const present = keys.find(({ address }) => address === choice?.address)
  const [first] = isAsked && present !== undefined ? [present] : keys
  if (first === undefined) return undefined
  if (!isAsked) return { ...unasked, address: first.address }
  const others = keys.flatMap((key) => (key === first ? [] : [key.address]))
  return chooseKey([first.address, ...others], reading, { nowMs, horizonMs })
}

/** Where no registry is known, the first key signs and nobody is asked (PA28.1). */
const unasked = {
  standing: 'good',
  isSelling: true,
  sellsUntilMs: Infinity,
} as const
