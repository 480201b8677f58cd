/** T45 and T46 with the client of this repository: the server charges more than its receipts, or says so. */
import {
  ClientError,
  countersignFetch,
  createChainReader,
  type CountersignFetch,
} from '@countersign/client'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import {
  demand,
  notApplicable,
  notRun,
  passed,
  type Attack,
  type Context,
  type Scheme,
} from '../attack.ts'

type Fetch = (url: string, init: RequestInit) => Promise<Response>
type Json = Record<string, unknown>

/** What the client sent as payment: ceilings of vouchers, maxima. */
type Sent = { readonly type: string; readonly ceilingAtomic: bigint; readonly channelId: string }

const depositAtomic = 30_000n

/** A client of ours behind a wire that somebody else may rewrite. */
function createClient(
  { url, rpcUrl }: Context,
  scheme: Scheme,
  key: Hex,
  rewrite: (answer: Response, sent: Sent | undefined) => Promise<Response> | Response,
): { readonly client: CountersignFetch; readonly sent: readonly Sent[] } {
  const sent: Sent[] = []
  const throughLiar: Fetch = async (target, init) => {
    const payment = paymentIn(init)
    if (payment !== undefined) sent.push(payment)
    return rewrite(await fetch(target, init), payment)
  }
  const client = countersignFetch({
    baseUrl: `${url}/v1`,
    account: privateKeyToAccount(key),
    maxAmountAtomic: 20_000n,
    budgetAtomic: 90_000n,
    chains: { 'eip155:84532': createChainReader(rpcUrl) },
    checkPayee: 'unchecked',
    fetch: throughLiar,
    ...(scheme === 'upto' ? { upto: true } : { channels: { depositAtomic } }),
  })
  return { client, sent }
}

function paymentIn({ headers }: RequestInit): Sent | undefined {
  const header = new Headers(headers).get('payment-signature')
  if (header === null) return undefined
  const { payload = {} }: Json = JSON.parse(Buffer.from(header, 'base64').toString())
  const { type = 'upto', voucher, permit2Authorization } = Object(payload)
  const amount = voucher?.maxClaimableAmount ?? permit2Authorization?.permitted?.amount
  return { type, ceilingAtomic: BigInt(amount), channelId: String(voucher?.channelId) }
}

async function call(
  client: CountersignFetch,
  { url, request }: Context,
): Promise<{ readonly chargedAtomic: bigint; readonly cumulativeAtomic: bigint | undefined }> {
  const { path, body, headers = {} } = request
  const response = await client(`${url}${path}`, { method: 'POST', body, headers })
  await response.text()
  demand(response.ok, `the client was answered ${response.status}`)
  return client.receiptOf(response)
}

const refusalOf = (outcome: Promise<unknown>): Promise<string> =>
  outcome.then(
    () => 'answered',
    (error: unknown) => (error instanceof ClientError ? error.code : String(error)),
  )

/** Every amount in PAYMENT-RESPONSE becomes this. */
function claimCharge(answer: Response, amount: string): Response {
  const header = answer.headers.get('payment-response')
  if (header === null) return answer
  const told: Json = JSON.parse(Buffer.from(header, 'base64').toString())
  const extra = Object(told['extra'])
  const channelState = { ...extra.channelState, chargedCumulativeAmount: amount }
  const lie =
    told['extra'] === undefined
      ? { ...told, amount }
      : { ...told, extra: { ...extra, chargedAmount: amount, channelState } }
  const headers = new Headers(answer.headers)
  headers.set('payment-response', Buffer.from(JSON.stringify(lie)).toString('base64'))
  return new Response(answer.body, { status: answer.status, headers })
}

