/** T1–T8: one payment, bought with more than once. */
import { createRandom } from '../../../packages/gateway/test/ledger/random.ts'
import {
  demand,
  isServed,
  notApplicable,
  notRun,
  passed,
  tally,
  type Attack,
  type Context,
} from '../attack.ts'
import { isOk, sendRaw } from '../raw-http.ts'
import { pause, until } from '../waiting.ts'
import type { RawResult } from '../../provider/raw-client.ts'
import type { Driver } from '../drivers/driver.ts'
import { encodePayment, signatureOf, type PaidRequest, type Payment } from '../wire.ts'

/** T1: the same payment many times at once. */
export const raceOnePayment: Attack = async (context) => {
  const payment = await context.pay()
  const { answers, executions } = await context.observe(() =>
    Promise.all(Array.from({ length: context.repeats }, () => context.send(payment))),
  )
  const served = answers.filter(isServed).length
  demand(served > 0, `of ${answers.length} equal payments none was served: ${tally(answers)}`)
  demand(executions === 1, `${executions} executions for one payment: ${tally(answers)}`)
  return passed(`${answers.length} at once: 1 execution; ${tally(answers)}`)
}

/** T2: again after it was settled. */
export const replayAfterSettle: Attack = async (context) => {
  const payment = await context.pay()
  const first = await context.send(payment)
  demand(isServed(first), `the first call was not served: ${tally([first])}`)
  const again = async (): Promise<readonly RawResult[]> => [
    await context.send(payment),
    await context.send(payment),
  ]
  const { answers, executions } = await context.observe(again, [first])
  demand(executions === 0, `${executions} executions after the settlement: ${tally(answers)}`)
  const others = answers.filter((each) => isServed(each) && !each.body.equals(first.body))
  demand(others.length === 0, 'a used payment got another answer')
  return passed(`twice more: no execution; ${tally(answers)}`)
}

/** T3: the server dies somewhere between; the seed says where. Then at each point of its work, where a driver knows them. */
export const killAndReplay: Attack = async (context) => {
  const { driver } = context
  if (driver?.restart === undefined) return notRun('needs a driver that kills the server')
  const slow = driver.requests.slowAnswer ?? context.request
  const random = createRandom(context.seed)
  const kills = Math.max(2, Math.floor(context.repeats / 10))
  let served = 0
  for (let index = 0; index < kills; index++) {
    const payment = await context.pay(slow)
    const before = await driver.executions()
    // Even ones die while the work is done or before, odd ones soon after the answer.
    const dying = index % 2 === 0
    const call = context.send(payment, slow)
    if (dying) {
      await pause(random.below(250))
      await driver.restart()
    }
    const first = await call
    if (!dying) await driver.restart()
    served += await judgeDeath(context, driver, `kill ${index}`, { slow, payment, first, before })
  }
  const found = `${kills} kills, seed ${context.seed}: ${served} of ${kills} payments bought an answer, none two`
  const { armDeath, disarmDeath } = driver
  if (armDeath === undefined || disarmDeath === undefined) {
    return passed(found, 'the point of death is random, not each one in turn')
  }
  return passed(`${found}; ${await dieEverywhere(context, driver, { armDeath, disarmDeath })}`)
}

type Death = Required<Pick<Driver, 'armDeath' | 'disarmDeath'>>

/** A call passes fewer points; what else the server does meanwhile may pass some, too. */
const mostPoints = 40
const lastPointMs = 3000
const mostLateDeaths = 6

/** Dies at each point in turn, until a call passes all of them. */
async function dieEverywhere(
  context: Context,
  driver: Driver,
  { armDeath, disarmDeath }: Death,
): Promise<string> {
  const { request } = context
  const points: string[] = []
  let served = 0
  let late = 0
  for (let point = 1; point <= mostPoints; point++) {
    // Whoever lost its state is told, and goes on.
    await context.settleUp()
    const payment = await context.pay()
    const before = await driver.executions()
    armDeath(point)
    const first = await context.send(payment)
    const died = await disarmDeath(lastPointMs)
    if (died === undefined) break
    points.push(died)
    // What comes after a whole answer is the server's own work, which goes on for ever.
    if (isServed(first)) late++
    const deed = `death ${point} ${died}`
    served += await judgeDeath(context, driver, deed, { slow: request, payment, first, before })
    if (late === mostLateDeaths) break
  }
  demand(points.length > 0, 'the server passed no point of death')
  await context.settleUp()
  const kinds = new Set(points).size
  return `died at ${points.length} points of ${kinds} kinds in turn: ${served} payments bought an answer, none two`
}

/** The payment of a call in which the server died, twice more. Gives how many answers it bought. */
async function judgeDeath(
  context: Context,
  driver: Driver,
  deed: string,
  call: {
    readonly slow: PaidRequest
    readonly payment: Payment
    readonly first: RawResult
    readonly before: number
  },
): Promise<number> {
  const { slow, payment, first, before } = call
  const served = isServed(first)
  const again = await Promise.all([context.send(payment, slow), context.send(payment, slow)])
  const fresh = again.filter((each) => isServed(each) && !each.body.equals(first.body))
  const executions = (await driver.executions()) - before
  const deliveries = (served ? 1 : 0) + fresh.length
  demand(deliveries <= 1, `${deed}: ${deliveries} answers for one payment`)
  // A call whose answer nobody got may be done again; never a third time.
  const most = served ? 1 : 2
  demand(executions <= most, `${deed}: ${executions} executions, ${deliveries} answers`)
  return deliveries
}

