/** T40: the node between the server and its chain says what is not so. */
import { keccak256, parseTransaction, toFunctionSelector, type Hex } from 'viem'
import {
  demand,
  isServed,
  notRun,
  passed,
  tally,
  type Attack,
  type Context,
  type FreshContext,
} from '../attack.ts'
import type { RpcRule } from '../drivers/driver.ts'
import { createChannelPayer } from '../payers/channel-payer.ts'
import { createPayer } from '../payers/create-payer.ts'
import { until } from '../waiting.ts'
import { takeBackDeposit, takeBackSettlement } from './taken-back.ts'

/** Two thousand gwei for a unit of gas: what the account of the server can just pay. */
const absurdFee = 2n * 10n ** 12n
const feeQuestions: ReadonlySet<string> = new Set(['eth_gasPrice', 'eth_maxPriorityFeePerGas'])
/** The most that a server may offer on top of what the chain asks for: what a lying node makes it burn. */
const mostTipPerGas = 10n ** 11n

/** T40: blocks that are taken back, fees that no chain has, and two nodes that disagree. */
export const lieAboutChain: Attack = async ({ fresh, reorganising, scheme }) => {
  if (reorganising === undefined) return notRun('needs a chain that takes blocks back (driver)')
  const own = await reorganising()
  const seen: string[] = []
  try {
    seen.push(await takeBackSettlement(own))
    if (scheme === 'batch-settlement') seen.push(await takeBackDeposit(own))
    seen.push(await raiseFees(own.context))
  } finally {
    await own.stop()
  }
  if (fresh === undefined) return passed(seen.join('; '), 'a server that asks two nodes')
  seen.push(await disagreeing(() => fresh({ asksTwoNodes: true })))
  return passed(seen.join('; '))
}

async function disagreeing(start: () => Promise<FreshContext>): Promise<string> {
  const two = await start()
  try {
    return await inventMoney(two.context)
  } finally {
    await two.stop()
  }
}

const balanceOf = '0x70a08231'
const allowance = '0xdd62ed3e'
/** Of a node that says so: an authorization is unused, nothing is being withdrawn, nothing was refunded. */
const none: ReadonlySet<string> = new Set(
  [
    'authorizationState(address,bytes32)',
    'pendingWithdrawals(bytes32)',
    'refundNonce(bytes32)',
  ].map((signature) => toFunctionSelector(signature)),
)
const much = (10n ** 15n).toString(16).padStart(64, '0')

/**
 * One of two nodes says that a payer without money has it, that every transaction would succeed, and that what failed did
 * not. The payer must get nothing, and others must be served as soon as the nodes agree again.
 */
async function inventMoney(context: Context): Promise<string> {
  const { driver, scheme } = context
  if (driver === undefined) throw new Error('no driver')
  const poor = createPayer(scheme, await driver.createPayerKey(0n))
  const payment = await poor.sign(await context.quote())
  let lies = 0
  driver.rpcRule = async (method, params, forward) => {
    const lie = inventedAnswer(method, params)
    if (lie !== undefined) {
      lies++
      return lie
    }
    const answer = await forward()
    if (method !== 'eth_getTransactionReceipt' || answer === null) return answer
    return { ...Object(answer), status: '0x1' }
  }
  const { answers, executions } = await context.observe(async () => [await context.send(payment)])
  driver.rpcRule = undefined
  demand(lies > 0, 'the server asked the lying node nothing')
  demand(
    executions === 0 && !answers.some(isServed),
    `${executions} executions for money that one of two nodes had invented`,
  )
  const later = await until(async () => isServed(await context.send(await context.pay())))
  demand(later, 'nothing was served when the nodes agreed again')
  const told = answers.map(({ body }) => codeOf(body.toString())).join(' ')
  return `money that one of two nodes invented bought nothing: ${tally(answers)} ${told}`
}

function inventedAnswer(method: string, params: readonly unknown[]): string | undefined {
  if (method !== 'eth_call') return undefined
  const { data = '', input = data } = Object(params[0])
  const selector = String(input).slice(0, 10)
  if (none.has(selector)) return `0x${'0'.repeat(128)}`
  if (selector === balanceOf || selector === allowance) return `0x${much}`
  // The slot of a channel: a balance, and nothing claimed. Of a trial run the answer is not looked at.
  return `0x${much}${'0'.repeat(64)}`
}

function codeOf(body: string): string {
  return /"code":"([a-z-]{1,64})"/.exec(body)?.[1] ?? ''
}

