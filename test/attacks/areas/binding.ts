/** T9–T13: a payment for one thing, shown for another. */
import { sendFrom } from '../drivers/accounts.ts'
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
import { createExactPayer } from '../payers/single-payers.ts'
import { bindingOf } from '../payers/bind-request.ts'
import { isOk, sendRaw } from '../raw-http.ts'
import { encodePayment, memberOf, withAccepted, type Payment, type PaidRequest } from '../wire.ts'

/** T9: another route, model, method, body or host. */
export const presentElsewhere: Attack = async (context) => {
  const { driver, request } = context
  const without: string[] = []
  const tried: string[] = []
  if (driver?.requests.otherRoute === undefined) without.push('no second paid route is known')
  else {
    const { otherRoute } = driver.requests
    const payment = await context.pay()
    await refusedAll(context, 'another route', () => [context.send(payment, otherRoute)])
    tried.push('route')
  }
  if (driver?.requests.otherPrice === undefined) without.push('no second price is known')
  else {
    const { otherPrice } = driver.requests
    const payment = await context.pay()
    await refusedAll(context, 'a dearer model', () => [context.send(payment, otherPrice)])
    tried.push('model')
  }
  const payment = await context.pay()
  const { answers, executions } = await context.observe(() =>
    Promise.all([
      context.send(payment),
      context.send(payment, { ...request, body: `${request.body} ` }),
    ]),
  )
  demand(
    executions <= 1,
    `${executions} executions of two bodies for one payment: ${tally(answers)}`,
  )
  const lines = [`payment-signature: ${encodePayment(payment)}`]
  const after = await context.observe(async () => {
    for (const method of ['PUT', 'PATCH']) {
      const answer = await sendRaw(context.url, request, lines, { method })
      demand(!isOk(answer), `a used payment was answered by ${answer.status} for ${method}`)
    }
    await sendRaw(context.url, request, lines, { host: 'other.example' })
    return []
  })
  demand(after.executions === 0, 'a used payment bought a call by another method or host')
  tried.push('body', 'method', 'host')
  const bound = await bindingOf(context, request)
  if (context.scheme === 'batch-settlement')
    tried.push('a voucher has no nonce to bind: it buys one')
  else if (bound === undefined) without.push('payments cannot be bound to a body')
  else {
    const other = { ...request, body: `${request.body} ` }
    const signed = await context.pay(undefined, bound)
    await refusedAll(context, 'a body that the payer did not bind', () => [
      context.send(signed, other),
    ])
    const kept = await context.send(signed)
    demand(isServed(kept), `the bound body itself was refused: ${tally([kept])}`)
    tried.push('bound body')
  }
  return passed(`refused: ${tried.join(', ')}`, ...without)
}

/** T10: an offer that the payer changed, or a signature for another chain or contract. */
export const changeOffer: Attack = async (context) => {
  const good = await context.pay()
  const { accepted } = good
  const other = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
  const changed: readonly (readonly [string, unknown])[] = [
    ['amount - 1', withAccepted(good, { amount: `${BigInt(accepted.amount) - 1n}` })],
    ['amount 0', withAccepted(good, { amount: '0' })],
    ['payTo', withAccepted(good, { payTo: other })],
    ['asset', withAccepted(good, { asset: other })],
    ['network', withAccepted(good, { network: 'eip155:8453' })],
    ['scheme', withAccepted(good, { scheme: 'deferred' })],
    ['timeout', withAccepted(good, { maxTimeoutSeconds: accepted.maxTimeoutSeconds + 1 })],
    ['extra.name', withAccepted(good, { extra: { ...accepted.extra, name: 'Other' } })],
    ['no extra', withAccepted(good, { extra: {} })],
    ['chain id', await context.pay(undefined, { chainId: 8453 })],
    ['contract', await context.pay(undefined, { verifyingContract: other })],
    ['payTo, signed', await context.pay(undefined, { payTo: other })],
  ]
  for (const [name, payment] of changed) {
    await refusedAll(context, `changed ${name}`, () => [context.send(encodePayment(payment))])
  }
  await demandStillGood(context, good)
  return passed(`${changed.length} changes, all refused; the payment itself was served`)
}

