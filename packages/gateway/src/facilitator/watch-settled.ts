/** Settlements that a reorganisation takes back are seen, told of, and sent again (spec/payment.md PA27.11). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { Chain } from '../payment/exact/chain.ts'
import { createHeadReader, rethrowUnlessUnread } from '../payment/exact/follow-settled.ts'
import { pause } from '../payment/exact/pause.ts'
import { MaybeSent, NotSent, type Sender } from '../payment/exact/sender.ts'
import { createSettlementWatch, type SettlementLook } from '../payment/settlement-watch.ts'

/** What became of a settlement that had its depth: it vanished, is there again, or can never be there again. */
export type TakenBack = 'taken-back' | 'settled-again' | 'lost'

/** What is followed. */
export type SettledWatch = {
  /** From now on until its block is final. */
  follow(id: string, hash: Hex): void
  /** Resolves when nothing is followed any more; abort the signal first. */
  readonly stopped: Promise<void>
}

type Options = {
  readonly chain: Chain
  readonly sender: Sender
  /** 1 follows nothing. */
  readonly finalDepth: number
  readonly signal: AbortSignal
  readonly onTakenBack: (result: TakenBack, hash: Hex) => void
  readonly onFault: (error: unknown) => void
}

const intervalMs = 1000

/** Begins to follow; asks nothing while there is nothing to follow. */
export function watchSettled(options: Options): SettledWatch {
  const { chain, finalDepth, signal, onTakenBack, onFault } = options
  const watch = createSettlementWatch(createHeadReader(chain), finalDepth)
  // Both owned here: what is followed, and of that what is gone.
  const hashes = new Map<string, Hex>()
  const gone = new Set<string>()

  const follow = (id: string, hash: Hex): void => {
    watch.follow(id, hash)
    if (watch.isFollowed(id)) hashes.set(id, hash)
  }

  async function step(): Promise<void> {
    await watch.step({
      look: (id) => look(chain, hashes.get(id)),
      gone: (id) => {
        gone.add(id)
        tell('taken-back', id)
      },
      final: (id) => hashes.delete(id),
    })
    if (gone.size > 0) await sendAgain()
  }

  /** The sender knows the bytes of all that it has signed, and what of it the chain has. */
  async function sendAgain(): Promise<void> {
    await options.sender.repair()
    for (const id of gone) {
      const hash = hashes.get(id)
      const receipt = hash === undefined ? undefined : await chain.findReceipt(hash, 1)
      const isThere = receipt?.status === 'success'
      const isLost =
        hash === undefined ||
        receipt?.status === 'reverted' ||
        (await options.sender.isReplaced(hash))
      if (!isThere && !isLost) continue
      gone.delete(id)
      tell(isThere ? 'settled-again' : 'lost', id)
      hashes.delete(id)
      if (isThere && hash !== undefined) follow(id, hash)
    }
  }

  function tell(result: TakenBack, id: string): void {
    const hash = hashes.get(id)
    if (hash !== undefined) onTakenBack(result, hash)
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      // Neither a silent node nor one that refuses is a fault of ours: the next step asks again.
      await step().catch(rethrowUnlessAway)
      await pause(intervalMs, signal)
    }
  }

  const stopped = run().catch((error: unknown) => {
    if (!signal.aborted) onFault(error)
  })
  return { follow, stopped }
}

async function look(chain: Chain, hash: Hex | undefined): Promise<SettlementLook> {
  const receipt = hash === undefined ? undefined : await chain.findReceipt(hash, 1)
  if (receipt?.status !== 'success') return { kind: 'gone' }
  return { kind: 'there', blockNumber: receipt.blockNumber }
}

function rethrowUnlessAway(error: unknown): void {
  if (error instanceof NotSent || error instanceof MaybeSent) return
  rethrowUnlessUnread(error)
}
