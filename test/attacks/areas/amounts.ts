/** T14–T19: amounts that are no amounts, charges above what was signed, tokens that lie. */
import type { Driver } from '../drivers/driver.ts'
import { chargedIn, encodePayment, withAccepted, type PaidRequest } from '../wire.ts'
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
import { demandStillGood, refusedAll } from './binding.ts'
import { changeMoods } from './moody-token.ts'
import { settleNothing } from './settled-later.ts'

/** T14: numbers that mean something else to somebody else. */
export const writeAmounts: Attack = async (context) => {
  const good = await context.pay()
  const amount = BigInt(good.accepted.amount)
  const hostile = [
    `${amount - 1n}`,
    `${amount + 1n}`,
    '0',
    '-1',
    `-${amount}`,
    `0${amount}`,
    `0x${amount.toString(16)}`,
    `${amount}.0`,
    `${amount}e0`,
    ` ${amount}`,
    `+${amount}`,
    `${amount}000000`,
    `${(1n << 256n) + amount}`,
    `${(1n << 128n) + amount}`,
    '9'.repeat(400),
    '',
  ]
  for (const text of hostile) {
    const signed = await context.pay(undefined, { amount: text })
    await refusedAll(context, `an amount of "${text.slice(0, 40)}"`, () => [
      context.send(signed),
      context.send(encodePayment(withAccepted(good, { amount: text }))),
    ])
  }
  await demandStillGood(context, good)
  return passed(`${hostile.length} spellings, signed and offered: all refused`)
}

/** T15: no answer costs more than its ceiling. */
export const exceedCeiling: Attack = async (context) => {
  const { driver } = context
  const charges: string[] = []
  const { slowStream, plainTwin, flood } = driver?.requests ?? {}
  const requests = [context.request, slowStream, plainTwin, flood]
  for (const request of requests) {
    if (request === undefined) continue
    const payment = await context.pay(request)
    const answer = await context.send(payment, request)
    demand(isServed(answer), `the call was not served: ${tally([answer])}`)
    const ceiling = BigInt(payment.accepted.amount)
    const charge = await chargeOf(context, answer, ceiling)
    demand(charge <= ceiling, `charged ${charge} of at most ${ceiling}`)
    charges.push(`${charge} ≤ ${ceiling}`)
  }
  return passed(charges.join(', '))
}

/** T16: the provider reports no use, impossible use, or too much. */
export const lieAboutUsage: Attack = async (context) => {
  const { driver, scheme } = context
  if (scheme === 'exact') return notApplicable('the price is fixed')
  const lying = driver?.requests.lyingUsage
  if (lying === undefined) return notRun('needs an upstream that lies (driver)')
  const payment = await context.pay(lying)
  const answer = await context.send(payment, lying)
  demand(isServed(answer), `the call was not served: ${tally([answer])}`)
  const ceiling = BigInt(payment.accepted.amount)
  const charge = await chargeOf(context, answer, ceiling)
  demand(charge >= 0n && charge <= ceiling, `charged ${charge} of at most ${ceiling}`)
  demand(charge < ceiling, `impossible use was charged as the maximum, ${charge}`)
  return passed(`negative, huge and textual use: charged ${charge} of at most ${ceiling}`)
}

/** T17: headers that set the price, from both sides. */
export const injectOverride: Attack = async (context) => {
  const { driver } = context
  const plain = driver?.requests.plainTwin ?? context.request
  const usual = await chargeFor(context, plain)
  const overrides = { 'settlement-overrides': '{"amount":"0"}' }
  const asked = { ...plain, headers: { ...plain.headers, ...overrides } }
  const injectedByCaller = await chargeFor(context, asked)
  demand(injectedByCaller === usual, `the caller's header changed ${usual} to ${injectedByCaller}`)
  const injected = driver?.requests.injectedHeaders
  if (injected === undefined) return passed('a caller cannot', 'needs an upstream of its own')
  const injectedByUpstream = await chargeFor(context, injected)
  demand(
    injectedByUpstream === usual,
    `the upstream's header changed the charge from ${usual} to ${injectedByUpstream}`,
  )
  return passed(`charged ${usual} with and without, from caller and upstream`)
}

/** T18: what is rounded is rounded once, and by less than one unit. */
export const checkRounding: Attack = async (context) => {
  const { driver, scheme, request } = context
  if (scheme === 'exact') return notApplicable('the price is fixed')
  if (driver?.priceOf === undefined) return notRun('needs the price sheet (driver)')
  const answer = await context.send(await context.pay())
  demand(isServed(answer), `the call was not served: ${tally([answer])}`)
  const charge = await chargeOf(context, answer, 0n)
  const price = driver.priceOf(answer)
  demand(charge === price, `charged ${charge}, used ${price} (${request.path})`)
  return passed(`charged ${charge}, the exact price rounded up once`)
}

/** T19: the token says yes and moves nothing. */
export const moveNothing: Attack = async (context) => {
  const { driver, scheme } = context
  if (driver === undefined) return notRun('needs control of the chain (driver)')
  const lied =
    scheme === 'exact' ? await forgeReceipt(context, driver) : await settleNothing(context, driver)
  if (lied.kind !== 'passed') return lied
  const moods = await changeMoods(context)
  return moods.kind === 'passed'
    ? passed(`${lied.detail}; ${moods.detail}`, ...lied.without, ...moods.without)
    : moods
}

/** The transaction "succeeds", and its receipt has no event. */
async function forgeReceipt(context: Context, driver: Driver): Promise<Outcome> {
  const payment = await context.pay()
  driver.rpcRule = async (method, _, forward) => {
    const result = await forward()
    if (method !== 'eth_getTransactionReceipt' || result === undefined || result === null) {
      return result
    }
    return { ...Object(result), logs: [] }
  }
  const { answers } = await context.observe(async () => [await context.send(payment)])
  driver.rpcRule = undefined
  demand(!answers.some(isServed), 'served although no Transfer was seen')
  return passed(`no Transfer event: not served (${tally(answers)})`)
}

async function chargeFor(context: Context, request: PaidRequest): Promise<bigint> {
  const payment = await context.pay(request)
  const answer = await context.send(payment, request)
  demand(isServed(answer), `the call was not served: ${tally([answer])}`)
  return chargeOf(context, answer, BigInt(payment.accepted.amount))
}

/** What was charged: by the receipt where there is one, else by PAYMENT-RESPONSE; `exact` is charged its amount. */
async function chargeOf(
  { driver, scheme }: Context,
  answer: Parameters<typeof chargedIn>[0],
  amountAtomic: bigint,
): Promise<bigint> {
  if (driver?.chargeOf !== undefined) return driver.chargeOf(answer)
  const charged = chargedIn(answer)
  if (charged !== undefined) return charged
  if (scheme === 'exact') return amountAtomic
  throw new Error('nothing says what was charged')
}
