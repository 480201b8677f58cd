import { decodePaymentResponseHeader } from '@x402/core/http'
import { PaymentRequiredV2Schema } from '@x402/core/schemas'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { wrapFetchWithPayment } from '@x402/fetch'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { createExactPayment } from '../src/payment/exact/exact-payment.ts'
import { DatabaseFault } from '../src/payment/database.ts'
import { payerBalanceAtomic, startTestChain, type TestChain } from './payment/chain-process.ts'
import { balanceOf, bytesOf, startExact } from './payment/exact-scheme.ts'
import { startPaidServer } from './payment/paid-server.ts'
import {
  createStockClient,
  readQuote,
  signBoundPayment,
  signStockPayment,
  withPayment,
} from './payment/payer.ts'
import { createRequest, expectAdmitted, expectRefused } from './payment/requests.ts'
import type { Verdict } from './payment/rpc-proxy.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

const onceEach = (broadcasts: ReadonlyMap<string, readonly string[]>): number[] =>
  [...broadcasts.values()].map(({ length }) => length)

test('the quote is an x402 v2 offer with our extensions', async () => {
  const { scheme } = await startExact(chain)
  const refusal = expectRefused(await scheme.admit(createRequest({})))
  expect(refusal.code).toBe('payment-required')
  const quote = await readQuote(scheme, createRequest({}))
  expect(PaymentRequiredV2Schema.parse(quote)).toMatchObject({
    error: 'payment-required',
    resource: { url: 'http://gateway.test/v1/chat/completions' },
    accepts: [{ scheme: 'exact', amount: '10000', extra: { name: 'USDC', version: '2' } }],
    extensions: { 'countersign-request': { info: { version: 1 } } },
  })
  expect((refusal.headers['payment-required'] ?? '').length).toBeLessThan(2048)
})

test('a stock payment settles once, releases the answer and stands in the charge', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  const request = withPayment(createRequest({}), payment)
  const admitted = expectAdmitted(await scheme.admit(request))
  expect(admitted.payer).toBe(`address:${payer.address.toLowerCase()}`)
  expect(scheme.identify(request.headers)).toBeNull()
  const release = await admitted.release()
  const header = release.kind === 'released' ? release.headers['payment-response'] : undefined
  const settled = decodePaymentResponseHeader(header ?? '')
  expect(settled).toMatchObject({ success: true, payer: payer.address, network: 'eip155:84532' })
  expect(await admitted.complete('used')).toMatchObject({
    scheme: 'exact',
    amountAtomic: 10_000n,
    paymentId: bytesOf([...proxy.broadcasts.keys()][0] ?? ''),
    settlementTransaction: bytesOf(settled.transaction),
  })
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
  expect(onceEach(proxy.broadcasts)).toEqual([1])
})

test('the unmodified client of @x402/fetch pays for an answer', async () => {
  const { scheme } = await startExact(chain, { resourceBaseUrl: 'http://127.0.0.1' })
  const server = await startPaidServer(scheme, 10_000n)
  onTestFinished(() => server.stop())
  const payer = chain.nextPayer()
  const pay = wrapFetchWithPayment(fetch, createStockClient(payer))
  const response = await pay(`${server.url}/v1/chat/completions`, { method: 'POST', body: 'hello' })
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ amountAtomic: '10000' })
  expect(decodePaymentResponseHeader(response.headers.get('payment-response') ?? '').success).toBe(
    true,
  )
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('of one payment presented 50 times at once exactly one call is admitted', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  const admissions = await Promise.all(
    Array.from({ length: 50 }, () => scheme.admit(withPayment(createRequest({}), payment))),
  )
  const admitted = admissions.filter(({ kind }) => kind === 'admitted')
  expect(admitted).toHaveLength(1)
  const codes = admissions.flatMap((each) => (each.kind === 'refused' ? [each.refusal.code] : []))
  expect(codes).toEqual(Array.from({ length: 49 }, () => 'payment-in-progress'))
  for (const admission of admitted) {
    const bought = expectAdmitted(admission)
    expect((await bought.release()).kind).toBe('released')
    await bought.complete('used')
  }
  expect(onceEach(proxy.broadcasts)).toEqual([1])
})

test('a used payment that its payer bound gives the first answer again to the same request and nothing to another', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payment = await signBoundPayment(scheme, chain.nextPayer(), createRequest({}))
  const request = withPayment(createRequest({}), payment)
  const admitted = expectAdmitted(await scheme.admit(request))
  await admitted.release()
  await admitted.complete('used')
  const again = await scheme.admit(withPayment(createRequest({}), payment))
  expect(again).toMatchObject({
    kind: 'replay',
    receiptId: toHex(request.receiptId),
    whenGone: { code: 'payment-already-used' },
  })
  for (const other of [{ body: 'other' }, { method: 'GET' }, { path: '/v1/chat/completions?x' }]) {
    const quoted = await readQuote(scheme, createRequest({}, other))
    const refusal = expectRefused(
      await scheme.admit(
        withPayment(createRequest({}, other), { ...payment, resource: quoted.resource }),
      ),
    )
    expect(refusal.code).toBe('payment-request-mismatch')
    expect(refusal.headers['payment-required']).toBeDefined()
  }
  expect(onceEach(proxy.broadcasts)).toEqual([1])
})