/** A 402 that says more was charged than any receipt did. */
async function claimTotal(context: Context, channelId: string, total: string): Promise<Response> {
  const { url, request } = context
  const { path, body, headers = {} } = request
  const asked = await fetch(`${url}${path}`, { method: 'POST', body, headers })
  const header = asked.headers.get('payment-required') ?? ''
  const quote = JSON.parse(Buffer.from(header, 'base64').toString())
  const channelState = {
    channelId,
    balance: `${depositAtomic}`,
    totalClaimed: '0',
    withdrawRequestedAt: 0,
    refundNonce: '0',
    chargedCumulativeAmount: total,
  }
  const accepts = quote.accepts.map((offer: Json) => ({
    ...offer,
    extra: { ...Object(offer['extra']), channelState, reservedAmount: '0' },
  }))
  const lying = new Headers(asked.headers)
  const text = JSON.stringify({ ...quote, accepts })
  lying.set('payment-required', Buffer.from(text).toString('base64'))
  return new Response(await asked.arrayBuffer(), { status: 402, headers: lying })
}

/** T45: the server says that it charged more than its receipt. */
export const chargeAboveReceipt: Attack = async (context) => {
  const { driver, scheme } = context
  if (scheme === 'exact') return notApplicable('the signature fixes the amount')
  if (driver?.chargeOf === undefined) return notRun('needs a server with receipts (driver)')
  await context.settleUp()
  const key = await driver.createPayerKey()
  if (scheme === 'upto') {
    const { client } = createClient(context, scheme, key, (answer) => claimCharge(answer, '20000'))
    const { chargedAtomic } = await call(client, context)
    demand(chargedAtomic < 1000n, `the client believes in a charge of ${chargedAtomic}`)
    return passed(`told 20000, the client counts ${chargedAtomic} by the receipt`)
  }
  let lie: 'none' | 'response' | 'correction' = 'none'
  const { client, sent } = createClient(context, scheme, key, (answer, payment) => {
    if (lie === 'response') return claimCharge(answer, '20000')
    if (lie === 'none' || payment === undefined) return answer
    return claimTotal(context, payment.channelId, '20000')
  })
  const first = await call(client, context)
  const amountAtomic = sent.at(-1)?.ceilingAtomic ?? 0n
  lie = 'response'
  const second = await call(client, context)
  const owed = first.chargedAtomic + second.chargedAtomic
  demand(second.cumulativeAtomic === owed, `the receipts say ${second.cumulativeAtomic}`)
  lie = 'none'
  const third = await call(client, context)
  const ceiling = sent.at(-1)?.ceilingAtomic ?? 0n
  demand(
    ceiling <= owed + amountAtomic,
    `after a lie of 20000 the client signed ${ceiling}, owing ${owed}`,
  )
  lie = 'correction'
  const before = sent.length
  const refusal = await refusalOf(call(client, context))
  demand(refusal === 'channel-correction-false', `a false total: ${refusal}`)
  demand(sent.length === before + 1, 'a voucher was signed for a total without receipts')
  lie = 'none'
  const stopped = await refusalOf(call(client, context))
  demand(stopped !== 'answered', 'the client went on paying from that channel')
  demand(sent.length === before + 1, 'the client signed another voucher on that channel')
  const highest = sent.reduce(
    (most, each) => (each.ceilingAtomic > most ? each.ceilingAtomic : most),
    0n,
  )
  const total = owed + third.chargedAtomic
  return passed(
    `receipts of ${total}, ceilings up to ${highest}; a total of 20000 without receipts ended the channel (${stopped})`,
  )
}

const asItIs = (answer: Response): Response => answer

/** T46, with our client: its memory is gone. Says how it went on. */
export async function forgetByClient(context: Context): Promise<string | undefined> {
  const { driver } = context
  if (driver?.chargeOf === undefined) return undefined
  const key = await driver.createPayerKey()
  const before = await call(createClient(context, 'batch-settlement', key, asItIs).client, context)
  const { client, sent } = createClient(context, 'batch-settlement', key, asItIs)
  const after = await call(client, context)
  demand(
    after.cumulativeAtomic === before.chargedAtomic + after.chargedAtomic,
    `the client goes on at ${after.cumulativeAtomic}, not at ${before.chargedAtomic}`,
  )
  demand(!sent.some(({ type }) => type === 'deposit'), 'the client deposited a second time')
  return 'our client found its channel again, and deposited nothing'
}
