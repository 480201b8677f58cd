/** T31–T37: streams that break, caches, spellings of paths, hostile headers, and what refusing costs. */
import { createRandom } from '../../../packages/gateway/test/ledger/random.ts'
import type { RawResult } from '../../provider/raw-client.ts'
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
import { createPayer } from '../payers/create-payer.ts'
import { isOk, openHalf, sendRaw } from '../raw-http.ts'
import { until } from '../waiting.ts'
import { encodePayment, quoteIn, type PaidRequest } from '../wire.ts'
import { demandStillGood } from './binding.ts'

/** T31: the caller leaves after each piece of the stream. */
export const leaveEarly: Attack = async (context) => {
  const { driver, scheme } = context
  const slow = driver?.requests.slowStream
  if (slow === undefined) return notRun('needs a slow stream (driver)')
  if (scheme === 'exact') return notApplicable('the price is fixed, whatever was delivered')
  if (driver?.chargeOf === undefined) return notRun('needs the charge of a broken call (driver)')
  const whole = await context.send(await context.pay(slow), slow)
  demand(isServed(whole), `the stream was not served: ${tally([whole])}`)
  const full = await driver.chargeOf(whole)
  const charges: bigint[] = []
  for (const piece of context.repeats > 100 ? [1, 2, 3, 4, 5, 6, 7] : [1, 4]) {
    let pieces = 0
    const left = await context.send(await context.pay(slow), slow, {
      leaveWhen: () => ++pieces >= piece,
    })
    charges.push(await driver.chargeOf(left))
    await driver.untilIdle()
    await context.settleUp()
  }
  const text = `${charges.join(', ')}; all of it ${full}`
  demand(
    charges.every((charge) => charge <= full),
    `more than for the whole: ${text}`,
  )
  demand(
    charges.every((charge) => charge > 0n),
    `who leaves pays nothing: ${text}`,
  )
  return passed(`charged ${text}`)
}

/** T32: the upstream fails in each way. */
export const breakUpstream: Attack = async (context) => {
  const { driver } = context
  if (driver === undefined) return notRun('needs an upstream that fails (driver)')
  const { upstreamError, upstreamReset, cutStream } = driver.requests
  const told: string[] = []
  for (const [name, request] of Object.entries({ upstreamError, upstreamReset, cutStream })) {
    if (request === undefined) continue
    const answer = await context.send(await context.pay(request), request)
    // Of a stream the head has left before it broke: its length says so.
    if (request !== cutStream) demand(!isServed(answer), `${name} was answered as a success`)
    if (driver.chargeOf === undefined) continue
    const charge = await driver.chargeOf(answer)
    await context.settleUp()
    demand(charge <= 1n, `${name} was charged ${charge}`)
    told.push(`${name} charged ${charge}`)
  }
  await context.settleUp()
  const readers = await standInTheWay(context, driver.requests.slowStream ?? context.request)
  return passed(
    [...told, 'others were served afterwards', readers].join('; '),
    ...(driver.chargeOf === undefined ? ['nothing says what a failed call was charged'] : []),
  )
}

/** Callers who do not read their answers, and callers who do not end their requests, stand in nobody's way. */
async function standInTheWay(context: Context, slow: PaidRequest): Promise<string> {
  const { driver, scheme, request } = context
  if (driver === undefined) throw new Error('no driver')
  const reader = createPayer(scheme, await driver.createPayerKey())
  const reading = Promise.withResolvers<void>()
  const payment = await reader.sign(await context.quote(slow))
  const unread = context.send(payment, slow, { holdUntil: reading.promise })
  const halves = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const half = await createPayer(scheme, await driver.createPayerKey()).sign(
        await context.quote(),
      )
      return { half, end: openHalf(context.url, request, encodePayment(half)) }
    }),
  )
  await context.settleUp()
  for (const { end } of halves) end()
  reading.resolve()
  const answer = await unread
  demand(isServed(answer), `who read late did not get its answer: ${tally([answer])}`)
  const again = await context.observe(async () => [await context.send(payment, slow)])
  demand(again.executions === 0, 'the payment of a late reader bought a second call')
  // Nothing was asked yet by who did not end its request: its payment is as good as new.
  const [first] = halves
  if (first === undefined) throw new Error('nobody was half open')
  let late = await context.send(first.half)
  // It may still be held for the call that never came.
  await until(async () => {
    if (!isServed(late)) late = await context.send(first.half)
    return isServed(late)
  })
  const why = quoteIn(late)?.error ?? ''
  demand(isServed(late), `a payment behind half a request was used up: ${tally([late])} ${why}`)
  return 'one who reads late and ten who end no request held nobody up'
}