/** The node names an absurd price of gas: the operator must not burn its money for a settlement. */
async function raiseFees(context: Context): Promise<string> {
  const { driver, scheme } = context
  if (driver === undefined) throw new Error('no driver')
  const before = driver.broadcasts().length
  // Fees that were read before may be used for some seconds.
  driver.rpcRule = (method, _, forward) =>
    feeQuestions.has(method) ? Promise.resolve(`0x${absurdFee.toString(16)}`) : forward()
  const payer =
    scheme === 'batch-settlement'
      ? createChannelPayer(await driver.createPayerKey(), 20_000n)
      : context.payer
  let highest = 0n
  const isSeen = await until(async () => {
    const payment = await payer.sign(await context.quote())
    payer.hear(await context.send(payment))
    for (const raw of driver.broadcasts().slice(before)) {
      const { maxPriorityFeePerGas = 0n } = parseTransaction(hexOf(raw))
      if (maxPriorityFeePerGas > highest) highest = maxPriorityFeePerGas
    }
    return highest > 10n ** 9n
  })
  driver.rpcRule = undefined
  demand(highest <= mostTipPerGas, `${highest / 10n ** 9n} gwei were offered for a unit of gas`)
  demand(isSeen, 'no transaction was sent at the raised fee, and so none was judged')
  const later = await until(async () => isServed(await context.send(await context.pay())))
  demand(later, 'nothing was served after the fees had fallen')
  return `at two thousand gwei a tip of ${highest / 10n ** 9n} gwei was offered`
}

/** The node takes back the blocks with a deposit. */
export async function takeBack(context: Context): Promise<string> {
  const { driver } = context
  if (driver === undefined) throw new Error('no driver')
  const past = rememberHead()
  driver.rpcRule = past.watch
  const isKnown = await until(() => past.isKnown())
  demand(isKnown, 'the server does not look at the chain')
  driver.rpcRule = undefined
  const payer = createChannelPayer(await driver.createPayerKey(), 20_000n, 9n)
  const opening = await context.send(await payer.sign(await context.quote()))
  demand(isServed(opening), `the channel could not be opened: ${tally([opening])}`)
  payer.hear(opening)
  const { accepted } = await payer.sign(await context.quote())
  const { id } = payer.channelOf(accepted)
  driver.rpcRule = past.withoutChannel(id)
  let executed = 0
  const isRefused = await until(async () => {
    const { answers, executions } = await context.observe(async () => {
      const answer = await context.send(await payer.sign(await context.quote()))
      payer.hear(answer)
      return [answer]
    })
    executed += executions
    return answers.every((answer) => !isServed(answer))
  }, 30_000)
  driver.rpcRule = undefined
  demand(isRefused, `${executed} calls were served on a deposit that was taken back`)
  const isBack = await until(async () => {
    const answer = await context.send(await payer.sign(await context.quote()))
    payer.hear(answer)
    return isServed(answer)
  })
  demand(isBack, 'the channel was not served again when its deposit was there again')
  return `a deposit that was taken back: ${executed} calls until it was noticed, then none; served when it was there again`
}

type PastHead = {
  readonly watch: RpcRule
  isKnown(): boolean
  /** A fork whose blocks know nothing of the channel. */
  withoutChannel(id: Hex): RpcRule
}

/** Remembers a block of the chain, and makes another one on top of it later. */
function rememberHead(): PastHead {
  let head: Readonly<Record<string, unknown>> | undefined
  return {
    isKnown: () => head !== undefined,
    watch: async (method, params, forward) => {
      const result = await forward()
      if (isLatest(method, params)) head ??= Object(result)
      return result
    },
    withoutChannel: (id) => async (method, params, forward) => {
      const { number: past = '0x0' } = Object(head)
      const number = BigInt(past) + 1n
      const hash = keccak256(id)
      const now = `0x${Math.floor(Date.now() / 1000).toString(16)}`
      const fork = {
        ...head,
        number: `0x${number.toString(16)}`,
        hash,
        parentHash: head?.['hash'],
        timestamp: now,
      }
      if (isLatest(method, params)) return fork
      if (method === 'eth_getBlockByHash' && params[0] === hash) return fork
      const isOfFork = JSON.stringify(params).includes(hash)
      if (method === 'eth_getLogs' && isOfFork) return []
      const isAboutChannel = JSON.stringify(params).includes(id.slice(2))
      if (method === 'eth_call' && isAboutChannel) return `0x${'0'.repeat(128)}`
      return forward()
    },
  }
}

function isLatest(method: string, params: readonly unknown[]): boolean {
  return method === 'eth_getBlockByNumber' && params[0] === 'latest'
}

function hexOf(text: string): Hex {
  return `0x${text.slice(2)}`
}
