/** Runs attacks one after the other against one server and one scheme. */
import { callRaw, type RawResult } from '../provider/raw-client.ts'
import {
  AttackFailed,
  demand,
  isServed,
  tally,
  type Context,
  type FreshContext,
  type Outcome,
  type Payer,
  type Scheme,
} from './attack.ts'
import { catalogue, type CatalogueEntry } from './catalogue.ts'
import type { Driver, FreshNetwork } from './drivers/driver.ts'
import { createPayer } from './payers/create-payer.ts'
import { encodePayment, quoteIn, type Payment, type PaidRequest } from './wire.ts'

/** What to attack. */
export type SuiteOptions = {
  readonly url: string
  readonly rpcUrl: string
  readonly scheme: Scheme
  readonly request: PaidRequest
  readonly payer: Payer
  readonly driver?: Driver
  readonly repeats: number
  readonly seed: number
  /** Identifiers to run; default all. */
  readonly only?: ReadonlySet<string>
  readonly onResult?: (result: AttackResult) => void
}

/** One line of the report. */
export type AttackResult = Omit<CatalogueEntry, 'run' | 'mechanism'> & {
  readonly scheme: Scheme
  readonly outcome: Outcome
  readonly milliseconds: number
}

// Some attacks kill the server, or change its token, a dozen times.
const patienceMs = 900_000

/** Runs them. An attack that throws anything but AttackFailed was broken off: nothing was proven. */
export async function runSuite(options: SuiteOptions): Promise<readonly AttackResult[]> {
  const results: AttackResult[] = []
  for (const { run, mechanism: _, ...entry } of catalogue) {
    if (options.only?.has(entry.id) === false) continue
    const start = performance.now()
    const outcome = await runOne(run, options)
    const milliseconds = Math.round(performance.now() - start)
    const result = { ...entry, scheme: options.scheme, outcome, milliseconds }
    results.push(result)
    options.onResult?.(result)
  }
  return results
}

async function runOne(run: CatalogueEntry['run'], options: SuiteOptions): Promise<Outcome> {
  const plain = createContext(options, () => Promise.resolve())
  // Once for each attack, when it makes its first call.
  let prepared: Promise<void> | undefined
  const context = createContext(options, () => (prepared ??= prepareFirst(plain)))
  const late = Promise.withResolvers<Outcome>()
  const timer = setTimeout(() => {
    late.resolve({ kind: 'broken-off', detail: `no end within ${patienceMs / 1000} s` })
  }, patienceMs)
  try {
    const outcome = await Promise.race([run(context), late.promise])
    return outcome.kind === 'passed' ? await judgeLife(plain, outcome) : outcome
  } catch (error) {
    if (error instanceof AttackFailed) return { kind: 'failed', detail: error.message }
    const text = error instanceof Error ? error.message : String(error)
    return { kind: 'broken-off', detail: text.slice(0, 300) }
  } finally {
    clearTimeout(timer)
    if (context.driver !== undefined) context.driver.rpcRule = undefined
  }
}

/** Makes one ordinary paid call; why it was refused, where it was. */
export async function checkOrdinaryCall(options: SuiteOptions): Promise<string | undefined> {
  try {
    await prepare(createContext(options, () => Promise.resolve()))
    return undefined
  } catch (error) {
    if (error instanceof AttackFailed) return error.message
    throw error
  }
}

/** A server that is gone refuses everything: it has withstood nothing. */
async function judgeLife(context: Context, outcome: Outcome): Promise<Outcome> {
  const answer = await context.send(undefined)
  if (answer.status !== null) return outcome
  const detail = `the server does not answer any more: ${tally([answer])}`
  return { kind: 'broken-off', detail }
}

/** An attack that could not begin says nothing. */
async function prepareFirst(context: Context): Promise<void> {
  try {
    await prepare(context)
  } catch (error) {
    if (!(error instanceof AttackFailed)) throw error
    throw new Error(`before the attack: ${error.message}`, { cause: error })
  }
}

