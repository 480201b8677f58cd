/** Transactions that blocks pass by (spec/payment.md PA9.9), in the pool of a real node. */
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { keccak256, parseTransaction, type Hex } from 'viem'
import { createChain } from '../src/payment/exact/chain.ts'
import type { SignedTransaction } from '../src/payment/exact/ledger.ts'
import { createTerms } from '../src/payment/exact/offer.ts'
import { createSender, createSettlementAccount, type Sender } from '../src/payment/exact/sender.ts'
import { etherKey, startBareAnvil, type BareAnvil } from './payment/bare-anvil.ts'
import { startRpcProxy, type RpcProxy } from './payment/rpc-proxy.ts'

const gwei = 10n ** 9n
const account = createSettlementAccount(etherKey)
const at: Hex = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const terms = createTerms({
  network: 'eip155:84532',
  asset: at,
  assetName: 'USDC',
  assetVersion: '2',
  payTo: at,
  maxTimeoutSeconds: 60,
  resourceBaseUrl: '',
})

let anvil: BareAnvil
beforeAll(async () => {
  anvil = await startBareAnvil()
})
afterAll(() => anvil.stop())
beforeEach(() => anvil.mine(2, gwei))

type Setup = {
  readonly proxy: RpcProxy
  readonly journal: SignedTransaction[]
  readonly sent: Hex[]
  /** As after a restart: fees are read anew. */
  createSender(afterBlocks?: bigint): Sender
}

function hasNonceOf(one: Hex, other: Hex): boolean {
  return parseTransaction(one).nonce === parseTransaction(other).nonce
}

async function setUp(keeps = true): Promise<Setup> {
  const proxy = await startRpcProxy(anvil.rpcUrl)
  onTestFinished(() => proxy.stop())
  const sent: Hex[] = []
  // What is in the pool stays there, as public nodes have it; anvil drops what does not pay today's base fee.
  proxy.rule = (method, params) => {
    if (method !== 'eth_sendRawTransaction') return 'forward'
    const raw: Hex = `0x${String(params[0]).slice(2)}`
    const isKnown = keeps && sent.includes(raw)
    const isOutbid = isKnown && sent.findLast((each) => hasNonceOf(each, raw)) !== raw
    if (!isOutbid) sent.push(raw)
    const message = isOutbid ? 'replacement transaction underpriced' : 'already known'
    return isKnown ? { error: { code: -32_000, message } } : 'forward'
  }
  const journal: SignedTransaction[] = []
  const ledger = {
    transactionsFrom: (nonce: number) =>
      journal.filter(({ transactionNonce }) => transactionNonce >= nonce),
    findTransaction: (wanted: Hex) => journal.find(({ hash }) => hash === wanted),
  }
  const { signal } = new AbortController()
  return {
    proxy,
    journal,
    sent,
    createSender: (afterBlocks = 3n) =>
      createSender({
        chain: createChain(terms, proxy.url, signal),
        chainId: 84_532,
        account,
        ledger,
        signal,
        replace: { afterMs: 0, afterBlocks },
      }),
  }
}

function send(sender: Sender, { journal }: Setup): Promise<Hex> {
  return sender.send({
    to: at,
    data: '0x1234',
    gas: 50_000n,
    journal: (signed) => {
      journal.push(signed)
    },
    forget: () => {
      throw new Error('the node refused it')
    },
  })
}

test('a transaction that blocks pass by is sent at a higher fee, and one of the two is mined', async () => {
  const setup = await setUp()
  const first = await send(setup.createSender(), setup)
  const sender = setup.createSender()
  // The base fee has risen far beyond what was offered.
  await anvil.mine(1, 100n * gwei)
  await sender.repair()
  expect(new Set(setup.sent).size).toBe(1)
  await anvil.mine(3, 100n * gwei)
  await sender.repair()
  const [original, dearer] = [...new Set(setup.sent)]
  if (original === undefined || dearer === undefined) throw new Error('nothing was replaced')
  const [old, next] = [parseTransaction(original), parseTransaction(dearer)]
  expect(next).toMatchObject({ nonce: old.nonce, to: old.to, data: old.data, gas: old.gas })
  expect(next.maxFeePerGas).toBeGreaterThan(100n * gwei)
  expect(next.maxFeePerGas).toBeLessThanOrEqual(500n * gwei)
  expect(next.maxPriorityFeePerGas).toBeLessThanOrEqual(50n * gwei)
  await anvil.mine(1, 100n * gwei)
  const receipt = await anvil.client.getTransactionReceipt({ hash: keccak256(dearer) })
  expect(receipt.status).toBe('success')
  expect(await sender.isReplaced(first)).toBe(true)
  // Nothing is sent any more.
  const before = setup.sent.length
  await sender.repair()
  expect(setup.sent.length).toBe(before)
})

test('what a node does not want back because of the fees of today is sent at those, not given up', async () => {
  const setup = await setUp(false)
  const first = await send(setup.createSender(), setup)
  await anvil.mine(1, 100n * gwei)
  const sender = setup.createSender()
  await sender.repair()
  const [original, dearer] = [...new Set(setup.sent)]
  if (original === undefined || dearer === undefined) throw new Error('nothing was replaced')
  expect(parseTransaction(dearer).data).toBe('0x1234')
  await anvil.mine(1, 100n * gwei)
  const receipt = await anvil.client.getTransactionReceipt({ hash: keccak256(dearer) })
  expect(receipt.status).toBe('success')
  expect(await sender.isReplaced(first)).toBe(true)
})

test('a process that knows only the first bytes takes the dearer ones in the pool for its own', async () => {
  const setup = await setUp()
  await send(setup.createSender(), setup)
  const sender = setup.createSender(0n)
  await anvil.mine(1, 200n * gwei)
  await sender.repair()
  const replaced = [...new Set(setup.sent)]
  expect(replaced).toHaveLength(2)
  // Killed here: the journal has the first one only.
  const heir = setup.createSender()
  await heir.repair()
  expect([...new Set(setup.sent)]).toEqual(replaced)
  const following = await send(heir, setup)
  await anvil.mine(1, 200n * gwei)
  await anvil.mine(1, gwei)
  const receipt = await anvil.client.getTransactionReceipt({ hash: following })
  expect(receipt.status).toBe('success')
})

test('never beyond the bounds, never more than ten times, and not on a chain that stands still', async () => {
  const setup = await setUp()
  await send(setup.createSender(), setup)
  const still = setup.createSender()
  for (let count = 0; count < 4; count++) await still.repair()
  expect(new Set(setup.sent).size).toBe(1)
  const eager = setup.createSender(0n)
  for (let count = 0; count < 40; count++) await eager.repair()
  const offered = [...new Set(setup.sent)].map((raw) => parseTransaction(raw))
  expect(offered.length).toBeGreaterThan(2)
  expect(offered.length).toBeLessThanOrEqual(11)
  for (const { maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } of offered) {
    expect(maxFeePerGas).toBeLessThanOrEqual(500n * gwei)
    expect(maxPriorityFeePerGas).toBeLessThanOrEqual(50n * gwei)
  }
  await anvil.mine(1, gwei)
  const nonce = setup.journal[0]?.transactionNonce ?? 0
  expect(await anvil.client.getTransactionCount({ address: account.address })).toBe(nonce + 1)
})
