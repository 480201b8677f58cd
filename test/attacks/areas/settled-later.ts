/** T19, T38 and T40: what the chain has in the end of what was charged. */
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createPublicClient, http, keccak256, type Hex } from 'viem'
import {
  demand,
  isServed,
  notRun,
  passed,
  type Context,
  type Outcome,
  type Payer,
} from '../attack.ts'
import { RpcDropped, type Driver, type RpcRule } from '../drivers/driver.ts'
import { createChannelPayer } from '../payers/channel-payer.ts'
import { createPayer } from '../payers/create-payer.ts'
import { readChannel } from '../read-chain.ts'
import { until } from '../waiting.ts'
import { openByCall } from './open-by-call.ts'
import { chargedIn, type Payment } from '../wire.ts'

const patienceMs = 60_000
/** viem waits 180 s for the receipt of a transaction that is lost. */
const givingUpMs = 200_000

/** A payer of whom nobody else takes anything. */
export type Watched = {
  /** Makes a call; whether it was served. */
  call(): Promise<boolean>
  /** The last payment once more. */
  again(): ReturnType<Context['send']>
  /** Charged so far, and what of it the chain says was taken. */
  charged(): bigint
  taken(): Promise<bigint>
}

/** One with an account, or a channel, of its own. */
export async function watchPayer(context: Context, driver: Driver): Promise<Watched> {
  const key = await driver.createPayerKey()
  return context.scheme === 'batch-settlement'
    ? watchChannel(context, key)
    : watchAccount(context, driver, key)
}

async function watchAccount(context: Context, driver: Driver, key: Hex): Promise<Watched> {
  const payer = createPayer(context.scheme, key)
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
  const price = context.scheme === 'exact' ? BigInt(accepted.amount) : 0n
  let charged = 0n
  const paying = createCaller(context, payer)
  return {
    ...paying,
    call: async () => {
      const answer = await paying.call()
      if (!isServed(answer)) return false
      charged += (await driver.chargeOf?.(answer)) ?? chargedIn(answer) ?? price
      return true
    },
    charged: () => charged,
    taken: async () => before - (await balance()),
  }
}

async function watchChannel(context: Context, key: Hex): Promise<Watched> {
  const payer = createChannelPayer(key, 20_000n)
  const paying = createCaller(context, payer)
  // The deposit comes first: it is another transaction.
  const { id } = payer.channelOf((await openByCall(context, payer)).accepted)
  const taken = async (): Promise<bigint> => (await readChannel(context.rpcUrl, id)).claimed
  const isClaiming = await until(async () => (await taken()) > 0n, patienceMs)
  if (!isClaiming) throw new NothingClaimed()
  const call = async (): Promise<boolean> => isServed(await paying.call())
  return { ...paying, call, charged: () => payer.chargedAtomic(), taken }
}

/** Signs, sends and remembers. */
function createCaller(
  context: Context,
  payer: Payer,
): { call(): ReturnType<Context['send']>; again(): ReturnType<Context['send']> } {
  // Owned here: what was sent last.
  let last: Payment | undefined
  return {
    call: async () => {
      last = await payer.sign(await context.quote())
      const answer = await context.send(last)
      payer.hear(answer)
      return answer
    },
    again: () => context.send(last),
  }
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

/** By itself, or with the settlement of one call more, as late as a lost transaction may be given up. */
async function isTakenAtLast(payer: Watched): Promise<boolean> {
  const isTaken = async (): Promise<boolean> => (await payer.taken()) >= payer.charged()
  if (await until(isTaken, patienceMs)) return true
  await payer.call()
  return until(isTaken, givingUpMs)
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
    demand(
      await isTakenAtLast(payer),
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
    demand(
      await isTakenAtLast(payer),
      `${payer.charged()} was charged; after a lost transaction ${await payer.taken()} was taken, and no more`,
    )
    return passed(`one transaction lost: all ${payer.charged()} charged were taken all the same`)
  })
}
