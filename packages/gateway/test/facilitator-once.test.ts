import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ask, askExact, askUpto, readSender, reasonOf, shopAddress } from './facilitator/ask.ts'
import {
  clientKey,
  clientKeySha256,
  createFacilitatorSetup,
} from './facilitator/facilitator-process.ts'
import { balanceOf, createApprovedPayer, walletOf } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import {
  authorizationNonceOf,
  startRpcProxy,
  type RpcProxy,
  type Verdict,
} from './payment/rpc-proxy.ts'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { privateKeyToAccount } from 'viem/accounts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

async function startProxy(): Promise<RpcProxy> {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  return proxy
}

/** Every transaction that was sent to the chain, each once. */
function sentOf(proxy: RpcProxy): number {
  return [...proxy.broadcasts.values()].reduce((sum, raws) => sum + new Set(raws).size, 0)
}

test('of twenty askers at once one is told that it was paid', async () => {
  const proxy = await startProxy()
  const url = await createFacilitatorSetup(chain, { rpcUrl: proxy.url }).serve()
  const body = await askExact(chain.nextPayer())
  const before = await balanceOf(chain, shopAddress)
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(url, 'settle', body)))
  expect(answers.filter((answer) => answer.body['success'] === true)).toHaveLength(1)
  expect(new Set(answers.map(reasonOf))).toEqual(new Set(['good', 'duplicate_settlement']))
  const paid = answers.find((answer) => answer.body['success'] === true)
  const again = await ask(url, 'settle', body)
  expect(again.body).toMatchObject({
    success: false,
    errorReason: 'invalid_exact_evm_nonce_already_used',
    transaction: paid?.body['transaction'],
    network: 'eip155:84532',
  })
  expect(reasonOf(await ask(url, 'verify', body))).toBe('invalid_exact_evm_nonce_already_used')
  expect(await balanceOf(chain, shopAddress)).toBe(before + 1000n)
  expect(sentOf(proxy)).toBe(1)
})

test('who names its request is given the same answer again, and nobody else is', async () => {
  const url = await createFacilitatorSetup(chain).serve({
    clients: [{ name: 'shop', keySha256: clientKeySha256 }],
  })
  const body = await askExact(chain.nextPayer())
  const name = { 'idempotency-key': 'order-1' }
  const own = { authorization: `Bearer ${clientKey}`, ...name }
  const first = await ask(url, 'settle', body, own)
  expect(first.body).toMatchObject({ success: true })
  expect((await ask(url, 'settle', body, own)).body).toEqual(first.body)
  const used = 'invalid_exact_evm_nonce_already_used'
  expect(reasonOf(await ask(url, 'settle', body, name))).toBe(used)
  const other = { ...own, 'idempotency-key': 'order-2' }
  expect(reasonOf(await ask(url, 'settle', body, other))).toBe(used)
})

test('kill -9 between signature and broadcast: the same bytes are sent once, and one answer is given', async () => {
  const proxy = await startProxy()
  const setup = createFacilitatorSetup(chain, { rpcUrl: proxy.url })
  const first = await setup.start()
  const body = await askExact(chain.nextPayer())
  const raws: unknown[] = []
  const held = Promise.withResolvers<undefined>()
  proxy.rule = (method, params) => {
    if (method !== 'eth_sendRawTransaction') return 'forward'
    raws.push(params[0])
    held.resolve(undefined)
    return 'drop'
  }
  const lost = ask(first.url, 'settle', body).catch(() => 'lost')
  await held.promise
  await first.kill()
  expect(await lost).toBe('lost')
  proxy.rule = (method, params) => {
    if (method === 'eth_sendRawTransaction') raws.push(params[0])
    return 'forward'
  }
  const second = await setup.serve()
  const answer = await ask(second, 'settle', body)
  expect(answer.body).toMatchObject({ success: true })
  expect(new Set(raws).size).toBe(1)
  expect(authorizationNonceOf(raws[0])).toBe(
    Object(body.paymentPayload.payload['authorization']).nonce,
  )
  expect(reasonOf(await ask(second, 'settle', body))).toBe('invalid_exact_evm_nonce_already_used')
})

