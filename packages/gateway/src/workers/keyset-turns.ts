/**
 * One chain of keysets for all workers, and the keys that they have together. A worker opens a keyset in its turn: the
 * one before it is on the disk by then, whoever made it.
 */
import { createHpkeKey } from '../keys/hpke-key.ts'
import { epochLifetimeMs, renewAfterMs } from '../keys/epochs.ts'
import { createTlsKey } from '../keys/tls-key.ts'
import type { SharedKeys, TurnAnswer } from './questions.ts'

/** Owner of the turns and of the shared keys. `W` stands for a worker. */
export type KeysetTurns<W> = {
  /** Resolves when it is the turn of this worker, which lasts until `end`. */
  take(worker: W, nowMs: number, notAfterMs: number): Promise<Omit<TurnAnswer, 'settlement'>>
  /** Ends the turn of this worker, if it has one: its keyset is stored, or there will be none. */
  end(worker: W): void
  /** The worker is gone: it takes no turn any more. */
  remove(worker: W): void
  /** Keys that calls may still be sealed to, oldest first. */
  heldHpke(): readonly Uint8Array[]
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
}

type Generation = SharedKeys & { readonly renewAtMs: number; readonly notAfterMs: number }

/** No keyset and no keys yet. */
export function createKeysetTurns<W>(options: KeysetTurnOptions<W>): KeysetTurns<W> {
  const { tlsNames, sealed, lastKeysetDigest, spread, onRenewed } = options
  // All owned here. `tail` settles when the last turn so far is over, and never rejects.
  let tail: Promise<void> = Promise.resolve()
  let turn: { readonly worker: W; readonly isNew: boolean; readonly over: () => void } | undefined
  const removed = new Set<W>()
  let keys: Generation | undefined
  let heldHpke: readonly Uint8Array[] = []
  let spreading: Promise<void> = Promise.resolve()

  function isGood(generation: Generation | undefined, nowMs: number, notAfterMs: number): boolean {
    return (
      generation !== undefined &&
      nowMs < generation.renewAtMs &&
      notAfterMs <= generation.notAfterMs
    )
  }

  /** Younger than half a life: a keyset that is opened now must not outlive the keys in it. */
  function makeKeys(nowMs: number): Generation {
    const notAfterMs = nowMs + 2 * epochLifetimeMs
    const tls = tlsNames === undefined ? undefined : createTlsKey(tlsNames, nowMs, notAfterMs)
    return {
      tls: tls && { keyPem: tls.keyPem, certificatePem: tls.certificatePem },
      hpke: sealed ? createHpkeKey().privateKey : undefined,
      renewAtMs: nowMs + renewAfterMs,
      notAfterMs,
    }
  }

  function end(worker: W): void {
    if (turn?.worker !== worker) return
    const { isNew, over } = turn
    turn = undefined
    over()
    if (isNew) onRenewed(worker)
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
        const isKept = isGood(keys, nowMs, notAfterMs)
        const generation = (isKept ? keys : undefined) ?? makeKeys(nowMs)
        turn = { worker, isNew: !isKept && !isFirst, over: over.resolve }
        keys = generation
        const { tls, hpke } = generation
        if (!isKept && hpke !== undefined) {
          heldHpke = [...heldHpke.slice(-1), hpke]
          spreading = spread(hpke, worker)
        }
        // Also the keys of a turn whose worker died meanwhile: nobody announces them before all hold them.
        await spreading
        return { tls, hpke, previousKeysetDigest: lastKeysetDigest() }
      } catch (error) {
        // A worker without a turn ends none.
        turn = undefined
        over.resolve()
        throw error
      }
    },
    end,
    remove: (worker) => {
      removed.add(worker)
      end(worker)
    },
    heldHpke: () => heldHpke,
  }
}