/** T33: the first byte of an answer must not outrun the record of its payment. */
export const killAfterFirstByte: Attack = async (context) => {
  const { driver } = context
  const slow = driver?.requests.slowStream
  if (driver?.restart === undefined || slow === undefined) {
    return notRun('needs a driver that kills the server')
  }
  const payment = await context.pay(slow)
  const first = Promise.withResolvers<void>()
  const cut = context.send(payment, slow, {
    leaveWhen: () => {
      first.resolve()
      return false
    },
  })
  await Promise.race([first.promise, cut])
  await driver.restart()
  const answer = await cut
  const isBuffered = answer.failure === null
  const { answers, executions } = await context.observe(async () => [
    await context.send(payment, slow),
  ])
  const when = isBuffered ? 'the whole answer came in one piece' : 'its answer was cut'
  demand(executions === 0, `killed when ${when}: its payment bought another`)
  return passed(`killed when ${when}: no second execution; ${tally(answers)}`)
}

/** T34: what a shared cache may keep. */
export const askCaches: Attack = async (context) => {
  const unpaid = await context.send(undefined)
  const paid = await context.send(await context.pay())
  demand(isServed(paid), `the call was not served: ${tally([paid])}`)
  demand(/no-store/.test(cacheControl(unpaid)), `402: Cache-Control "${cacheControl(unpaid)}"`)
  demand(
    /no-store|private/.test(cacheControl(paid)),
    `paid answer: Cache-Control "${cacheControl(paid)}"`,
  )
  return passed(`402: ${cacheControl(unpaid)}; paid: ${cacheControl(paid)}`)
}

function cacheControl({ headers }: RawResult): string {
  return headers['cache-control'] ?? ''
}

/** T35: the paid route in other spellings, for nothing. */
export const spellPath: Attack = async (context) => {
  const { request } = context
  const { path } = request
  const last = path.lastIndexOf('/')
  const paths = [
    `${path}/`,
    `/${path}`,
    path.toUpperCase(),
    `${path.slice(0, last)}%2F${path.slice(last + 1)}`,
    `${path.slice(0, -1)}%${path.charCodeAt(path.length - 1).toString(16)}`,
    `${path};a=b`,
    `${path}?free=1`,
    `${path}%00`,
    `${path}%20`,
    `/.${path}`,
    `/x/..${path}`,
    `${path}#`,
    `http://other.example${path}`,
  ]
  const methods = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']
  const overrides = ['x-http-method-override: POST', 'x-original-url: /', `x-rewrite-url: ${path}`]
  const { executions } = await context.observe(async () => {
    for (const each of paths) await expectUnserved(context.url, { ...request, path: each }, [])
    for (const method of methods) await sendRaw(context.url, request, [], { method })
    for (const line of overrides) {
      await expectUnserved(context.url, request, [line])
      await sendRaw(context.url, request, [line], { method: 'GET' })
    }
    return []
  })
  demand(executions === 0, `${executions} executions without any payment`)
  return passed(
    `${paths.length} paths, ${methods.length} methods, ${overrides.length} headers: none`,
    // OPTIONS and GET may be answered by other things than the paid one.
    ...(context.driver === undefined ? ['what other methods did: needs a counter (driver)'] : []),
  )
}

async function expectUnserved(
  url: string,
  request: PaidRequest,
  lines: readonly string[],
): Promise<void> {
  const answer = await sendRaw(url, request, lines)
  const { status } = answer
  demand(!isOk(answer), `${request.path} ${lines.join(' ')} was served without payment: ${status}`)
}

