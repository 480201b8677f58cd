import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { loadFacilitatorConfig } from '../src/facilitator/facilitator-config.ts'
import {
  ask,
  askExact,
  askUpto,
  readSender,
  reasonOf,
  requirementsOf,
  shopAddress,
  type AskBody,
} from './facilitator/ask.ts'
import {
  clientKey,
  clientKeySha256,
  createFacilitatorSetup,
} from './facilitator/facilitator-process.ts'
import { balanceOf, createApprovedPayer } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { createChannelPayer, lower } from './payment/channel-payer.ts'
import { nextPayerKey } from './payment/channel-fixture.ts'
import { createDirectory } from './payment/requests.ts'
import { startRpcProxy } from './payment/rpc-proxy.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

/** A proxy that counts every question to the chain. */
async function startCounting(): Promise<{
  readonly url: string
  readonly questions: () => number
}> {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  let questions = 0
  proxy.rule = () => {
    questions++
    return 'forward'
  }
  return { url: proxy.url, questions: () => questions }
}

/** The body with other members of its payload, or of its requirements. */
function change(
  body: AskBody,
  payload: Readonly<Record<string, unknown>>,
  requirements: Readonly<Record<string, unknown>> = {},
): unknown {
  const { paymentPayload, paymentRequirements } = body
  const both = { ...paymentRequirements, ...requirements }
  const accepted = { ...paymentPayload.accepted, ...requirements }
  return {
    ...body,
    paymentPayload: {
      ...paymentPayload,
      accepted,
      payload: { ...paymentPayload.payload, ...payload },
    },
    paymentRequirements: both,
  }
}

type Bad = readonly [unknown, number, string]

/** Bodies that are refused before the chain is asked: status and reason. */
function listBad(good: AskBody): readonly Bad[] {
  return [...listMalformed(good), ...listMismatched(good)]
}

function listMalformed(good: AskBody): readonly Bad[] {
  return [
    ['', 400, 'invalid_payload'],
    ['{', 400, 'invalid_payload'],
    ['[]', 400, 'invalid_payload'],
    ['null', 400, 'invalid_payload'],
    ['[['.repeat(60_000), 400, 'invalid_payload'],
    [
      `{"x402Version":2,"paymentRequirements":${'['.repeat(5000)}${']'.repeat(5000)}}`,
      400,
      'invalid_payload',
    ],
    ['x'.repeat(131_073), 400, 'invalid_payload'],
    [{ ...good, x402Version: 1 }, 400, 'invalid_x402_version'],
    [{ ...good, paymentPayload: undefined }, 400, 'invalid_payload'],
    [
      { ...good, paymentRequirements: { ...good.paymentRequirements, amount: '01' } },
      400,
      'invalid_payment_requirements',
    ],
    [
      { ...good, paymentRequirements: { ...good.paymentRequirements, amount: 1 } },
      400,
      'invalid_payment_requirements',
    ],
    [
      { ...good, paymentRequirements: { ...good.paymentRequirements, payTo: '0x1' } },
      400,
      'invalid_payment_requirements',
    ],
  ]
}

function listMismatched(good: AskBody): readonly Bad[] {
  return [
    [change(good, {}, { scheme: 'permit' }), 200, 'unsupported_scheme'],
    [change(good, {}, { network: 'eip155:1' }), 200, 'invalid_network'],
    [change(good, {}, { asset: shopAddress }), 200, 'countersign_asset_not_served'],
    [change(good, {}, { amount: '0' }), 200, 'countersign_amount_too_small'],
    [
      change(good, {}, { extra: { name: 'USDC', version: '1' } }),
      200,
      'invalid_exact_evm_token_version_mismatch',
    ],
    [change(good, {}, { extra: {} }), 200, 'invalid_exact_evm_token_name_mismatch'],
    [
      change(good, {}, { extra: { name: 'USDC', version: '2', assetTransferMethod: 'permit2' } }),
      200,
      'unsupported_asset_transfer_method',
    ],
    [
      change(good, {}, { payTo: baseSepoliaX402.permit2 }),
      200,
      'invalid_exact_evm_recipient_mismatch',
    ],
    [
      change(good, {}, { amount: '999' }),
      200,
      'invalid_exact_evm_payload_authorization_value_mismatch',
    ],
    [change(good, { more: 1 }), 200, 'invalid_payload'],
    [change(good, { signature: '0x' }), 200, 'invalid_payload'],
    // ERC-6492: a factory that would be called.
    [
      change(good, { signature: `0x${'00'.repeat(200)}${'6492'.repeat(16)}` }),
      200,
      'invalid_payload',
    ],
    [change(good, { signature: `0x${'11'.repeat(64)}1b` }), 200, 'invalid_exact_evm_signature'],
    [
      { ...good, paymentRequirements: { ...good.paymentRequirements, amount: '1' } },
      200,
      'invalid_payment_requirements',
    ],
  ]
}

