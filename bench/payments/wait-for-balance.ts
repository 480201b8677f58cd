/** Waits for the chain. */
import { setTimeout } from 'node:timers/promises'
import type { MeteredNetwork } from '../../packages/gateway/test/payment/metered-network.ts'

const looks = 600
const pauseMs = 100

/** Until this account holds exactly this. @throws Error when it holds more, or not enough after a minute. */
export async function waitForBalance(
  network: MeteredNetwork,
  owner: `0x${string}`,
  wantedAtomic: bigint,
): Promise<void> {
  for (let look = 0; look < looks; look++) {
    const heldAtomic = await network.balanceOf(owner)
    if (heldAtomic === wantedAtomic) return
    if (heldAtomic > wantedAtomic) throw new Error(`${heldAtomic} was paid, not ${wantedAtomic}`)
    await setTimeout(pauseMs)
  }
  throw new Error(`${wantedAtomic} was not paid in time`)
}