test('kill -9 between broadcast and answer: upto is settled once, and its server told at last', async () => {
  const proxy = await startProxy()
  const setup = createFacilitatorSetup(chain, { rpcUrl: proxy.url })
  const first = await setup.start()
  const key = await createApprovedPayer(chain)
  const payer = privateKeyToAccount(key).address
  const body = askUpto(key, await readSender(first.url), '1000', '700')
  const broadcast = Promise.withResolvers<undefined>()
  let sent = 0
  proxy.rule = (method) => {
    if (method !== 'eth_sendRawTransaction') return 'forward'
    sent++
    broadcast.resolve(undefined)
    return 'forward-then-drop'
  }
  const lost = ask(first.url, 'settle', body).catch(() => 'lost')
  await broadcast.promise
  await first.kill()
  expect(await lost).toBe('lost')
  expect(sent).toBe(1)
  const second = await setup.serve()
  expect((await ask(second, 'settle', body)).body).toMatchObject({
    success: true,
    amount: '700',
    payer,
  })
  const more = { ...body, paymentRequirements: { ...body.paymentRequirements, amount: '1000' } }
  expect(reasonOf(await ask(second, 'settle', more))).toBe('permit2_invalid_nonce')
  expect(await balanceOf(chain, payer)).toBe(100_000n - 700n)
})

test('another key does not take over what one has under way', async () => {
  const proxy = await startProxy()
  const setup = createFacilitatorSetup(chain, { rpcUrl: proxy.url })
  const first = await setup.start()
  const held = Promise.withResolvers<undefined>()
  proxy.rule = (method) => {
    if (method !== 'eth_sendRawTransaction') return 'forward'
    held.resolve(undefined)
    return 'drop'
  }
  const body = await askExact(chain.nextPayer())
  const lost = ask(first.url, 'settle', body).catch(() => 'lost')
  await held.promise
  await first.kill()
  await lost
  proxy.rule = undefined
  const other = chain.nextSettlementKey()
  await expect(setup.serve({}, { key: other })).rejects.toThrow('another key')
  const second = await setup.serve()
  expect((await ask(second, 'settle', body)).body).toMatchObject({ success: true })
  await setup.stopServing()
  const url = await setup.serve({}, { key: other })
  expect(reasonOf(await ask(url, 'settle', body))).toBe('invalid_exact_evm_nonce_already_used')
  const next = await askExact(chain.nextPayer())
  expect((await ask(url, 'settle', next)).body).toMatchObject({ success: true })
})

test('a stranger who sends the authorization first pays the shop all the same', async () => {
  const proxy = await startProxy()
  const url = await createFacilitatorSetup(chain, { rpcUrl: proxy.url }).serve()
  const body = await askExact(chain.nextPayer())
  const { authorization, signature } = body.paymentPayload.payload
  const { from, to, value, validAfter, validBefore, nonce } = Object(authorization)
  const stranger = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
  let front: string | undefined
  proxy.rule = async (method): Promise<Verdict> => {
    if (method !== 'eth_sendRawTransaction' || front !== undefined) return 'forward'
    front = await stranger.writeContract({
      address: baseSepoliaUsdc.address,
      abi: testUsdcAbi,
      functionName: 'transferWithAuthorization',
      args: [
        from,
        to,
        BigInt(value),
        BigInt(validAfter),
        BigInt(validBefore),
        nonce,
        `0x${String(signature).slice(2)}`,
      ],
    })
    await chain.mined(front)
    return 'forward'
  }
  const answer = await ask(url, 'settle', body)
  expect(answer.body).toMatchObject({ success: true, transaction: front })
})

test('a payer is not believed twice for one balance', async () => {
  const url = await createFacilitatorSetup(chain).serve()
  const account = chain.nextPayer()
  const bodies = await Promise.all([1, 2, 3].map(() => askExact(account, '40000')))
  const answers = await Promise.all(bodies.map((body) => ask(url, 'settle', body)))
  expect(answers.map(reasonOf).toSorted()).toEqual([
    'good',
    'good',
    'invalid_exact_evm_insufficient_balance',
  ])
})