/** T4: one payment at two servers of one operator. */
export const replayElsewhere: Attack = async (context) => {
  const url = await context.driver?.secondUrl?.()
  if (url === undefined) return notRun('needs a second server of the operator (driver)')
  const payment = await context.pay()
  const { answers, executions } = await context.observe(() =>
    Promise.all([
      context.send(payment),
      context.send(payment, undefined, { url: join(url, context) }),
    ]),
  )
  demand(executions === 1, `${executions} executions for one payment on two servers`)
  return passed(`1 execution; ${tally(answers)}`)
}

/** T5: calls that share a name. */
export const reuseName: Attack = async (context) => {
  const quote = await context.quote()
  if (quote.extensions?.['payment-identifier'] === undefined) {
    return notApplicable('the 402 does not advertise payment-identifier')
  }
  const name = signatureOf(await context.pay()).slice(2, 34)
  const info = { 'payment-identifier': { info: { required: false, id: name } } }
  const first = await context.send(await context.pay(undefined, { extensions: info }))
  demand(isServed(first), `a named call was not served: ${tally([first])}`)
  const other = { ...context.request, body: `${context.request.body} ` }
  const same = await context.pay(undefined, { extensions: info })
  const again = async (): Promise<readonly RawResult[]> => [
    await context.send(await context.pay(other, { extensions: info }), other),
    await context.send(same),
  ]
  const { answers, executions } = await context.observe(again, [first])
  const [conflict, stored] = answers
  demand(executions === 0, `${executions} executions under a used name`)
  demand(conflict?.status === 409, `another body under the name: ${conflict?.status}, not 409`)
  demand(
    stored !== undefined && isServed(stored) && stored.body.equals(first.body),
    `the same body under the name: ${tally(answers.slice(1))}, not the stored answer`,
  )
  return passed('another body 409; the same body the stored answer; no execution')
}

/** T6: the same payment under every spelling of its header. */
export const spellHeader: Attack = async (context) => {
  const payment = await context.pay()
  const value = encodePayment(payment)
  const spellings: readonly (readonly string[])[] = [
    [`PAYMENT-SIGNATURE: ${value}`, `payment-signature: ${value}`],
    [`X-PAYMENT: ${value}`],
    [`X-PAYMENT: ${value}`, `Payment-Signature: ${value}`],
    [`Payment-Signature:    ${value}   `],
    [`PAYMENT-SIGNATURE: ${value},${value}`],
    [`payment-signature: ${value.replace(/=+$/, '')}`],
  ]
  // Without a counter every answer of its own is an execution.
  const bodies = new Set<string>()
  const seen = await context.observe(async () => {
    for (const lines of spellings) {
      const answer = await sendRaw(context.url, context.request, lines)
      if (isOk(answer)) bodies.add(answer.body)
    }
    return []
  })
  const executions = context.driver === undefined ? bodies.size : seen.executions
  demand(
    executions <= 1,
    `${executions} executions for one payment in ${spellings.length} spellings`,
  )
  // One of the spellings may have bought the call; if none did, the plain one must.
  if (executions === 0) {
    const plain = await context.send(payment)
    demand(isServed(plain), `the payment was no good in any spelling: ${tally([plain])}`)
  }
  return passed(
    `${spellings.length} spellings: ${executions === 0 ? 'all refused' : '1 execution'}`,
  )
}

/** T7: the settlement is on its way and nobody says what became of it. */
export const loseSettlement: Attack = async (context) => {
  const { driver, scheme } = context
  if (driver === undefined) return notRun('needs control of the chain (driver)')
  if (scheme === 'batch-settlement') return notApplicable('a voucher is not settled by its call')
  const payment = await context.pay()
  const sent = driver.broadcasts().length
  // The chain takes the transaction; its answer, and what is asked about it, is lost for a while.
  let silent = true
  driver.rpcRule = async (method, _, forward) => {
    const isAbout = method === 'eth_sendRawTransaction' || method === 'eth_getTransactionReceipt'
    const result = await forward()
    if (isAbout && silent) throw new Error('lost')
    return result
  }
  const { answers, executions } = await context.observe(async () => {
    const first = context.send(payment)
    await until(() => driver.broadcasts().length > sent)
    const during = await context.send(payment)
    silent = false
    driver.rpcRule = undefined
    return [await first, during, await context.send(payment)]
  })
  const different = new Set(answers.filter(isServed).map(({ body }) => body.toString('base64')))
  demand(executions === 1, `${executions} executions for one payment: ${tally(answers)}`)
  demand(different.size <= 1, 'one payment bought two answers')
  const raw = new Set(driver.broadcasts().slice(sent))
  return passed(`1 execution; ${raw.size} transactions signed; ${tally(answers)}`)
}

/** T8: a call that costs nothing uses its payment up all the same. */
export const replayFreeCall: Attack = async (context) => {
  const { driver, scheme } = context
  if (scheme === 'exact') return notApplicable('a fixed price is never charged as 0')
  if (driver === undefined) return notRun('needs a call that is charged 0 (driver)')
  const free = driver.requests.freeOfCharge
  if (free === undefined) return notApplicable('no call of this server is charged 0')
  const payment = await context.pay(free)
  await context.send(payment, free)
  const { answers, executions } = await context.observe(async () => [
    await context.send(payment, free),
    await context.send(payment, free),
  ])
  demand(executions === 0, `a payment that was charged 0 bought ${executions} calls more`)
  return passed(`twice more after a charge of 0: no execution; ${tally(answers)}`)
}

function join(url: string, { request }: Context): string {
  return `${url}${request.path}`
}