test('a used stock payment is answered again only to who knows the name of the call', async () => {
  const { scheme } = await startExact(chain)
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  const named = createRequest({ 'idempotency-key': 'a-secret-of-the-caller' })
  const request = withPayment(named, payment)
  const admitted = expectAdmitted(await scheme.admit(request))
  await admitted.release()
  await admitted.complete('used')
  const observed = await scheme.admit(withPayment(createRequest({}), payment))
  expect(expectRefused(observed).code).toBe('payment-already-used')
  const guessed = createRequest({ 'idempotency-key': 'a-guess' })
  expect(expectRefused(await scheme.admit(withPayment(guessed, payment))).code).toBe(
    'payment-already-used',
  )
  const again = await scheme.admit(withPayment(named, payment))
  expect(again).toMatchObject({ kind: 'replay', receiptId: toHex(request.receiptId) })
})

test('after a failure upstream the same payment buys the same request again, without a new settlement', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  const first = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  const credit = await first.complete('unused')
  expect(credit).toMatchObject({ scheme: 'exact', amountAtomic: 0n })
  const transaction = 'settlementTransaction' in credit ? credit.settlementTransaction : undefined
  expect(transaction).toHaveLength(32)
  const other = await scheme.admit(withPayment(createRequest({}, { body: 'other' }), payment))
  expect(expectRefused(other).code).toBe('payment-request-mismatch')
  const again = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  expect((await again.release()).kind).toBe('released')
  expect(await again.complete('used')).toMatchObject({
    amountAtomic: 10_000n,
    settlementTransaction: transaction,
  })
  // Its signature is public by now: nobody gets the answer for it again.
  const used = await scheme.admit(withPayment(createRequest({}), payment))
  expect(expectRefused(used).code).toBe('payment-already-used')
  expect(onceEach(proxy.broadcasts)).toEqual([1])
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('a payment that its payer bound to a request buys no other, not even as the first', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const payment = await signBoundPayment(scheme, payer, createRequest({}))
  const stolen = await scheme.admit(withPayment(createRequest({}, { body: 'other' }), payment))
  expect(expectRefused(stolen).code).toBe('payment-request-mismatch')
  const otherHash = { version: 1, requestHash: '00'.repeat(32), salt: '00'.repeat(32) }
  const forged = { ...payment, extensions: { 'countersign-request': { info: otherHash } } }
  const refusal = expectRefused(await scheme.admit(withPayment(createRequest({}), forged)))
  expect(refusal.code).toBe('payment-request-mismatch')
  const admitted = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  expect((await admitted.release()).kind).toBe('released')
  await admitted.complete('used')
  // What an observer reads on chain has no salt.
  const published = { ...payment, extensions: {} }
  const observed = await scheme.admit(withPayment(createRequest({}), published))
  expect(expectRefused(observed).code).toBe('payment-request-mismatch')
  expect((await scheme.admit(withPayment(createRequest({}), payment))).kind).toBe('replay')
  expect(onceEach(proxy.broadcasts)).toEqual([1])
})

test('of many payments at once only those start that the balance affords', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const requests = Array.from({ length: 10 }, (_, index) =>
    createRequest({}, { body: `call ${index}`, priceAtomic: 30_000n }),
  )
  const admissions = await Promise.all(
    requests.map(async (request) =>
      scheme.admit(withPayment(request, await signStockPayment(scheme, payer, request))),
    ),
  )
  const admitted = admissions.filter(({ kind }) => kind === 'admitted').map(expectAdmitted)
  expect(admitted).toHaveLength(3)
  const codes = admissions.flatMap((each) => (each.kind === 'refused' ? [each.refusal.code] : []))
  expect(codes).toEqual(Array.from({ length: 7 }, () => 'payment-settlement-failed'))
  for (const payment of admitted) {
    expect((await payment.release()).kind).toBe('released')
    await payment.complete('used')
  }
  expect(onceEach(proxy.broadcasts)).toEqual([1, 1, 1])
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 90_000n)
})

