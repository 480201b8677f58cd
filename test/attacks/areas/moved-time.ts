/** T24, T25, T30, T40 and T42: time, nodes and keys, each attack on a network of its own. */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import type { Hex } from 'viem'
import {
  demand,
  isServed,
  notApplicable,
  notRun,
  passed,
  tally,
  type Attack,
  type Context,
  type Outcome,
} from '../attack.ts'
import { moveAway, sendFrom } from '../drivers/accounts.ts'
import { RpcDropped, type NarrowTerms, type RpcRule } from '../drivers/driver.ts'
import { swallowTransactions } from '../drivers/rewriting-rpc.ts'
import {
  createChannelPayer,
  type ChannelConfig,
  type ChannelPayer,
} from '../payers/channel-payer.ts'
import { createPayer } from '../payers/create-payer.ts'
import { contracts } from '../payers/sign-typed.ts'
import { readChannel } from '../read-chain.ts'
import { until } from '../waiting.ts'
import { settledIn, type Offer, type PaidRequest } from '../wire.ts'

const noChannel = notApplicable('there are no channels')
const depositAtomic = 20_000n
/** Of the channels of this suite. */
const withdrawDelaySeconds = 3600

/** Runs an attack on a network of its own, and ends that. */
async function onFresh(
  { fresh }: Context,
  missing: string,
  attack: (context: Context) => Promise<Outcome>,
  narrow: NarrowTerms = {},
): Promise<Outcome> {
  if (fresh === undefined) return notRun(missing)
  const own = await fresh(narrow)
  try {
    return await attack(own.context)
  } finally {
    await own.stop()
  }
}

type Opened = {
  readonly key: Hex
  readonly payer: ChannelPayer
  readonly offer: Offer
  readonly id: Hex
  readonly config: ChannelConfig
}

async function openChannel(context: Context): Promise<Opened> {
  const key = (await context.driver?.createPayerKey()) ?? '0x'
  const payer = createChannelPayer(key, depositAtomic)
  const payment = await payer.sign(await context.quote())
  const answer = await context.send(payment)
  demand(isServed(answer), `the channel could not be opened: ${tally([answer])}`)
  payer.hear(answer)
  const offer = payment.accepted
  return { key, payer, offer, ...payer.channelOf(offer) }
}

async function pay(context: Context, { payer }: Opened, request?: PaidRequest): Promise<boolean> {
  const answer = await context.send(await payer.sign(await context.quote(request)), request)
  payer.hear(answer)
  return isServed(answer)
}

async function ask(
  { rpcUrl }: Context,
  { key, config, payer }: Opened,
  functionName: 'initiateWithdraw' | 'finalizeWithdraw',
): Promise<void> {
  const amount = depositAtomic - payer.chargedAtomic()
  const args = functionName === 'initiateWithdraw' ? [config, amount] : [config]
  await sendFrom(rpcUrl, key, {
    address: contracts.batch,
    abi: batchSettlementAbi,
    functionName,
    args,
    gas: 300_000n,
  })
}

/** T24: the withdrawal is completed while the claim is on its way. */
export const raceWithdrawal: Attack = async (context) => {
  if (context.scheme !== 'batch-settlement') return noChannel
  return onFresh(context, 'needs a chain whose clock can be moved (driver)', async (own) => {
    const { driver } = own
    const slow = driver?.requests.slowStream
    if (driver?.moveClock === undefined || slow === undefined) return notRun('needs a moved clock')
    const channel = await openChannel(own)
    // From here on no claim comes through.
    driver.rpcRule = swallowTransactions
    const first = Promise.withResolvers<void>()
    const payment = await channel.payer.sign(await own.quote(slow))
    const running = own.send(payment, slow, {
      leaveWhen: () => {
        first.resolve()
        return false
      },
    })
    await Promise.race([first.promise, running])
    await ask(own, channel, 'initiateWithdraw')
    const answer = await running
    channel.payer.hear(answer)
    demand(isServed(answer), `the running call was not served: ${tally([answer])}`)
    const owed = channel.payer.chargedAtomic()
    const early = await ask(own, channel, 'finalizeWithdraw').then(
      () => 'paid out',
      () => 'refused',
    )
    demand(early === 'refused', 'the withdrawal was paid out before its delay')
    // The last minute of the delay: the claim has to win.
    await driver.moveClock(withdrawDelaySeconds - 60)
    driver.rpcRule = undefined
    const claimed = async (): Promise<bigint> => (await readChannel(own.rpcUrl, channel.id)).claimed
    const isClaimed = await until(async () => (await claimed()) >= owed)
    demand(isClaimed, `${owed} was charged and ${await claimed()} claimed in the last minute`)
    await driver.moveClock(withdrawDelaySeconds + 60)
    await ask(own, channel, 'finalizeWithdraw')
    const left = await readChannel(own.rpcUrl, channel.id)
    demand(left.claimed === owed, `claimed ${left.claimed} of ${owed}`)
    demand(!(await pay(own, channel)), 'a voucher of the emptied channel was served')
    return passed(
      `claims held back for an hour: ${owed} claimed in the last minute, the rest paid out`,
    )
  })
}

