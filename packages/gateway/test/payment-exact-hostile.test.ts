import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PaymentPayload } from '@x402/core/types'
import type { PaymentScheme } from '../src/payment/admission.ts'
import { createQuote, createTerms } from '../src/payment/exact/offer.ts'
import { parsePresentedPayment } from '../src/payment/exact/presented-payment.ts'
import { PaymentRefused } from '../src/payment/exact/refused.ts'
import { payerBalanceAtomic, startTestChain, type TestChain } from './payment/chain-process.ts'
import { balanceOf, createExactOptions, startExact } from './payment/exact-scheme.ts'
import {
  encodePayment,
  readQuote,
  signAuthorization,
  signBoundPayment,
  signStockPayment,
  withPayment,
} from './payment/payer.ts'
import { sendAsObserver } from './payment/observer.ts'
import { createRequest, expectAdmitted, expectRefused } from './payment/requests.ts'
import type { Verdict } from './payment/rpc-proxy.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

async function codeOf(scheme: PaymentScheme, payment: unknown): Promise<string> {
  return expectRefused(await scheme.admit(withPayment(createRequest({}), payment))).code
}

/** Each alteration of a valid payment, refused with this code; afterwards the payment itself is admitted. */
async function refuseAlterations(
  code: string,
  alter: (payment: PaymentPayload) => Record<string, unknown>,
): Promise<void> {
  const { scheme, proxy } = await startExact(chain)
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  const alterations = Object.entries(alter(payment))
  expect(alterations.length).toBeGreaterThan(0)
  for (const [name, altered] of alterations)
    expect([name, await codeOf(scheme, altered)]).toEqual([name, code])
  expect(proxy.broadcasts.size).toBe(0)
  expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
}

