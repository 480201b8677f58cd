/** T40: the chain itself takes back the blocks in which the server was paid. */
import { demand, isServed, tally, type Context, type FreshContext, type Payer } from '../attack.ts'
import type { Hex } from 'viem'
import { payerBalanceAtomic } from '../../../packages/gateway/test/payment/chain-process.ts'
import { moveAway } from '../drivers/accounts.ts'
import type { Driver, History } from '../drivers/driver.ts'
import { createChannelPayer, type ChannelPayer } from '../payers/channel-payer.ts'
import { readChannel } from '../read-chain.ts'
import { until } from '../waiting.ts'
import type { Offer } from '../wire.ts'
import { openByCall } from './open-by-call.ts'
import { watchPayer } from './settled-later.ts'

/** A network whose chain can be reorganised. */
export type Forkable = FreshContext & { readonly history: History }

const patienceMs = 30_000
/** As long as a server that follows the chain may need to see another one. */
const noticeMs = 8000
const depositAtomic = 20_000n

/**
 * A settlement that was in a block is in none any more. Its payment must not buy again, the money must come all the same,
 * and once.
 */
export async function takeBackSettlement({ context, history }: Forkable): Promise<string> {
  const driver = driverOf(context)
  const payer = await watchPayer(context, driver)
  const before = await history.height()
  demand(await payer.call(), 'an ordinary call was not served')
  const owed = payer.charged()
  const isSettled = await until(async () => (await payer.taken()) >= owed, patienceMs)
  demand(isSettled, `${await payer.taken()} of ${owed} was taken, before any block was taken back`)
  const left = await withoutTransactions(driver, async () => {
    await history.takeBackTo(before)
    return payer.taken()
  })
  if (left >= owed) throw new Error('the chain took no settlement back')
  const { answers, executions } = await context.observe(async () => [
    await payer.again(),
    await payer.again(),
  ])
  demand(
    executions === 0,
    `a payment whose settlement was taken back bought ${executions} more: ${tally(answers)}`,
  )
  const isBack = await until(async () => (await payer.taken()) >= payer.charged(), patienceMs)
  // A server that settles in totals may notice with its next one.
  if (!isBack) demand(await payer.call(), 'nothing was served after the reorganisation')
  const isPaid =
    isBack || (await until(async () => (await payer.taken()) >= payer.charged(), patienceMs))
  demand(
    isPaid,
    `${payer.charged()} was charged; after its settlement was taken back ${await payer.taken()} was taken, and no more`,
  )
  const isServing = await until(() => payer.call(), patienceMs)
  demand(isServing, 'nothing was served after the reorganisation')
  const isWhole = await until(async () => (await payer.taken()) >= payer.charged(), patienceMs)
  const taken = await payer.taken()
  demand(isWhole && taken === payer.charged(), `${taken} was taken for ${payer.charged()} charged`)
  return `a settlement of ${owed - left} that the chain took back: taken again, once; its payment bought nothing more`
}

/**
 * The deposit of a channel is in no block any more. Where it can come again, all that was charged must be claimed in the end;
 * where its payer has spent the money meanwhile, calls must end as soon as the server can know.
 */
export async function takeBackDeposit(own: Forkable): Promise<string> {
  return `${await sendDepositAgain(own)}; ${await spendDeposit(own)}`
}

async function sendDepositAgain(own: Forkable): Promise<string> {
  const { context, history } = own
  const { payer, before, onChain } = await openTwice(own, await keyOf(context))
  await history.takeBackTo(before)
  let served = 0
  const isThere = await until(async () => {
    // The server sends it again, or the payer another one.
    if (isServed(await call(context, payer))) served++
    else payer.refill()
    return (await onChain()).balance >= depositAtomic
  }, patienceMs)
  demand(
    isThere,
    `${served} calls were served on a deposit that was taken back and did not come again`,
  )
  const isPaid = await until(
    async () => (await onChain()).claimed >= payer.chargedAtomic(),
    patienceMs,
  )
  demand(
    isPaid,
    `${(await onChain()).claimed} of ${payer.chargedAtomic()} was claimed of a deposit that came again`,
  )
  return `a deposit that the chain took back: it came again, and all ${payer.chargedAtomic()} was claimed`
}

async function spendDeposit(own: Forkable): Promise<string> {
  const { context, history } = own
  const key = await keyOf(context)
  const { payer, before, offer, onChain } = await openTwice(own, key)
  await withoutTransactions(driverOf(context), async () => {
    await history.takeBackTo(before)
    await moveAway(context.rpcUrl, `0x${offer.asset.slice(2)}`, key, payerBalanceAtomic)
  })
  const { executed, isOver } = await callUntilRefused(context, payer)
  if ((await onChain()).balance > 0n)
    throw new Error('the deposit came again although its money is gone')
  demand(isOver, `${executed} calls were served on a deposit that was taken back and spent`)
  // Nothing of it holds up others.
  const isServing = await until(
    async () => isServed(await context.send(await context.pay())),
    patienceMs,
  )
  demand(isServing, 'nobody else was served afterwards')
  return `one whose payer then spent the money: ${executed} calls until it was noticed, then none`
}

type Opened = {
  readonly payer: ChannelPayer
  readonly offer: Offer
  /** The height at which nothing of the channel was there. */
  readonly before: bigint
  readonly onChain: () => ReturnType<typeof readChannel>
}

/** A channel that was opened by one call and has paid for another. */
async function openTwice({ context, history }: Forkable, key: Hex): Promise<Opened> {
  const payer = createChannelPayer(key, depositAtomic)
  const before = await history.height()
  const { accepted } = await openByCall(context, payer)
  const { id } = payer.channelOf(accepted)
  const answer = await call(context, payer)
  demand(isServed(answer), `a voucher was not served: ${tally([answer])}`)
  return {
    payer,
    offer: accepted,
    before,
    onChain: () => readChannel(context.rpcUrl, id),
  }
}

function keyOf(context: Context): Promise<Hex> {
  return driverOf(context).createPayerKey()
}

async function callUntilRefused(
  context: Context,
  payer: Payer,
): Promise<{ readonly executed: number; readonly isOver: boolean }> {
  let executed = 0
  const isOver = await until(async () => {
    const { answers, executions } = await context.observe(async () => [await call(context, payer)])
    executed += executions
    return !answers.some(isServed)
  }, noticeMs)
  return { executed, isOver }
}

async function call(context: Context, payer: Payer): ReturnType<Context['send']> {
  const answer = await context.send(await payer.sign(await context.quote()))
  payer.hear(answer)
  return answer
}

/** Meanwhile the node lets transactions wait: what the chain forgot is looked at before it is sent again. */
async function withoutTransactions<T>(driver: Driver, work: () => Promise<T>): Promise<T> {
  const over = Promise.withResolvers<void>()
  driver.rpcRule = async (method, _, forward) => {
    if (method === 'eth_sendRawTransaction') await over.promise
    return forward()
  }
  try {
    return await work()
  } finally {
    over.resolve()
    driver.rpcRule = undefined
  }
}

function driverOf({ driver }: Context): Driver {
  if (driver === undefined) throw new Error('no driver')
  return driver
}