/** The chain as it is now, for as long as the rule stands: the node answers, and its blocks do not go on. */
function standStill(): RpcRule {
  const answers = new Map<string, Promise<unknown>>()
  return (method, params, forward) => {
    const key = JSON.stringify([method, params])
    const known = answers.get(key) ?? forward()
    answers.set(key, known)
    return known
  }
}

/** T25: the server acts on an old view of the chain. */
export const staleChain: Attack = async (context) => {
  if (context.scheme === 'exact') return notApplicable('each settlement is read from the chain')
  if (context.scheme !== 'upto') {
    return onFresh(context, 'needs control of the chain (driver)', freezeChain)
  }
  const silent = await onFresh(context, 'needs control of the chain (driver)', silenceChain)
  if (silent.kind !== 'passed') return silent
  const old = await onFresh(context, 'needs bounds (driver)', showOldBalance, narrowExposure)
  return old.kind === 'passed' ? passed(`${silent.detail}; ${old.detail}`) : old
}

/** Two calls of the dearest kind, and as many of the others as their charges leave room for. */
const narrowExposure = { maxExposureAtomic: '9000' }
const mostCallsOnCredit = 400

/** A node that shows what the payer had: it costs the operator what one payer may owe, and no more. */
async function showOldBalance(context: Context): Promise<Outcome> {
  const { driver } = context
  if (driver === undefined) return notRun('needs control of the chain (driver)')
  const key = await driver.createPayerKey()
  const payer = createPayer('upto', key)
  const { accepted } = await payer.sign(await context.quote())
  driver.rpcRule = rememberReads(payer.address)
  const first = await context.send(await payer.sign(await context.quote()))
  demand(isServed(first), `the first call was not served: ${tally([first])}`)
  await moveAway(context.rpcUrl, `0x${accepted.asset.slice(2)}`, key, 90_000n)
  let owed = 0n
  let calls = 0
  for (; calls < mostCallsOnCredit; calls++) {
    const answer = await context.send(await payer.sign(await context.quote()))
    if (!isServed(answer)) break
    owed += (await driver.chargeOf?.(answer)) ?? 0n
  }
  driver.rpcRule = undefined
  const text = `${owed} owed by ${calls} calls behind an old balance`
  demand(owed <= BigInt(narrowExposure.maxExposureAtomic), text)
  demand(calls < mostCallsOnCredit, `${text}, and no end`)
  return passed(`${text}, then refused`)
}

/** What is read of an account stays as it was; what is tried out fails as it does. */
function rememberReads(address: Hex): RpcRule {
  const answers = new Map<string, Promise<unknown>>()
  return (method, params, forward) => {
    const key = JSON.stringify(params).toLowerCase()
    const isRead = method === 'eth_call' && key.includes(address.slice(2).toLowerCase())
    if (!isRead || key.length > 600) return forward()
    const known = answers.get(key) ?? forward()
    answers.set(key, known)
    return known
  }
}

/** A node that says nothing: nobody knows what the payer has. */
async function silenceChain(context: Context): Promise<Outcome> {
  const { driver } = context
  if (driver === undefined) return notRun('needs control of the chain (driver)')
  const payment = await context.pay()
  driver.rpcRule = () => Promise.reject(new RpcDropped())
  const { answers, executions } = await context.observe(async () => [await context.send(payment)])
  driver.rpcRule = undefined
  demand(executions === 0, `executed without a look at the balance: ${tally(answers)}`)
  const later = await context.send(payment)
  demand(isServed(later), `the payment was no good afterwards: ${tally([later])}`)
  return passed('no node, no call; served once it answered')
}

