/** T19 and T38 for schemes that settle after the answer: what the chain has in the end. */
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createPublicClient, http, keccak256, type Hex } from 'viem'
import { demand, isServed, notRun, passed, type Context, type Outcome } from '../attack.ts'
import { RpcDropped, type Driver, type RpcRule } from '../drivers/driver.ts'
import { createChannelPayer } from '../payers/channel-payer.ts'
import { createPayer } from '../payers/create-payer.ts'
import { readChannel } from '../read-chain.ts'
import { until } from '../waiting.ts'
import { chargedIn } from '../wire.ts'

const patienceMs = 60_000

/** A payer of whom nobody else takes anything. */
type Watched = {
  /** Makes a call; whether it was served. */
  call(): Promise<boolean>
  /** Charged so far, and what of it the chain says was taken. */
  charged(): bigint
  taken(): Promise<bigint>
}

async function watchPayer(context: Context, driver: Driver): Promise<Watched> {
  const key = await driver.createPayerKey()
  return context.scheme === 'upto' ? watchMaxima(context, driver, key) : watchChannel(context, key)
}

async function watchMaxima(context: Context, driver: Driver, key: Hex): Promise<Watched> {
  const payer = createPayer('upto', key)
  const { accepted } = await payer.sign(await context.quote())
  const client = createPublicClient({ transport: http(context.rpcUrl) })
  const address: Hex = `0x${accepted.asset.slice(2)}`
  const balance = (): Promise<bigint> =>
    client.readContract({
      address,
      abi: testUsdcAbi,
      functionName: 'balanceOf',
      args: [payer.address],
    })
  const before = await balance()
  let charged = 0n
  return {
    call: async () => {
      const answer = await context.send(await payer.sign(await context.quote()))
      if (!isServed(answer)) return false
      charged += (await driver.chargeOf?.(answer)) ?? chargedIn(answer) ?? 0n
      return true
    },
    charged: () => charged,
    taken: async () => before - (await balance()),
  }
}

async function watchChannel(context: Context, key: Hex): Promise<Watched> {
  const payer = createChannelPayer(key, 20_000n)
  const call = async (): Promise<boolean> => {
    const answer = await context.send(await payer.sign(await context.quote()))
    payer.hear(answer)
    return isServed(answer)
  }
  // The deposit comes first: it is another transaction.
  demand(await call(), 'the channel could not be opened')
  const { id } = payer.channelOf((await payer.sign(await context.quote())).accepted)
  const taken = async (): Promise<bigint> => (await readChannel(context.rpcUrl, id)).claimed
  const isClaiming = await until(async () => (await taken()) > 0n, patienceMs)
  if (!isClaiming) throw new NothingClaimed()
  return { call, charged: () => payer.chargedAtomic(), taken }
}

class NothingClaimed extends Error {}

async function onWatched(
  context: Context,
  driver: Driver,
  attack: (payer: Watched) => Promise<Outcome>,
): Promise<Outcome> {
  await context.settleUp()
  try {
    return await attack(await watchPayer(context, driver))
  } catch (error) {
    if (!(error instanceof NothingClaimed)) throw error
    return notRun(`the server claims nothing within ${patienceMs / 1000} s`)
  } finally {
    driver.rpcRule = undefined
  }
}

/** T19: the settlement "succeeds", and no token moved. */
export function settleNothing(context: Context, driver: Driver): Promise<Outcome> {
  return onWatched(context, driver, async (payer) => {
    const lie = pretendSuccess()
    driver.rpcRule = lie.rule
    if (!(await payer.call())) return passed('settled in the call, which was refused')
    const isAsked = await until(() => lie.asked() > 0, patienceMs)
    demand(isAsked, 'the server never looked for its settlement')
    driver.rpcRule = undefined
    const isTaken = await until(async () => (await payer.taken()) >= payer.charged(), patienceMs)
    demand(
      isTaken,
      `${payer.charged()} was charged; after a receipt without its event ${await payer.taken()} was taken, and no more`,
    )
    return passed(
      `a receipt without its event was not believed: ${payer.charged()} taken afterwards`,
    )
  })
}

/** Transactions go nowhere, and their receipts say that all is well. */
function pretendSuccess(): { readonly rule: RpcRule; asked(): number } {
  const swallowed = new Set<unknown>()
  let asked = 0
  return {
    asked: () => asked,
    rule: async (method, params, forward) => {
      if (method === 'eth_sendRawTransaction') {
        const hash = keccak256(`0x${String(params[0]).slice(2)}`)
        swallowed.add(hash)
        return hash
      }
      if (method !== 'eth_getTransactionReceipt' || !swallowed.has(params[0])) return forward()
      asked++
      return {
        transactionHash: params[0],
        status: '0x1',
        logs: [],
        blockNumber: '0x1',
        blockHash: `0x${'11'.repeat(32)}`,
        transactionIndex: '0x0',
        from: `0x${'22'.repeat(20)}`,
        to: `0x${'33'.repeat(20)}`,
        contractAddress: null,
        cumulativeGasUsed: '0x5208',
        gasUsed: '0x5208',
        effectiveGasPrice: '0x1',
        logsBloom: `0x${'0'.repeat(512)}`,
        type: '0x2',
      }
    },
  }
}

/**
 * The first transaction gets no answer; the second is taken, answered, and forgotten: what follows has a nonce behind a gap.
 */
export function loseFirst(count: () => number): RpcRule {
  return (method, params, forward) => {
    if (method !== 'eth_sendRawTransaction') return forward()
    const lost = count()
    if (lost === 0) throw new RpcDropped()
    const raw: Hex = `0x${String(params[0]).slice(2)}`
    return lost === 1 ? Promise.resolve(keccak256(raw)) : forward()
  }
}

/** T38: a settlement is lost on its way; those behind it and it itself arrive. */
export function loseSettlements(context: Context, driver: Driver): Promise<Outcome> {
  return onWatched(context, driver, async (payer) => {
    let lost = 0
    driver.rpcRule = loseFirst(() => lost++)
    let served = 0
    for (let count = 0; count < 3; count++) served += (await payer.call()) ? 1 : 0
    demand(served > 0, 'after one lost transaction nothing was served')
    const isSent = await until(() => lost > 0, patienceMs)
    demand(isSent, 'no settlement was sent')
    const isTaken = await until(async () => (await payer.taken()) >= payer.charged(), patienceMs)
    demand(
      isTaken,
      `${payer.charged()} was charged; after a lost transaction ${await payer.taken()} was taken, and no more`,
    )
    return passed(`one transaction lost: ${payer.charged()} of ${served} calls taken all the same`)
  })
}
