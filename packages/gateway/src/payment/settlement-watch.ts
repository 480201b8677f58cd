/** Follows settlements until no reorganisation is expected to take them back (spec/payment.md PA29.6). */
import { BlockNotFoundError, type Hex, type PublicClient } from 'viem'

/** Where a settlement is. `blockNumber` is absent when only that it is there is known. */
export type SettlementLook =
  | { readonly kind: 'there'; readonly blockNumber?: bigint; readonly transaction?: Hex }
  | { readonly kind: 'gone' | 'unclear' }

/** What is done with what is found. */
export type SettlementHandlers = {
  /** Asks the chain for one settlement. `transaction`: the one by which it was seen last. */
  look(key: string, transaction: Hex | undefined): Promise<SettlementLook>
  /** It was there and is not any more. It is not followed further. */
  gone(key: string): void
  final(key: string): void
}

/** Owns the settlements that are not final yet; in memory: a start follows again what it finds. */
export type SettlementWatch = {
  follow(key: string, transaction: Hex | undefined): void
  isFollowed(key: string): boolean
  /** Looks at the head, and at what may have moved. Asks nothing while nothing is followed. */
  step(handlers: SettlementHandlers): Promise<void>
}

type Followed = {
  transaction: Hex | undefined
  /** The block in which it was found; `undefined`: it has to be looked for. */
  blockNumber: bigint | undefined
  goneLooks: number
}
type Head = { readonly number: bigint; readonly hash: Hex }

const rememberedHeads = 64
/** After a start there may be many. */
const looksPerStep = 50
/** Nodes behind one address do not agree on the newest block: who is behind has not seen it yet. */
const looksUntilGone = 3

/** A watch that follows nothing yet; with a `finalDepth` of 1 it never does. */
export function createSettlementWatch(
  client: Pick<PublicClient, 'getBlock'>,
  finalDepth: number,
): SettlementWatch {
  // Both owned by `follow` and `step`, of which one runs at a time.
  const followed = new Map<string, Followed>()
  const heads: Head[] = []

  async function step(handlers: SettlementHandlers): Promise<void> {
    if (followed.size === 0) {
      heads.length = 0
      return
    }
    const head = await client.getBlock({ blockTag: 'latest' })
    const forkedFrom = await findFork(client, heads, head)
    for (const [key, each] of followed) {
      const { blockNumber } = each
      if (blockNumber === undefined) continue
      // What stood above the fork has to be looked for, also when this step fails further on.
      if (forkedFrom !== undefined && blockNumber >= forkedFrom) each.blockNumber = undefined
      else if (head.number - blockNumber + 1n >= BigInt(finalDepth)) {
        followed.delete(key)
        handlers.final(key)
      }
    }
    await lookAtUnsure(followed, head.number, handlers)
  }

  return {
    follow: (key, transaction) => {
      if (finalDepth <= 1) return
      followed.set(key, { transaction, blockNumber: undefined, goneLooks: 0 })
    },
    isFollowed: (key) => followed.has(key),
    step,
  }
}

async function lookAtUnsure(
  followed: Map<string, Followed>,
  headNumber: bigint,
  handlers: SettlementHandlers,
): Promise<void> {
  let looks = 0
  for (const [key, each] of followed) {
    if (each.blockNumber !== undefined) continue
    if (looks++ === looksPerStep) return
    const found = await handlers.look(key, each.transaction)
    if (found.kind === 'there') {
      const { blockNumber = headNumber, transaction = each.transaction } = found
      // In a block above the head that the next step compares: it could be replaced without being noticed.
      each.blockNumber = blockNumber <= headNumber ? blockNumber : undefined
      each.transaction = transaction
      each.goneLooks = 0
    } else if (found.kind === 'gone' && ++each.goneLooks === looksUntilGone) {
      followed.delete(key)
      handlers.gone(key)
    }
  }
}

/** The lowest block that may be another one than at the last look; `undefined` when all of them stand. */
async function findFork(
  client: Pick<PublicClient, 'getBlock'>,
  heads: Head[],
  head: Head,
): Promise<bigint | undefined> {
  const count = heads.length
  let forkedFrom: bigint | undefined = count === 0 ? undefined : 0n
  for (let place = count - 1; place >= 0; place--) {
    const known = heads[place]
    if (known === undefined || !(await isStanding(client, known, head))) continue
    forkedFrom = place === count - 1 ? undefined : known.number + 1n
    heads.length = place + 1
    break
  }
  if (forkedFrom === 0n) heads.length = 0
  if (heads.at(-1)?.hash !== head.hash) heads.push({ number: head.number, hash: head.hash })
  if (heads.length > rememberedHeads) heads.shift()
  return forkedFrom
}

async function isStanding(
  client: Pick<PublicClient, 'getBlock'>,
  known: Head,
  head: Head,
): Promise<boolean> {
  if (known.number >= head.number) return known.hash === head.hash
  try {
    return (await client.getBlock({ blockNumber: known.number })).hash === known.hash
  } catch (error) {
    if (error instanceof BlockNotFoundError) return false
    throw error
  }
}