/** T36: headers that are too big, too deep, or not what they say. */
export const sendGarbage: Attack = async (context) => {
  const good = await context.pay()
  const text = JSON.stringify(good)
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`
  const hostile = {
    '16 KB': 'A'.repeat(16_384),
    '60 KB': 'A'.repeat(60_000),
    'padded JSON': base64(`${text.slice(0, -1)},"pad":"${'x'.repeat(16_400)}"}`),
    deep: base64(`{"x402Version":2,"payload":${deep}}`),
    ['__proto__']: base64(`{"__proto__":{"x402Version":2},${text.slice(1)}`),
    'payload.__proto__': base64(text.replace('"payload":{', '"payload":{"__proto__":{"a":1},')),
    'equal names': base64(`{"x402Version":1,${text.slice(1)}`),
    'bad base64': `${base64(text).slice(0, 40)}*!${base64(text).slice(42)}`,
    'bad UTF-8': Buffer.from(`${text.slice(0, -1)},"a":"\xff\xfe"}`, 'latin1').toString('base64'),
    'no JSON': base64('payment'),
    null: base64('null'),
    array: base64(`[${text}]`),
    'version 1': base64(text.replace('"x402Version":2', '"x402Version":1')),
    empty: '',
  }
  const { executions } = await context.observe(async () => {
    for (const [name, value] of Object.entries(hostile)) {
      const lines = [`payment-signature: ${value}`]
      const answer = await sendRaw(context.url, context.request, lines)
      demand(!isOk(answer), `${name} was served`)
      demand(answer.status < 500, `${name} was answered by ${answer.status}`)
    }
    return []
  })
  demand(executions === 0, `${executions} executions for garbage`)
  await demandStillGood(context, good)
  return passed(`${Object.keys(hostile).length} kinds of garbage: refused; the payment was served`)
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

const maxCpuMsPerRefusal = 3

/** T37: what refusing costs the server. */
export const costCpu: Attack = async (context) => {
  const { driver } = context
  if (driver?.cpuSeconds === undefined) return notRun('needs the CPU time of the server (driver)')
  const cpuSeconds = (): number => driver.cpuSeconds?.() ?? 0
  const random = createRandom(context.seed)
  const forged = await Promise.all(
    Array.from({ length: 20 }, () => context.pay(undefined, { forged: true })),
  )
  const misquoted = forged.map((each) =>
    encodePayment({ ...each, accepted: { ...each.accepted, amount: `${random.below(1e9)}` } }),
  )
  const told: string[] = []
  for (const [name, headers] of [
    ['another amount', misquoted],
    ['a forged signature', forged.map(encodePayment)],
  ] as const) {
    // The first round warms the server up.
    await costOfRefusing(context, cpuSeconds, headers)
    const perCallMs = await costOfRefusing(context, cpuSeconds, headers)
    const text = `${perCallMs.toFixed(2)} ms of CPU for each payment with ${name}`
    demand(perCallMs <= maxCpuMsPerRefusal, `${text}, more than ${maxCpuMsPerRefusal}`)
    told.push(text)
  }
  const text = told.join(', ')
  if (context.fresh === undefined) return passed(text, 'limits for each address and channel')
  const own = await context.fresh({ callsPerMinute: 5 })
  try {
    return passed(`${text}; ${await exceedLimit(own.context)}`)
  } finally {
    await own.stop()
  }
}

/** CPU of the server, in milliseconds, for each of these payments. */
async function costOfRefusing(
  context: Context,
  cpuSeconds: () => number,
  headers: readonly string[],
): Promise<number> {
  const count = Math.max(200, context.repeats)
  const before = cpuSeconds()
  const { executions, answers } = await context.observe(async () => {
    const all: RawResult[] = []
    for (let index = 0; index < count; index += headers.length) {
      all.push(...(await Promise.all(headers.map((each) => context.send(each)))))
    }
    return all
  })
  demand(executions === 0, `${executions} executions for forged payments`)
  demand(!answers.some(isServed), `a forged payment was served: ${tally(answers)}`)
  return ((cpuSeconds() - before) * 1000) / answers.length
}

/** Whoever pays is bounded, too: more calls than five a minute wait, and those of others do not. */
async function exceedLimit(context: Context): Promise<string> {
  const { driver, scheme } = context
  if (driver === undefined) throw new Error('no driver')
  const payer = createPayer(scheme, await driver.createPayerKey())
  const statuses: (number | null)[] = []
  const { executions } = await context.observe(async () => {
    for (let count = 0; count < 10; count++) {
      const answer = await context.send(await payer.sign(await context.quote()))
      payer.hear(answer)
      statuses.push(answer.status)
    }
    return []
  })
  const late = statuses.filter((status) => status === 429).length
  const seen = `${executions} of 10 calls by one payer were made, ${late} told to wait`
  demand(executions <= 6 && late >= 4, seen)
  const other = createPayer(scheme, await driver.createPayerKey())
  const answer = await context.send(await other.sign(await context.quote()))
  demand(isServed(answer), `the limit of one payer held up another: ${tally([answer])}`)
  return seen
}
