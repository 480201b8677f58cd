/** anvil itself as the chain of an attacked network: the embedded chain takes no block back. */
import {
  startBareChain,
  type BareChain,
} from '../../../packages/gateway/test/payment/bare-chain.ts'
import type { History } from './driver.ts'

/** Blocks are made by transactions and by time; a server that looks for old news finds new ones. */
const tickMs = 1000
/** Blocks that are made quickly run ahead of the clock. */
const secondsBehind = 60

/** A chain that makes blocks as time goes by, and takes them back. */
export async function startForkableChain(): Promise<{
  readonly chain: BareChain
  readonly history: History
}> {
  const bare = await startBareChain('', secondsBehind)
  // Owned here: what is done to the chain, one after the other.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work)
    last = next.catch(() => undefined)
    return next
  }
  const height = (): Promise<bigint> => bare.client.getBlockNumber({ cacheTime: 0 })
  const ticker = setInterval(() => void inTurn(() => bare.mine()).catch(() => undefined), tickMs)
  return {
    chain: {
      ...bare,
      stop: async () => {
        clearInterval(ticker)
        await last
        await bare.stop()
      },
    },
    history: {
      height,
      takeBackTo: (to) => inTurn(async () => bare.reorganise(Number((await height()) - to))),
    },
  }
}