test('what is no request is refused before the chain is asked, and leaves nothing', async () => {
  const counting = await startCounting()
  const url = await createFacilitatorSetup(chain, { rpcUrl: counting.url }).serve()
  const good = await askExact(chain.nextPayer())
  const before = counting.questions()
  for (const [body, status, reason] of listBad(good)) {
    for (const operation of ['verify', 'settle'] as const) {
      const answer = await ask(url, operation, body)
      expect([answer.status, reasonOf(answer)], JSON.stringify(body).slice(0, 300)).toEqual([
        status,
        reason,
      ])
      const { isValid, success, transaction } = answer.body
      expect([isValid ?? success, transaction ?? '']).toEqual([false, ''])
    }
  }
  expect(counting.questions()).toBe(before)
  // Extensions of others may hold anything, at any depth.
  const deep = { bazaar: { info: { a: { b: { c: { d: { e: [1.5, { f: 1 }] } } } } } } }
  const odd = { ...good, paymentPayload: { ...good.paymentPayload, extensions: deep } }
  expect((await ask(url, 'verify', odd)).body).toMatchObject({ isValid: true })
})

test('times, funds and allowance are judged with the reasons of x402', async () => {
  const url = await createFacilitatorSetup(chain).serve()
  const facilitator = await readSender(url)
  const account = chain.nextPayer()
  const late = await askExact(account, '1000', { validBefore: '1000' })
  expect(reasonOf(await ask(url, 'settle', late))).toBe(
    'invalid_exact_evm_payload_authorization_valid_before',
  )
  const early = await askExact(account, '1000', { validAfter: '9000000000' })
  expect(reasonOf(await ask(url, 'verify', early))).toBe(
    'invalid_exact_evm_payload_authorization_valid_after',
  )
  const dear = await askExact(account, '100001')
  expect(reasonOf(await ask(url, 'settle', dear))).toBe('invalid_exact_evm_insufficient_balance')
  const unapproved = askUpto(nextPayerKey(chain), facilitator)
  expect(reasonOf(await ask(url, 'settle', unapproved))).toBe('permit2_allowance_required')
  const key = await createApprovedPayer(chain)
  expect(reasonOf(await ask(url, 'verify', askUpto(key, facilitator, '100001')))).toBe(
    'permit2_insufficient_balance',
  )
  expect(reasonOf(await ask(url, 'settle', askUpto(key, shopAddress)))).toBe(
    'upto_facilitator_mismatch',
  )
  expect(reasonOf(await ask(url, 'settle', askUpto(key, facilitator, '1000', '1001')))).toBe(
    'invalid_upto_evm_payload_settlement_exceeds_amount',
  )
  expect(reasonOf(await ask(url, 'verify', askUpto(key, facilitator)))).toBe('good')
  expect(await balanceOf(chain, privateKeyToAddress(key))).toBe(100_000n)
})

test('verifying leaves no state, however often', async () => {
  const setup = createFacilitatorSetup(chain)
  const url = await setup.serve()
  const body = await askExact(chain.nextPayer())
  for (let round = 0; round < 3; round++) {
    expect((await ask(url, 'verify', body)).body).toMatchObject({ isValid: true })
  }
  expect(await (await fetch(`${url}/metrics`)).text()).toContain(
    'countersign_facilitator_gas_today{network="eip155:84532"} 0',
  )
  expect((await ask(url, 'settle', body)).body).toMatchObject({ success: true })
})

test('only payees of the configuration are paid, also by claims', async () => {
  const payees = [shopAddress]
  const url = await createFacilitatorSetup(chain, { payees }).serve({
    clients: [{ name: 'other', keySha256: clientKeySha256, payees: [baseSepoliaX402.multicall3] }],
  })
  const body = await askExact(chain.nextPayer())
  const own = { authorization: `Bearer ${clientKey}` }
  expect(reasonOf(await ask(url, 'settle', body, own))).toBe('countersign_payee_not_allowed')
  expect(reasonOf(await ask(url, 'verify', body))).toBe('good')
  const payTo = baseSepoliaX402.permit2
  const payload = { type: 'settle', receiver: payTo, token: lower(body.paymentRequirements.asset) }
  const accepted = requirementsOf('batch-settlement', '0', { payTo, maxTimeoutSeconds: 0 })
  const settle = {
    x402Version: 2,
    paymentPayload: { x402Version: 2, accepted, payload },
    paymentRequirements: accepted,
  }
  expect(reasonOf(await ask(url, 'settle', settle))).toBe('countersign_payee_not_allowed')
  const shop = requirementsOf('batch-settlement', '0', { maxTimeoutSeconds: 0 })
  const disguised = {
    ...settle,
    paymentPayload: { ...settle.paymentPayload, accepted: shop },
    paymentRequirements: shop,
  }
  expect(reasonOf(await ask(url, 'settle', disguised))).toBe(
    'invalid_batch_settlement_evm_receiver_mismatch',
  )
})