/** T11: an extension that says something else than the server said. */
export const changeExtension: Attack = async (context) => {
  const { extensions = {} } = await context.quote()
  const names = Object.keys(extensions)
  if (names.length === 0) return notApplicable('the 402 advertises no extension')
  const good = await context.pay()
  for (const name of names) {
    const info = { ...Object(memberOf(extensions[name], 'info')), version: 99, required: true }
    const altered = { ...good, extensions: { [name]: { ...Object(extensions[name]), info } } }
    await refusedAll(context, `a changed ${name}`, () => [context.send(encodePayment(altered))])
  }
  await demandStillGood(context, good)
  return passed(`changed ${names.join(', ')}: refused; the payment itself was served`)
}

/** T12: the receipt of one call, shown for another. */
export const swapReceipts: Attack = async (context) => {
  const { driver, request } = context
  const first = await context.send(await context.pay())
  demand(isServed(first), `the call was not served: ${tally([first])}`)
  if (first.headers['x-receipt-id'] === undefined) {
    return notApplicable('no receipt says what was asked and answered: nothing can be told apart')
  }
  if (driver?.receiptFits === undefined) return notRun('needs a verifier of receipts (driver)')
  const own = await driver.receiptFits(first, request.body, first.body)
  demand(own, 'the receipt does not fit its own call')
  const otherAnswer = await driver.receiptFits(first, request.body, Buffer.from('another answer'))
  demand(!otherAnswer, 'the receipt fits an answer that was never given')
  const otherRequest = await driver.receiptFits(first, `${request.body} `, first.body)
  demand(!otherRequest, 'the receipt fits a request that was never made')
  return passed('fits its own call, no other request and no other answer')
}

const transferAbi = [
  {
    type: 'function',
    name: 'transferWithAuthorization',
    stateMutability: 'nonpayable',
    inputs: ['address', 'address', 'uint256', 'uint256', 'uint256', 'bytes32', 'bytes'].map(
      (type) => ({ name: '', type }),
    ),
    outputs: [],
  },
] as const

/** T13: somebody else sends the settlement first. */
export const settleFirst: Attack = async (context) => {
  const { driver, scheme } = context
  if (scheme !== 'exact') {
    return notApplicable(
      'only the settler named by the payer can send it; deposits credit the payer',
    )
  }
  if (driver === undefined) return notRun('needs an account with gas (driver)')
  const key = await driver.createPayerKey()
  const payer = createExactPayer(key)
  const bound = await bindingOf(context, context.request)
  const payment = await payer.sign(await context.quote(), bound ?? {})
  const authorization = Object(payment.payload['authorization'])
  const { from, to, value, validAfter, validBefore, nonce } = authorization
  await sendFrom(context.rpcUrl, key, {
    address: `0x${payment.accepted.asset.slice(2)}`,
    abi: transferAbi,
    functionName: 'transferWithAuthorization',
    args: [
      from,
      to,
      BigInt(value),
      BigInt(validAfter),
      BigInt(validBefore),
      nonce,
      payment.payload['signature'],
    ],
  })
  // Everything is public now but the salt of the binding: whoever reads the chain asks for something else.
  const { otherRoute, plainTwin } = driver.requests
  const other = bound === undefined ? undefined : (otherRoute ?? plainTwin)
  const stolen = other === undefined ? undefined : await context.send(payment, other)
  demand(stolen === undefined || !isServed(stolen), 'a reader of the chain had the call')
  const { answers, executions } = await context.observe(() =>
    Promise.all(Array.from({ length: 5 }, () => context.send(payment))),
  )
  demand(executions <= 1, `${executions} executions for one payment that an observer sent`)
  demand(executions === 1, 'refused, although the payee has the money')
  const again = await context.observe(async () => [await context.send(payment)])
  demand(again.executions === 0, 'a payment that an observer sent bought a second call')
  return passed(`sent ahead by an observer: 1 execution; ${tally(answers)}`)
}

/** Every one is refused, and none of them reaches the upstream. */
export async function refusedAll(
  context: Context,
  what: string,
  calls: () => readonly ReturnType<Context['send']>[],
): Promise<void> {
  const { answers, executions } = await context.observe(() => Promise.all(calls()))
  demand(!answers.some(isServed), `${what} was served: ${tally(answers)}`)
  demand(executions === 0, `${what} was executed: ${tally(answers)}`)
}

/** What was refused was refused for its change: unchanged it buys the call. */
export async function demandStillGood(
  context: Context,
  payment: Payment,
  request?: PaidRequest,
): Promise<void> {
  const answer = await context.send(payment, request)
  demand(isServed(answer), `the unchanged payment was not served afterwards: ${tally([answer])}`)
}