test('a payment identifier names one call of one payer', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const identified = async (body: string): Promise<ReturnType<typeof createRequest>> => {
    const request = createRequest({}, { body })
    const payment = await signStockPayment(scheme, payer, request)
    const info = { required: false, id: 'identifier-000001' }
    const extensions = { ...payment.extensions, 'payment-identifier': { info } }
    return withPayment(request, { ...payment, extensions })
  }
  const request = await identified('one')
  const admitted = expectAdmitted(await scheme.admit(request))
  const meanwhile = await scheme.admit(await identified('one'))
  expect(expectRefused(meanwhile).code).toBe('idempotency-key-in-progress')
  await admitted.release()
  await admitted.complete('used')
  const again = await scheme.admit(await identified('one'))
  expect(again).toMatchObject({ kind: 'replay', receiptId: toHex(request.receiptId) })
  const other = expectRefused(await scheme.admit(await identified('two')))
  expect(other.code).toBe('idempotency-key-reused')
  expect(onceEach(proxy.broadcasts)).toEqual([1])
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('an Idempotency-Key takes the credit of the call it named, without the new payment', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const headers = { 'idempotency-key': 'call-1' }
  const sign = async (): Promise<ReturnType<typeof createRequest>> =>
    withPayment(
      createRequest(headers),
      await signStockPayment(scheme, payer, createRequest(headers)),
    )
  const first = expectAdmitted(await scheme.admit(await sign()))
  await first.complete('unused')
  const second = expectAdmitted(await scheme.admit(await sign()))
  expect((await second.release()).kind).toBe('released')
  expect(await second.complete('used')).toMatchObject({ amountAtomic: 10_000n })
  expect(onceEach(proxy.broadcasts)).toEqual([1])
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('a reserved payment of which nothing was taken buys at the price of today only', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const request = createRequest({})
  const payment = await signStockPayment(scheme, payer, request)
  proxy.rule = (method) =>
    method === 'eth_sendRawTransaction' ? { error: { code: -32000, message: 'no' } } : 'forward'
  const first = expectAdmitted(await scheme.admit(withPayment(request, payment)))
  expect((await first.release()).kind).toBe('refused')
  await first.complete('unused')
  proxy.rule = undefined
  const dearer = { ...request, priceAtomic: 20_000n }
  const refused = expectRefused(await scheme.admit(withPayment(dearer, payment)))
  expect(refused.code).toBe('payment-offer-mismatch')
  const again = expectAdmitted(await scheme.admit(withPayment(request, payment)))
  expect((await again.release()).kind).toBe('released')
  // Taken by now, and used: whoever asks at another price hears the same.
  await again.complete('used')
  expect(expectRefused(await scheme.admit(withPayment(dearer, payment))).code).toBe(
    'payment-already-used',
  )
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('a price of nothing is still one call for each payment', async () => {
  const { scheme } = await startExact(chain)
  const request = createRequest({}, { priceAtomic: 0n })
  const payment = await signStockPayment(scheme, chain.nextPayer(), request)
  const admitted = expectAdmitted(await scheme.admit(withPayment(request, payment)))
  await admitted.release()
  expect(await admitted.complete('used')).toMatchObject({ amountAtomic: 0n })
  const other = createRequest({}, { priceAtomic: 0n, body: 'other' })
  const refusal = expectRefused(await scheme.admit(withPayment(other, payment)))
  expect(refusal.code).toBe('payment-request-mismatch')
})

test('an answer may leave before its settlement up to the value at risk', async () => {
  const settle = { kind: 'after', maxAtRiskAtomic: 15_000n } as const
  const { scheme, proxy } = await startExact(chain, { settle })
  const payer = chain.nextPayer()
  let open: (() => void) | undefined
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  proxy.rule = async (method): Promise<Verdict> => {
    if (method === 'eth_sendRawTransaction') await gate
    return 'forward'
  }
  const requests = ['one', 'two'].map((body) => createRequest({}, { body }))
  const admitted = []
  for (const request of requests) {
    const payment = await signStockPayment(scheme, payer, request)
    admitted.push(expectAdmitted(await scheme.admit(withPayment(request, payment))))
  }
  const [first, second] = admitted
  expect(await first?.release()).toEqual({ kind: 'released', headers: {} })
  let secondReleased = false
  const later = second?.release().then((release) => {
    secondReleased = true
    return release
  })
  expect(proxy.broadcasts.size).toBe(0)
  expect(secondReleased).toBe(false)
  open?.()
  expect(await later).toMatchObject({ kind: 'released' })
  for (const payment of admitted) {
    const charge = await payment.complete('used')
    expect('settlementTransaction' in charge && charge.settlementTransaction).toHaveLength(32)
  }
  expect(onceEach(proxy.broadcasts)).toEqual([1, 1])
})

test('a second process cannot sell from the same ledger', async () => {
  const { options } = await startExact(chain)
  expect(() => createExactPayment(options)).toThrow(DatabaseFault)
})

test('asks for the limits of a payer only behind its signature, and records nothing when they are reached', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const asked: string[] = []
  const enter = (_: Uint8Array, name: string) => {
    asked.push(name)
    const headers = { 'retry-after': '7' }
    return { code: 'rate-limited', detail: '', headers } as const
  }
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  const limited = createRequest({}, { limits: { enter } })
  const forged = structuredClone(payment)
  Object.assign(forged.payload, { signature: `0x${'11'.repeat(64)}1b` })
  expect(expectRefused(await scheme.admit(withPayment(limited, forged))).code).toBe(
    'payment-invalid',
  )
  expect(asked).toEqual([])
  expect(expectRefused(await scheme.admit(withPayment(limited, payment)))).toEqual({
    code: 'rate-limited',
    detail: '',
    headers: { 'retry-after': '7' },
  })
  expect(asked).toEqual([`address:${payer.address.toLowerCase()}`])
  expect(proxy.broadcasts.size).toBe(0)
  // The payment is as good as before.
  const admitted = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  expect((await admitted.release()).kind).toBe('released')
  await admitted.complete('used')
})