/** Before each attack an ordinary payment buys an ordinary call: a server that refuses everything passes nothing. */
async function prepare(context: Context): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const answer = await context.send(await context.pay())
    if (isServed(answer)) return
    const { status } = answer
    const error = quoteIn(answer)?.error ?? answer.body.toString().slice(0, 200)
    // A channel whose state the payer does not know is corrected once.
    demand(
      attempt < 2 && status === 402,
      `an ordinary payment was refused: ${tally([answer])} ${error}`,
    )
  }
}

function createContext(options: SuiteOptions, ready: () => Promise<void>): Context {
  const { url, rpcUrl, scheme, request, payer, driver, repeats, seed } = options
  const send: Context['send'] = async (payment, target = request, more = {}) => {
    await ready()
    const paid = payment === undefined ? {} : { 'payment-signature': headerOf(payment) }
    const answer = await callRaw({
      url: `${url}${target.path}`,
      method: 'POST',
      body: target.body,
      maxHeaderSize: 65_536,
      ...more,
      headers: { ...target.headers, ...paid, ...more.headers },
    })
    // What is charged on a channel is heard by whoever pays from it.
    if (typeof payment === 'object' && isFrom(payer, payment.payload)) payer.hear(answer)
    return answer
  }
  const quote: Context['quote'] = async (target = request, more = {}) => {
    const answer = await send(undefined, target, more)
    const found = quoteIn(answer)
    demand(answer.status === 402 && found !== undefined, `no offer: ${tally([answer])}`)
    return found
  }
  const context: Context = {
    url,
    scheme,
    request,
    payer,
    rpcUrl,
    repeats,
    seed,
    driver,
    send,
    quote,
    pay: async (target, changes) => payer.sign(await quote(target), changes),
    observe: async (calls, known = []) => {
      await ready()
      const before = await driver?.executions()
      const answers = await calls()
      const after = await driver?.executions()
      if (before === undefined || after === undefined) {
        return { answers, executions: differentAnswers(answers, known) }
      }
      return { answers, executions: after - before }
    },
    settleUp: () => prepare(context),
    fresh:
      driver?.fresh === undefined
        ? undefined
        : async (narrow) => startFresh(options, await driver.fresh?.(narrow)),
    reorganising:
      driver?.reorganising === undefined
        ? undefined
        : async () => {
            const network = await driver.reorganising?.()
            if (network === undefined) throw new Error('the driver starts no other network')
            return { ...(await startFresh(options, network)), history: network.history }
          },
    moody:
      driver?.withMoodyToken === undefined
        ? undefined
        : async () => {
            const network = await driver.withMoodyToken?.()
            if (network === undefined) throw new Error('the driver starts no other network')
            return { ...(await startFresh(options, network)), token: network.token }
          },
  }
  return context
}

async function startFresh(
  options: SuiteOptions,
  network: FreshNetwork | undefined,
): Promise<FreshContext> {
  if (network === undefined) throw new Error('the driver starts no other network')
  const { url, rpcUrl, request, driver } = network
  const payer = createPayer(options.scheme, await driver.createPayerKey())
  const fresh = { ...options, url, rpcUrl, request, driver, payer }
  const plain = createContext(fresh, () => Promise.resolve())
  await prepare(plain)
  return { context: plain, stop: () => driver.stop() }
}

function headerOf(payment: Payment | string): string {
  return typeof payment === 'string' ? payment : encodePayment(payment)
}

function isFrom({ address }: Payer, payload: Readonly<Record<string, unknown>>): boolean {
  return JSON.stringify(payload).toLowerCase().includes(address.toLowerCase())
}

// Without a counter an execution shows itself only by an answer of its own.
function differentAnswers(answers: readonly RawResult[], known: readonly RawResult[]): number {
  const before = new Set(servedBodies(known))
  return new Set(servedBodies(answers).filter((body) => !before.has(body))).size
}

function servedBodies(answers: readonly RawResult[]): readonly string[] {
  return answers.filter(isServed).map(({ body }) => body.toString('base64'))
}