test('nobody but the authorizer of a channel has it claimed or refunded', async () => {
  const url = await createFacilitatorSetup(chain).serve()
  const key = nextPayerKey(chain)
  const accepted = requirementsOf('batch-settlement', '100', {
    extra: {
      name: 'USDC',
      version: '2',
      receiverAuthorizer: privateKeyToAddress(chain.nextSettlementKey()),
      withdrawDelay: 900,
    },
  })
  const payer = createChannelPayer(key, {
    network: 'eip155:84532',
    chainId: 84_532n,
    asset: accepted.asset,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: accepted.payTo,
    maxTimeoutSeconds: 600,
    receiverAuthorizer: String(accepted.extra['receiverAuthorizer']),
    withdrawDelaySeconds: 900,
    minDepositAtomic: 0n,
    maxRunningCalls: 1,
    erc3009Collector: baseSepoliaX402.erc3009DepositCollector,
    permit2Collector: baseSepoliaX402.permit2DepositCollector,
  })
  const send = (operation: 'verify' | 'settle', payload: Record<string, unknown>) =>
    ask(url, operation, {
      x402Version: 2,
      paymentPayload: { x402Version: 2, accepted, payload },
      paymentRequirements: accepted,
    })
  expect(reasonOf(await send('verify', payer.payloadOf('voucher', 100n)))).toBe(
    'invalid_batch_settlement_evm_channel_not_found',
  )
  const deposit = payer.depositOf(100n, 5000n)
  const [one, two] = await Promise.all([send('settle', deposit), send('settle', deposit)])
  expect([one, two].map(reasonOf).toSorted()).toEqual(['duplicate_settlement', 'good'])
  expect(reasonOf(await send('verify', deposit))).toBe(
    'invalid_batch_settlement_evm_deposit_transaction_failed',
  )
  expect((await send('verify', payer.payloadOf('voucher', 100n))).body).toMatchObject({
    isValid: true,
    extra: { channelId: payer.channelId, balance: '5000', totalClaimed: '0' },
  })
  expect(reasonOf(await send('verify', payer.payloadOf('voucher', 5001n)))).toBe(
    'invalid_batch_settlement_evm_cumulative_exceeds_balance',
  )
  // A voucher settles nothing by itself, and the payer gets nothing back without its server.
  expect(reasonOf(await send('settle', payer.payloadOf('voucher', 100n)))).toBe(
    'invalid_batch_settlement_evm_payload_type',
  )
  const refund = { ...payer.payloadOf('refund', 0n), amount: '5000', refundNonce: '0', claims: [] }
  expect(reasonOf(await send('settle', refund))).toBe(
    'invalid_batch_settlement_evm_authorizer_not_configured',
  )
  const forged = { ...refund, refundAuthorizerSignature: `0x${'11'.repeat(64)}1b` }
  expect(reasonOf(await send('settle', forged))).toBe(
    'invalid_batch_settlement_evm_refund_simulation_failed',
  )
  const { channelConfig, voucher } = payer.payloadOf('voucher', 100n)
  const { maxClaimableAmount, signature } = Object(voucher)
  const rows = [
    { voucher: { channel: channelConfig, maxClaimableAmount }, signature, totalClaimed: '100' },
  ]
  expect(reasonOf(await send('settle', { type: 'claim', claims: rows }))).toBe(
    'invalid_batch_settlement_evm_authorizer_not_configured',
  )
  const claimAuthorizerSignature = forged.refundAuthorizerSignature
  expect(
    reasonOf(await send('settle', { type: 'claim', claims: rows, claimAuthorizerSignature })),
  ).toBe('invalid_batch_settlement_evm_claim_simulation_failed')
})

test('other paths and methods are told so', async () => {
  const url = await createFacilitatorSetup(chain).serve()
  expect((await fetch(`${url}/verify`)).status).toBe(405)
  expect((await fetch(`${url}/supported`, { method: 'POST' })).status).toBe(405)
  expect((await fetch(`${url}/elsewhere`)).status).toBe(404)
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
})

test('a configuration that serves nobody, or names something twice, is refused', () => {
  const folder = createDirectory()
  const file = join(folder, 'facilitator.json')
  const asset = { address: shopAddress, name: 'USDC', version: '2' }
  const network = { network: 'eip155:84532', rpcUrl: 'http://x', assets: [asset], payees: 'any' }
  const good = { listen: { port: 0 }, dataDir: 'd', networks: [network], anonymous: true }
  const load = (config: unknown) => {
    writeFileSync(file, JSON.stringify(config))
    return loadFacilitatorConfig(file)
  }
  expect(load(good).dataDir).toBe(join(folder, 'd'))
  expect(() => load({ ...good, anonymous: false })).toThrow('nobody may use')
  expect(() => load({ ...good, networks: [network, network] })).toThrow('twice')
  expect(() => load({ ...good, networks: [{ ...network, payees: [] }] })).toThrow('payees')
  expect(() => load({ ...good, more: 1 })).toThrow('more')
})

test('its data folder is its own', async () => {
  const setup = createFacilitatorSetup(chain)
  await setup.serve()
  await expect(setup.serve()).rejects.toThrow('another process')
})
