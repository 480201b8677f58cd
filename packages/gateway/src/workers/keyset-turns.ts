/**
 * One chain of keysets for all workers, and the keys that they have together. A worker opens a keyset in its turn: the
 * one before it is on the disk by then, whoever made it. Renewed keys are shown to callers when all workers have keysets
 * with them: who attests at one of them connects to the key of any other.
 */
import { createHpkeKey } from '../keys/hpke-key.ts'
import { epochLifetimeMs, renewAfterMs } from '../keys/epochs.ts'
import { createTlsKey } from '../keys/tls-key.ts'
import type { SharedKeys, TurnAnswer } from './questions.ts'

/** Owner of the turns and of the shared keys. `W` stands for a worker. */
export type KeysetTurns<W> = {
  /** Resolves when it is the turn of this worker, which lasts until `end`. */
  take(worker: W, nowMs: number, notAfterMs: number): Promise<Omit<TurnAnswer, 'settlement'>>
  /**
   * Ends the turn of this worker, if it has one: its keyset is stored, or there will be none. Resolves when callers may
   * be shown the keys in it.
   */
  end(worker: W, isStored: boolean): Promise<void>
  /** The worker is gone: it takes no turn any more. */
  remove(worker: W): void
  /** Keys that calls may still be sealed to, oldest first. */
  heldHpke(): readonly Uint8Array[]
  /** Workers whose keyset has keys that were renewed since. */
  behind(): readonly W[]
}

/** What turns need. */
export type KeysetTurnOptions<W> = {
  /** Names in the certificate; `undefined` when TLS ends somewhere else. */
  readonly tlsNames: readonly string[] | undefined
  readonly sealed: boolean
  readonly lastKeysetDigest: () => Uint8Array | undefined
  /** Gives a new key to all other workers; nobody announces it before that. Never rejects. */
  readonly spread: (hpke: Uint8Array, except: W) => Promise<void>
  /** There are new keys: the others are to announce them, too. */
  readonly onRenewed: (by: W) => void
  /** How long renewed keys wait for a worker that does not follow; 60 seconds. */
  readonly maxWaitMs?: number
}

type Keys = SharedKeys & { readonly renewAtMs: number; readonly notAfterMs: number }

/** Keys, and the workers that callers see older ones of. */
type Generation<W> = Keys & {
  /** Each leaves when it has had its turn with these keys, or is gone. */
  readonly waitsFor: Set<W>
  readonly shown: PromiseWithResolvers<void>
}

type Turn<W> = {
  readonly worker: W
  readonly keys: Generation<W>
  readonly isNew: boolean
  readonly over: () => void
}

// An attester may take so long; who has not followed by then shows older keys for a while.
const defaultWaitMs = 60_000

/** No keyset and no keys yet. */
export function createKeysetTurns<W extends object>(options: KeysetTurnOptions<W>): KeysetTurns<W> {
  const { lastKeysetDigest, spread, onRenewed } = options
  // All owned here. `tail` settles when the last turn so far is over, and never rejects.
  let tail: Promise<void> = Promise.resolve()
  let turn: Turn<W> | undefined
  const removed = new WeakSet<W>()
  let keys: Generation<W> | undefined
  let heldHpke: readonly Uint8Array[] = []
  let spreading: Promise<void> = Promise.resolve()
  // The keys of each worker's latest keyset.
  const announced = new Map<W, Generation<W>>()

  /** The keys of this turn, and whether they are new. */
  function chooseKeys(
    nowMs: number,
    notAfterMs: number,
  ): { readonly chosen: Generation<W>; readonly isMade: boolean } {
    if (keys !== undefined && isGood(keys, nowMs, notAfterMs))
      return { chosen: keys, isMade: false }
    return { chosen: makeGeneration(options, nowMs, announced.keys()), isMade: true }
  }

  async function end(worker: W, isStored: boolean): Promise<void> {
    if (turn?.worker !== worker) return
    const { keys: used, isNew, over } = turn
    turn = undefined
    if (isStored) announced.set(worker, used)
    leave(used, worker)
    over()
    if (isNew) onRenewed(worker)
    await used.shown.promise
  }

  return {
    async take(worker, nowMs, notAfterMs) {
      const before = tail
      const over = Promise.withResolvers<void>()
      tail = over.promise
      await before
      if (removed.has(worker)) {
        over.resolve()
        throw new Error('the worker is gone')
      }
      try {
        const isFirst = keys === undefined
        const { chosen, isMade } = chooseKeys(nowMs, notAfterMs)
        turn = { worker, keys: chosen, isNew: isMade && !isFirst, over: over.resolve }
        keys = chosen
        const { tls, hpke } = chosen
        if (isMade && hpke !== undefined) {
          heldHpke = [...heldHpke.slice(-1), hpke]
          spreading = spread(hpke, worker)
        }
        // Also the keys of a turn whose worker died meanwhile: nobody announces them before all hold them.
        await spreading
        return { tls, hpke, previousKeysetDigest: lastKeysetDigest() }
      } catch (error) {
        // A worker without a turn ends none, and nobody waits for it.
        turn = undefined
        leave(keys, worker)
        over.resolve()
        throw error
      }
    },
    end,
    remove: (worker) => {
      removed.add(worker)
      void end(worker, false)
      announced.delete(worker)
      leave(keys, worker)
    },
    heldHpke: () => heldHpke,
    behind: () => [...announced].filter(([, used]) => used !== keys).map(([worker]) => worker),
  }
}

function isGood(keys: Keys, nowMs: number, notAfterMs: number): boolean {
  return nowMs < keys.renewAtMs && notAfterMs <= keys.notAfterMs
}

/** Younger than half a life: a keyset that is opened now must not outlive the keys in it. */
function makeKeys(
  { tlsNames, sealed }: Pick<KeysetTurnOptions<unknown>, 'tlsNames' | 'sealed'>,
  nowMs: number,
): Keys {
  const notAfterMs = nowMs + 2 * epochLifetimeMs
  const tls = tlsNames === undefined ? undefined : createTlsKey(tlsNames, nowMs, notAfterMs)
  return {
    tls: tls && { keyPem: tls.keyPem, certificatePem: tls.certificatePem },
    hpke: sealed ? createHpkeKey().privateKey : undefined,
    renewAtMs: nowMs + renewAfterMs,
    notAfterMs,
  }
}

function makeGeneration<W>(
  options: KeysetTurnOptions<W>,
  nowMs: number,
  workers: Iterable<W>,
): Generation<W> {
  const { tlsNames, maxWaitMs = defaultWaitMs } = options
  // Only of TLS does a caller see the key before it is told which one is attested.
  const waitsFor = new Set(tlsNames === undefined ? [] : workers)
  const shown = Promise.withResolvers<void>()
  if (waitsFor.size === 0) shown.resolve()
  else stopWaiting(shown, maxWaitMs)
  return { ...makeKeys(options, nowMs), waitsFor, shown }
}

/** Nobody waits for this worker any more. */
function leave<W>(generation: Generation<W> | undefined, worker: W): void {
  generation?.waitsFor.delete(worker)
  if (generation?.waitsFor.size === 0) generation.shown.resolve()
}

function stopWaiting({ promise, resolve }: PromiseWithResolvers<void>, maxWaitMs: number): void {
  const patience = setTimeout(resolve, maxWaitMs)
  void promise.finally(() => {
    clearTimeout(patience)
  })
}
