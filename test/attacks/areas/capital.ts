/** T20–T22 and T25: money that is not there, or not any more. */
import { moveAway } from '../drivers/accounts.ts'
import { swallowTransactions } from '../drivers/rewriting-rpc.ts'
import { demand, isServed, notApplicable, notRun, passed, tally, type Attack } from '../attack.ts'
import { createChannelPayer } from '../payers/channel-payer.ts'
import { createPayer } from '../payers/create-payer.ts'
import { takeBack } from './lying-node.ts'
import { until } from '../waiting.ts'
import { chargedIn } from '../wire.ts'

/** T20: more calls at once than the balance pays for. */
export const overdraw: Attack = async (context) => {
  const { driver, scheme } = context
  if (scheme === 'batch-settlement') return overdrawChannel(context)
  if (driver === undefined) return notRun('needs a payer with little money (driver)')
  const quote = await context.quote()
  const offer = quote.accepts.find((each) => each.scheme === scheme)
  const amount = BigInt(offer?.amount ?? '0')
  const affordable = 2n
  const key = await driver.createPayerKey(amount * affordable + amount / 2n)
  const payer = createPayer(scheme, key)
  const count = Math.max(4, Math.min(10, context.repeats))
  const payments = await Promise.all(Array.from({ length: count }, () => payer.sign(quote)))
  const { answers, executions } = await context.observe(() =>
    Promise.all(payments.map((payment) => context.send(payment))),
  )
  demand(executions > 0, `nothing was served, with money for ${affordable}: ${tally(answers)}`)
  // A charge below its maximum leaves money for another: what counts is what runs on credit.
  const served = answers.filter(isServed)
  const known = served.map(chargedIn)
  const spent = known.reduce<bigint>((sum, charge) => sum + (charge ?? amount), 0n)
  demand(spent <= amount * affordable + amount / 2n, `${spent} spent of ${amount * affordable}`)
  demand(
    BigInt(executions) <= affordable || scheme === 'upto',
    `${executions} executions, money for ${affordable}: ${tally(answers)}`,
  )
  demand(executions <= served.length, `${executions} executions, ${served.length} paid`)
  return passed(`${count} at once with money for ${affordable}: ${executions} executed`)
}

const overdrawChannel: Attack = async (context) => {
  const quote = await context.quote()
  const offer = quote.accepts.find(({ scheme }) => scheme === 'batch-settlement')
  const amount = BigInt(offer?.amount ?? '0')
  const { payer } = context
  // A ceiling far above what the channel holds.
  const payment = await payer.sign(quote, { ceilingAtomic: 1n << 100n })
  const { answers, executions } = await context.observe(async () => [await context.send(payment)])
  demand(executions === 0, `a voucher above the deposit was executed: ${tally(answers)}`)
  const many = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      payer.sign(quote, { ceilingAtomic: (1n << 90n) + amount * BigInt(index) }),
    ),
  )
  const raced = await context.observe(() => Promise.all(many.map((each) => context.send(each))))
  demand(raced.executions === 0, `${raced.executions} vouchers above the deposit were executed`)
  return passed('vouchers above the deposit: no execution, alone and six at once')
}

/** T21: the money leaves between signature and settlement. */
export const moveMoney: Attack = async (context) => {
  const { driver, scheme } = context
  if (scheme === 'batch-settlement') return notApplicable('the money is in the channel')
  if (driver === undefined) return notRun('needs a payer with gas (driver)')
  const key = await driver.createPayerKey()
  const payer = createPayer(scheme, key)
  const slow = driver.requests.slowAnswer ?? context.request
  const quote = await context.quote(slow)
  const [first, second] = [await payer.sign(quote), await payer.sign(quote)]
  const asset = `0x${first.accepted.asset.slice(2)}` as const
  const run = await context.observe(async () => {
    if (scheme === 'exact') {
      await moveAway(context.rpcUrl, asset, key, 100_000n)
      return [await context.send(first, slow), await context.send(second, slow)]
    }
    const running = context.send(first, slow)
    await moveAway(context.rpcUrl, asset, key, 100_000n)
    const answer = await running
    return [answer, await context.send(second, slow)]
  })
  const last = run.answers.at(-1)
  demand(last !== undefined && !isServed(last), 'served although the money was gone')
  const most = scheme === 'exact' ? 0 : 1
  demand(
    run.executions <= most,
    `${run.executions} executions without money: ${tally(run.answers)}`,
  )
  return passed(
    scheme === 'exact'
      ? `money moved before the call: no execution; ${tally(run.answers)}`
      : `money moved during the call: that one call is lost, the next is refused; ${tally(run.answers)}`,
  )
}

/** T22: a deposit that never reaches a block. */
export const pretendDeposit: Attack = async (context) => {
  const { driver, scheme } = context
  if (scheme !== 'batch-settlement') return notApplicable('there are no deposits')
  if (driver === undefined) return notRun('needs control of the chain (driver)')
  const payer = createChannelPayer(await driver.createPayerKey(), 20_000n, 7n)
  const payment = await payer.sign(await context.quote())
  driver.rpcRule = swallowTransactions
  const leaving = new AbortController()
  const { executions, answers } = await context.observe(async () => {
    const sent = driver.broadcasts().length
    const call = context.send(payment, undefined, { leaveSignal: leaving.signal })
    await Promise.race([call, waitForBroadcast(() => driver.broadcasts(), sent)])
    // It was sent and never arrived: nothing may be served on it now.
    const other = await payer.sign(await context.quote())
    const second = context.send(other, undefined, { leaveSignal: leaving.signal })
    await Promise.race([second, waitForBroadcast(() => driver.broadcasts(), sent + 1)])
    leaving.abort()
    return Promise.all([call, second])
  })
  driver.rpcRule = undefined
  demand(executions === 0, `${executions} executions before the deposit was in a block`)
  const unseen = `a deposit that the chain never saw: no execution; ${tally(answers)}`
  if (context.fresh === undefined) return passed(unseen, 'a deposit taken back by a reorganisation')
  const own = await context.fresh()
  try {
    return passed(`${unseen}; ${await takeBack(own.context)}`)
  } finally {
    await own.stop()
  }
}

async function waitForBroadcast(broadcasts: () => readonly string[], more: number): Promise<void> {
  await until(() => broadcasts().length > more, 5000)
}