/** A node that stands still: it does not know that the payer asks for its money back. */
async function freezeChain(context: Context): Promise<Outcome> {
  const { driver } = context
  if (driver?.moveClock === undefined) return notRun('needs a moved clock (driver)')
  const channel = await openChannel(context)
  demand(await pay(context, channel), 'a voucher was refused')
  driver.rpcRule = standStill()
  await ask(context, channel, 'initiateWithdraw')
  await driver.moveClock(withdrawDelaySeconds / 3 + 30, 'server')
  const { answers, executions } = await context.observe(async () => {
    return [await context.send(await channel.payer.sign(await context.quote()))]
  })
  demand(executions === 0, `a voucher was served after a third of the delay: ${tally(answers)}`)
  driver.rpcRule = undefined
  const owed = channel.payer.chargedAtomic()
  const isClaimed = await until(
    async () => (await readChannel(context.rpcUrl, channel.id)).claimed >= owed,
  )
  demand(isClaimed, `${owed} was charged and not claimed when the node went on`)
  return passed(`no voucher after a third of the delay; ${owed} claimed when the node went on`)
}

/** T30: a stream that takes longer than payments commonly live. */
export const streamForTenMinutes: Attack = async (context) =>
  onFresh(context, 'needs a clock that can be moved (driver)', async (own) => {
    const { driver, scheme } = own
    const slow = driver?.requests.slowStream
    if (driver?.moveClock === undefined || slow === undefined) return notRun('needs a moved clock')
    if (scheme === 'batch-settlement') await own.settleUp()
    const before = (await driver.payeeBalance?.()) ?? 0n
    const payment = await own.pay(slow)
    const first = Promise.withResolvers<void>()
    const running = own.send(payment, slow, {
      leaveWhen: () => {
        first.resolve()
        return false
      },
    })
    await Promise.race([first.promise, running])
    await driver.moveClock(660)
    const meanwhile = await own.observe(async () => [await own.send(payment, slow)])
    demand(meanwhile.executions === 0, 'after ten minutes the same payment bought another call')
    const answer = await running
    demand(isServed(answer), `the stream did not end well: ${tally([answer])}`)
    const charged = (await driver.chargeOf?.(answer)) ?? 0n
    demand(charged > 0n, 'a stream of eleven minutes was charged nothing')
    const isTaken =
      scheme === 'batch-settlement'
        ? await isClaimedInAll(own, answer)
        : await until(async () => ((await driver.payeeBalance?.()) ?? 0n) >= before + charged)
    demand(isTaken, `${charged} was charged after eleven minutes, and never taken`)
    return passed(`eleven minutes by the clocks of server and chain: ${charged} charged and taken`)
  })

async function isClaimedInAll(
  { rpcUrl }: Context,
  answer: Parameters<typeof settledIn>[0],
): Promise<boolean> {
  const { channelId, chargedCumulativeAmount } = Object(settledIn(answer)?.extra?.['channelState'])
  const owed = BigInt(chargedCumulativeAmount)
  return until(async () => (await readChannel(rpcUrl, channelId)).claimed >= owed)
}

/** T42: the settlement key is replaced while payments are open. */
export const rotateKey: Attack = async (context) => {
  if (context.scheme === 'exact')
    return notApplicable('the payer signs for the payee, not for a key')
  return onFresh(context, 'needs an operator that replaces its settlement key', async (own) => {
    const { driver, scheme } = own
    if (driver?.rotateKey === undefined) return notRun('needs an operator that replaces its key')
    const before = (await driver.payeeBalance?.()) ?? 0n
    const channel = scheme === 'batch-settlement' ? await openChannel(own) : undefined
    // What the first key is owed and could not take.
    driver.rpcRule = swallowTransactions
    const old = channel === undefined ? await own.send(await own.pay()) : undefined
    if (channel !== undefined) demand(await pay(own, channel), 'a voucher was refused')
    await driver.rotateKey()
    driver.rpcRule = undefined
    if (channel !== undefined) {
      demand(await pay(own, channel), 'the channel was not served under the next key')
      const owed = channel.payer.chargedAtomic()
      const isClaimed = await until(
        async () => (await readChannel(own.rpcUrl, channel.id)).claimed >= owed,
      )
      demand(isClaimed, `${owed} was charged under two keys, and not claimed by the second`)
      return passed(`the same channel under two keys: ${owed} claimed by the second`)
    }
    const next = await own.send(await own.pay())
    demand(isServed(next), `refused under the next key: ${tally([next])}`)
    const charges = [old, next].map(async (each) =>
      each === undefined ? 0n : ((await driver.chargeOf?.(each)) ?? 0n),
    )
    const owed = (await Promise.all(charges)).reduce((sum, each) => sum + each, 0n)
    const isTaken = await until(
      async () => ((await driver.payeeBalance?.()) ?? 0n) >= before + owed,
    )
    demand(isTaken, `${owed} was charged under two keys, and not taken by the second`)
    return passed(`charged under two keys: ${owed} settled by the second`)
  })
}
