/** T19 and T38 with an asset that changes: it keeps a part, is paused, refuses an account, reverts what was tried before. */
import { keccak256, type Hex } from 'viem'
import {
  demand,
  isServed,
  passed,
  tally,
  type Context,
  type FreshContext,
  type Outcome,
  type Payer,
} from '../attack.ts'
import type { MoodyToken } from '../drivers/accounts.ts'
import type { Driver } from '../drivers/driver.ts'
import type { ChannelPayer } from '../payers/channel-payer.ts'
import { createPayer } from '../payers/create-payer.ts'
import { readChannel } from '../read-chain.ts'
import { until } from '../waiting.ts'
import { chargedIn, type Offer } from '../wire.ts'

const patienceMs = 60_000
const feeBasisPoints = 1000n

type Mood = {
  readonly name: string
  on(token: MoodyToken, account: Hex): Promise<void>
  off(token: MoodyToken, account: Hex): Promise<void>
  /** Settlements go through under it. */
  readonly settles: boolean
  /** Others are served meanwhile. */
  readonly isPersonal: boolean
}

const moods: readonly Mood[] = [
  {
    name: 'a fee of a tenth',
    on: (token) => token.setFee(feeBasisPoints),
    off: (token) => token.setFee(0n),
    settles: true,
    isPersonal: false,
  },
  {
    name: 'paused',
    on: (token) => token.setPaused(true),
    off: (token) => token.setPaused(false),
    settles: false,
    isPersonal: false,
  },
  {
    name: 'an account refused',
    on: (token, account) => token.setBlocked(account, true),
    off: (token, account) => token.setBlocked(account, false),
    settles: false,
    isPersonal: true,
  },
]

type Moody = FreshContext & { readonly token: MoodyToken }

/** T19: a call under each mood. Nobody is served for money that cannot come, and what was served is taken afterwards. */
export function changeMoods(context: Context): Promise<Outcome> {
  return onMoody(context, 'fee-on-transfer, paused and blocklisted tokens', async (own) => {
    const seen: string[] = []
    for (const mood of moods) seen.push(`${mood.name}: ${await callUnder(own, mood)}`)
    return passed(seen.join(', '))
  })
}

/** T38: the first settlement passes its trial and reverts in its block. */
export function revertSettlement(context: Context): Promise<Outcome> {
  return onMoody(context, 'transactions that revert', async (own) => {
    const { context: moody, token } = own
    const driver = driverOf(moody)
    const caller = await createCaller(own)
    let reverted = 0
    driver.rpcRule = async (method, params, forward) => {
      if (method !== 'eth_sendRawTransaction' || reverted++ > 0) return forward()
      await token.setPaused(true)
      const answer = await forward()
      const hash = keccak256(`0x${String(params[0]).slice(2)}`)
      await driver.untilMined?.(hash)
      await token.setPaused(false)
      return answer
    }
    const answer = await caller.call()
    const isTried = await until(() => reverted > 0, patienceMs)
    driver.rpcRule = undefined
    demand(isTried, 'no transaction was sent')
    const told = isServed(answer) ? 'served' : 'not served'
    await demandTaken(caller, 'a transaction that reverted')
    await demandOthers(own, 'after a transaction that reverted')
    return passed(`one that reverted: ${told}, ${await caller.taken()} taken, others served`)
  })
}

async function callUnder(own: Moody, mood: Mood): Promise<string> {
  const { token } = own
  const caller = await createCaller(own)
  await mood.on(token, caller.address)
  const answer = await caller.call()
  if (isServed(answer) && mood.settles) {
    await until(async () => (await caller.taken()) > 0n, patienceMs)
  }
  if (mood.isPersonal) await demandOthers(own, `while ${mood.name}`)
  await mood.off(token, caller.address)
  await demandTaken(caller, mood.name)
  await demandOthers(own, `after: ${mood.name}`)
  const what = isServed(answer) ? `served, ${await caller.taken()} taken` : 'not served'
  return `${what} (${tally([answer])})`
}

async function demandTaken(caller: Caller, under: string): Promise<void> {
  const isPaid = async (): Promise<boolean> => (await caller.taken()) >= (await caller.charged())
  const isPaidByItself = await until(isPaid, patienceMs)
  // Who settles in totals may bring it with the next call.
  if (!isPaidByItself) await caller.call()
  const isTaken = isPaidByItself || (await until(isPaid, patienceMs))
  const amounts = `${await caller.taken()} of ${await caller.charged()}`
  demand(isTaken, `${under}: ${amounts} was taken for what was served`)
}

/** Somebody else is served, at once or when what stood in the way is over. */
async function demandOthers(own: Moody, when: string): Promise<void> {
  const other = await createCaller(own)
  const isFine = await until(async () => isServed(await other.call()), patienceMs)
  demand(isFine, `${when} nobody else was served`)
}

/** A new account that pays, and what became of it. */
type Caller = {
  readonly address: Hex
  call(): Promise<Awaited<ReturnType<Context['send']>>>
  charged(): Promise<bigint>
  /** What was taken from this account, or claimed of its channel. */
  taken(): Promise<bigint>
}

async function createCaller({ context, token }: Moody): Promise<Caller> {
  const driver = driverOf(context)
  const payer = createPayer(context.scheme, await driver.createPayerKey())
  const { accepted } = await payer.sign(await context.quote())
  const before = await token.balanceOf(payer.address)
  let charged = 0n
  return {
    address: payer.address,
    call: async () => {
      const payment = await payer.sign(await context.quote())
      const answer = await context.send(payment)
      payer.hear(answer)
      if (isServed(answer)) charged += await chargeIn(context, driver, answer, accepted)
      return answer
    },
    charged: () => Promise.resolve(charged),
    taken: async () => {
      const channel = channelIn(payer, accepted)
      if (channel === undefined) return before - (await token.balanceOf(payer.address))
      return (await readChannel(context.rpcUrl, channel)).claimed
    },
  }
}

async function chargeIn(
  { scheme }: Context,
  driver: Driver,
  answer: Awaited<ReturnType<Context['send']>>,
  { amount }: Offer,
): Promise<bigint> {
  if (driver.chargeOf !== undefined) return driver.chargeOf(answer)
  return chargedIn(answer) ?? (scheme === 'exact' ? BigInt(amount) : 0n)
}

function channelIn(payer: Payer, offer: Offer): Hex | undefined {
  return isChannelPayer(payer) ? payer.channelOf(offer).id : undefined
}

function isChannelPayer(payer: Payer): payer is ChannelPayer {
  return 'channelOf' in payer
}

async function onMoody(
  { moody }: Context,
  what: string,
  attack: (own: Moody) => Promise<Outcome>,
): Promise<Outcome> {
  if (moody === undefined) return passed('', what)
  const own = await moody()
  try {
    return await attack(own)
  } finally {
    driverOf(own.context).rpcRule = undefined
    await own.stop()
  }
}

function driverOf({ driver }: Context): Driver {
  if (driver === undefined) throw new Error('no driver')
  return driver
}
