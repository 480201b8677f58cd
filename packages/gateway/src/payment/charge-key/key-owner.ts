/** Owner of what is known of the charge keys: changes it, says when what others are told of it has changed. */
import {
  findSigner,
  judgeState,
  listHeld,
  nameState,
  type ConfiguredKeys,
  type HeldKey,
  type KeyState,
  type NamedKeys,
} from './key-state.ts'

/** A process that shows keysets. Only its identity is used. */
export type Place = object | symbol

/** The state of the keys, and the places that show keysets. */
export type KeyOwner = {
  readonly state: () => KeyState
  /** Judged for this moment. */
  readonly current: () => KeyState
  readonly named: () => NamedKeys
  /** Keys that a current keyset may name as key 10. */
  readonly confirming: () => readonly HeldKey[]
  readonly put: (change: Partial<KeyState>) => void
  /** Without telling anybody: the next `put` does. */
  readonly putQuietly: (change: Partial<KeyState>) => void
  /** These are the keys of now. The one that signs goes on until all of them are announced. */
  readonly commit: (configured: ConfiguredKeys) => void
  readonly shown: (place: Place, names: NamedKeys) => void
  readonly gone: (place: Place) => void
  readonly behind: () => readonly Place[]
  readonly listen: (onChange: (isNews: boolean) => void) => void
  /** Tells that a place is behind, where one is. */
  readonly remind: () => void
}

/** A key that only confirms. */
type FormerKey = { readonly key: HeldKey; readonly untilMs: number }

// A keyset lives a day; what was opened just before a key left may become current some minutes later.
const confirmMs = 86_400_000 + 600_000

/** An owner that begins with this state. */
export function createKeyOwner(first: KeyState, isAsked: boolean, clock: () => number): KeyOwner {
  // All owned here. `told`: what the listener knows. `former`: keys that only confirm, and how long.
  let state = judgeState(first, isAsked, clock())
  let told = summary()
  let tell: ((isNews: boolean) => void) | undefined
  let former: readonly FormerKey[] = []
  const places = new Map<Place, NamedKeys>()

  const named = (): NamedKeys => nameState(state, isAsked, clock())

  function summary(): string {
    const names = nameState(state, isAsked, clock())
    return JSON.stringify([names, state.choice?.isSelling ?? false])
  }

  function putQuietly(change: Partial<KeyState>): void {
    const before = listHeld(state)
    state = judgeState({ ...state, ...change }, isAsked, clock())
    former = keepFormer(former, before, listHeld(state), clock())
  }

  function put(change: Partial<KeyState>): void {
    putQuietly(change)
    const now = summary()
    if (now === told) return
    told = now
    tell?.(true)
  }

  /** A key is announced when every place names it, and stays so while it is held. */
  function announce(): void {
    const all = [...places.values()]
    const isNamed = ({ account: { address } }: HeldKey): boolean =>
      all.length > 0 && all.every((names) => namesKey(names, address))
    put({ announced: new Set([...state.announced, ...listHeld(state).filter(isNamed)]) })
  }

  function behind(): readonly Place[] {
    // The keysets that name what is coming are opened by whoever brings it.
    if (state.coming !== undefined) return []
    const now = JSON.stringify(named())
    return [...places].flatMap(([place, names]) => (JSON.stringify(names) === now ? [] : [place]))
  }

  return {
    state: () => state,
    current: () => {
      const { choice } = state
      if (choice?.isSelling === true && clock() >= choice.sellsUntilMs) put({})
      return state
    },
    named,
    confirming: () => [...listHeld(state), ...former.map(({ key }) => key)],
    put,
    putQuietly,
    commit: (configured) => {
      const signer = findSigner(state, isAsked, clock())
      const isLeft = state.choice !== undefined && !configured.keys.includes(signer)
      put({ configured, coming: undefined, leaving: isLeft ? signer : undefined })
    },
    shown: (place, { address, others }) => {
      places.set(place, { address, others })
      announce()
    },
    gone: (place) => {
      if (places.delete(place)) announce()
    },
    behind,
    listen: (onChange) => {
      tell = onChange
    },
    remind: () => {
      if (behind().length > 0) tell?.(false)
    },
  }
}

/** Keysets that are current, or will be in a moment, may name a key that is held no more. */
function keepFormer(
  former: readonly FormerKey[],
  before: readonly HeldKey[],
  held: readonly HeldKey[],
  nowMs: number,
): readonly FormerKey[] {
  const left = before.filter((key) => !held.includes(key))
  const kept = former.filter(({ key, untilMs }) => nowMs < untilMs && !held.includes(key))
  return [...kept, ...left.map((key) => ({ key, untilMs: nowMs + confirmMs }))]
}

function namesKey({ address, others }: NamedKeys, key: string): boolean {
  return address === key || others.includes(key)
}