function accepted(payment: PaymentPayload, members: object): object {
  return { ...payment, accepted: { ...payment.accepted, ...members } }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

test('refuses payments that were made for another offer', async () => {
  expect.hasAssertions()
  await refuseAlterations('payment-offer-mismatch', (payment) => ({
    amount: accepted(payment, { amount: '9999' }),
    leadingZero: accepted(payment, { amount: '010000' }),
    payTo: accepted(payment, { payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906' }),
    asset: accepted(payment, { asset: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913' }),
    network: accepted(payment, { network: 'eip155:8453' }),
    scheme: accepted(payment, { scheme: 'upto' }),
    timeout: accepted(payment, { maxTimeoutSeconds: 3600 }),
    name: accepted(payment, { extra: { name: 'USD Coin', version: '2' } }),
    noExtra: accepted(payment, { extra: null }),
    permit2: accepted(payment, {
      extra: { ...payment.accepted.extra, assetTransferMethod: 'permit2' },
    }),
    resource: { ...payment, resource: { url: 'http://other.test/v1/chat/completions' } },
    echo: { ...payment, extensions: { 'countersign-request': { info: { version: 2 } } } },
    identifierEcho: {
      ...payment,
      extensions: { 'payment-identifier': { info: { required: true } } },
    },
  }))
})

test('refuses authorizations of another amount or payee', async () => {
  const { scheme } = await startExact(chain)
  const payer = chain.nextPayer()
  const [offer] = (await readQuote(scheme, createRequest({}))).accepts
  if (offer === undefined) throw new Error('no offer')
  for (const overrides of [
    { value: '9999' },
    { value: '10001' },
    { value: '0' },
    { to: payer.address },
  ]) {
    const payload = await signAuthorization(payer, offer, overrides)
    expect(await codeOf(scheme, { x402Version: 2, accepted: offer, payload })).toBe(
      'payment-offer-mismatch',
    )
  }
})

test('refuses numbers that are not whole numbers in decimal form', async () => {
  expect.hasAssertions()
  await refuseAlterations('payment-malformed', (payment) => {
    const numbers = [
      '010000',
      '1e4',
      '0x2710',
      '-10000',
      '+10000',
      '10000.0',
      ' 10000',
      '',
      '1'.repeat(79),
    ]
    const altered = (value: unknown): object => ({
      ...payment,
      payload: {
        ...payment.payload,
        authorization: { ...Object(payment.payload['authorization']), value },
      },
    })
    return Object.fromEntries(
      [...numbers, 10_000, null].map((value) => [`${value}`, altered(value)]),
    )
  })
})

test('refuses payloads of another shape', async () => {
  expect.hasAssertions()
  await refuseAlterations('payment-malformed', (payment) => {
    const { authorization } = payment.payload
    const signature = String(payment.payload['signature'])
    return {
      version1: { ...payment, x402Version: 1 },
      versionText: { ...payment, x402Version: '2' },
      array: [payment],
      text: 'payment',
      noAccepted: { ...payment, accepted: undefined },
      noPayload: { ...payment, payload: null },
      noSignature: { ...payment, payload: { authorization } },
      shortSignature: {
        ...payment,
        payload: { authorization, signature: signature.slice(0, -2) },
      },
      longSignature: { ...payment, payload: { authorization, signature: `${signature}00` } },
      moreMembers: { ...payment, payload: { authorization, signature, permit2Authorization: {} } },
      deep: { ...payment, extensions: { a: { b: { c: { d: { e: { f: { g: {} } } } } } } } },
      float: { ...payment, extensions: { a: 1.5 } },
      shortIdentifier: {
        ...payment,
        extensions: { 'payment-identifier': { info: { required: false, id: 'short' } } },
      },
      halfBinding: {
        ...payment,
        extensions: { 'countersign-request': { info: { version: 1, salt: '00'.repeat(32) } } },
      },
    }
  })
})

test('refuses headers that are not strict base64 of strict JSON', async () => {
  const { scheme } = await startExact(chain)
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  const header = encodePayment(payment)
  const json = JSON.stringify(payment)
  const hostile = {
    empty: '',
    unpadded: base64('{}').replace('=', ''),
    urlSafe: Buffer.from('{"a":"ÿþ?>"}').toString('base64url'),
    twoHeaders: `${header}, ${header}`,
    space: `${header} `,
    newline: `${header}\n`,
    long: base64(json + ' '.repeat(8192)),
    notJson: base64('hello'),
    truncated: base64(json.slice(0, -1)),
    trailing: base64(`${json}{}`),
    duplicate: base64(json.replace('{', '{"x402Version":2,')),
    prototype: base64(json.replace('{', '{"__proto__":{"x":1},')),
    notUtf8: Buffer.concat([Buffer.from(json.slice(0, -1)), Buffer.from([0xff, 0x7d])]).toString(
      'base64',
    ),
    null: base64('null'),
  }
  for (const [name, value] of Object.entries(hostile)) {
    const request = createRequest({ 'payment-signature': value })
    expect([name, expectRefused(await scheme.admit(request)).code]).toEqual([
      name,
      'payment-malformed',
    ])
  }
  const array = createRequest({ 'payment-signature': [header, header] })
  expect(expectRefused(await scheme.admit(array)).code).toBe('payment-malformed')
})

test('any header is read or refused, and nothing else is thrown', () => {
  const options = createExactOptions(chain, { databaseFile: 'none' })
  const quote = createQuote(createTerms(options), '/', 1n)
  let parsed = 0
  const read = (header: string): void => {
    try {
      parsePresentedPayment(header, quote)
    } catch (error) {
      expect(error).toBeInstanceOf(PaymentRefused)
    }
    parsed++
  }
  fc.assert(fc.property(fc.string(), read), { numRuns: 2000 })
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      read(Buffer.from(JSON.stringify(value)).toString('base64'))
      const payment = {
        x402Version: 2,
        accepted: quote.requirements,
        payload: value,
        extensions: value,
      }
      read(Buffer.from(JSON.stringify(payment)).toString('base64'))
    }),
    { numRuns: 3000 },
  )
  expect(parsed).toBe(8000)
})

test('refuses signatures that the token would refuse, and times outside the window', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const quote = await readQuote(scheme, createRequest({}))
  const [offer] = quote.accepts
  if (offer === undefined) throw new Error('no offer')
  const valid = await signAuthorization(payer, offer)
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
  const r = valid.signature.slice(0, 66)
  const s = BigInt(`0x${valid.signature.slice(66, 130)}`)
  const v = valid.signature.slice(130)
  const otherV = v === '1b' ? '1c' : '1b'
  const highS = `${r}${(order - s).toString(16).padStart(64, '0')}${otherV}`
  const seconds = Math.floor(Date.now() / 1000)
  const stranger = await signAuthorization(chain.nextPayer(), offer)
  const altered: Record<string, typeof valid> = {
    highS: { ...valid, signature: highS },
    smallV: { ...valid, signature: valid.signature.slice(0, 130) + (v === '1b' ? '00' : '01') },
    otherV: { ...valid, signature: valid.signature.slice(0, 130) + otherV },
    zero: { ...valid, signature: `0x${'00'.repeat(64)}1b` },
    stranger: { ...valid, signature: stranger.signature },
    otherNonce: {
      ...valid,
      authorization: { ...valid.authorization, nonce: `0x${'11'.repeat(32)}` },
    },
    expired: await signAuthorization(payer, offer, { validBefore: `${seconds - 1}` }),
    expiring: await signAuthorization(payer, offer, { validBefore: `${seconds + 3}` }),
    early: await signAuthorization(payer, offer, { validAfter: `${seconds + 60}` }),
    // 120 s are offered; clocks may differ by ten minutes.
    endless: await signAuthorization(payer, offer, { validBefore: `${seconds + 900}` }),
  }
  for (const [name, payload] of Object.entries(altered)) {
    const code = await codeOf(scheme, { x402Version: 2, accepted: offer, payload })
    expect([name, code]).toEqual([name, 'payment-invalid'])
  }
  expect(proxy.broadcasts.size).toBe(0)
  const payment = { x402Version: 2, accepted: offer, payload: valid }
  expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
})

test('the same payment at a gateway with another payee is refused', async () => {
  const { scheme } = await startExact(chain)
  const other = await startExact(chain, { payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906' })
  const payment = await signBoundPayment(scheme, chain.nextPayer(), createRequest({}))
  expect(await codeOf(other.scheme, payment)).toBe('payment-offer-mismatch')
})

test('an observer who sends the authorization first has paid us', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  let observed = ''
  proxy.rule = async (method): Promise<Verdict> => {
    if (method === 'eth_sendRawTransaction') observed = await sendAsObserver(chain, payment)
    return 'forward'
  }
  const admitted = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  expect((await admitted.release()).kind).toBe('released')
  const charge = await admitted.complete('used')
  expect(
    'settlementTransaction' in charge &&
      Buffer.from(charge.settlementTransaction ?? []).toString('hex'),
  ).toBe(observed.slice(2))
  expect([...proxy.broadcasts.values()].map(({ length }) => length)).toEqual([1])
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
  // The settlement key's nonces go on after its reverted transaction.
  proxy.rule = undefined
  const next = createRequest({}, { body: 'next' })
  const again = await scheme.admit(withPayment(next, await signStockPayment(scheme, payer, next)))
  expect((await expectAdmitted(again).release()).kind).toBe('released')
})

test('two authorizations with one nonce pay once: the other transfer is not taken for ours', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const [offer] = (await readQuote(scheme, createRequest({}))).accepts
  if (offer === undefined) throw new Error('no offer')
  const ours = await signAuthorization(payer, offer)
  const toSelf = await signAuthorization(payer, offer, {
    to: payer.address,
    nonce: ours.authorization['nonce'] ?? '',
  })
  proxy.rule = async (method): Promise<Verdict> => {
    if (method === 'eth_sendRawTransaction') {
      await sendAsObserver(chain, { payload: toSelf })
    }
    return 'forward'
  }
  const payment = { x402Version: 2, accepted: offer, payload: ours }
  const admitted = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  expect(await admitted.release()).toMatchObject({
    kind: 'refused',
    refusal: { code: 'payment-settlement-failed' },
  })
  const charge = await admitted.complete('unused')
  expect(charge).toMatchObject({ amountAtomic: 0n })
  expect(charge).not.toHaveProperty('settlementTransaction')
  expect(await codeOf(scheme, payment)).toBe('payment-settlement-failed')
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic)
})

test('a balance that moves away between admission and settlement releases nothing', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const request = createRequest({}, { priceAtomic: payerBalanceAtomic })
  const payment = await signStockPayment(scheme, payer, request)
  const [offer] = (await readQuote(scheme, request)).accepts
  if (offer === undefined) throw new Error('no offer')
  const away = {
    x402Version: 2,
    accepted: offer,
    payload: await signAuthorization(payer, offer, { value: '1' }),
  }
  proxy.rule = async (method): Promise<Verdict> => {
    if (method === 'eth_sendRawTransaction') await sendAsObserver(chain, away)
    return 'forward'
  }
  const admitted = expectAdmitted(await scheme.admit(withPayment(request, payment)))
  const release = await admitted.release()
  expect(release).toMatchObject({ kind: 'refused', refusal: { code: 'payment-settlement-failed' } })
  expect(release.kind === 'refused' && release.refusal.headers['payment-required']).toBeTruthy()
  expect(await admitted.complete('unused')).toMatchObject({ amountAtomic: 0n })
  expect([...proxy.broadcasts.values()].map(({ length }) => length)).toEqual([1])
})
