import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { keccak256, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { DatabaseFault } from '../src/payment/database.ts'
import { createChain } from '../src/payment/exact/chain.ts'
import { openLedger, type Ledger, type PaymentRecord } from '../src/payment/exact/ledger.ts'
import { createTerms } from '../src/payment/exact/offer.ts'
import { createPayerTurns } from '../src/payment/exact/payer-turns.ts'
import { createSender, NotSent, type Sender } from '../src/payment/exact/sender.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { createExactOptions } from './payment/exact-scheme.ts'
import { createDirectory } from './payment/requests.ts'
import { startRpcProxy } from './payment/rpc-proxy.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

type Setup = {
  readonly account: ReturnType<typeof privateKeyToAccount>
  readonly ledger: Ledger
  readonly createSender: () => Sender
}

function setUp(rpcUrl = chain.rpcUrl): Setup {
  const options = createExactOptions(chain)
  const terms = createTerms(options)
  const account = privateKeyToAccount(`0x${options.settlementKey.slice(2)}`)
  const file = join(createDirectory(), 'exact.sqlite')
  const ledger = openLedger(file, {
    network: terms.network,
    asset: terms.asset,
    sender: account.address,
  })
  const { signal } = new AbortController()
  return {
    account,
    ledger,
    createSender: () =>
      createSender({
        chain: createChain(terms, rpcUrl, signal),
        chainId: terms.chainId,
        account,
        ledger,
        signal,
      }),
  }
}

function createRecord(name: string): PaymentRecord {
  return {
    authorization: {
      from: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
      to: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
      valueAtomic: 2n ** 200n,
      validAfterSeconds: 0n,
      validBeforeSeconds: 1n,
      nonce: keccak256(toHex(name)),
    },
    signature: '0x00',
    request: new Uint8Array(32),
    bound: false,
    receiptId: '00',
    use: 'open',
    settlement: 'none',
    transaction: undefined,
    reservedBlock: 7n,
  }
}

const keyOf = ({
  authorization: { from, nonce },
}: PaymentRecord): { payer: typeof from; nonce: typeof nonce } => ({
  payer: from,
  nonce,
})

/** What a node says of a receipt that it does not have. */
const unknown = { result: null } as const

function toRaw(raw: unknown): `0x${string}` {
  return `0x${String(raw).slice(2)}`
}

/** A transaction that moves nothing, journaled under a payment of its own. */
async function send({ ledger, account }: Setup, sender: Sender, name: string): Promise<string> {
  const record = createRecord(name)
  ledger.reserve(record, undefined, 0)
  return sender.send({
    to: account.address,
    data: '0x',
    gas: 30_000n,
    journal: (signed) => {
      ledger.recordBroadcast(keyOf(record), signed)
    },
    forget: ({ hash }) => {
      ledger.forgetBroadcast(keyOf(record), hash)
    },
  })
}

test('transactions sent at once get consecutive nonces and are all mined', async () => {
  const setup = setUp()
  const sender = setup.createSender()
  const names = Array.from({ length: 20 }, (_, index) => `parallel ${index}`)
  const hashes = await Promise.all(names.map((name) => send(setup, sender, name)))
  const receipts = await Promise.all(hashes.map((hash) => chain.mined(hash)))
  expect(receipts.map(({ status }) => status)).toEqual(names.map(() => 'success'))
  expect(await chain.client.getTransactionCount({ address: setup.account.address })).toBe(20)
})

test('a key that was used elsewhere costs one more try, not a payment', async () => {
  const setup = setUp()
  const sender = setup.createSender()
  await chain.mined(await send(setup, sender, 'ours'))
  const raw = await setup.account.signTransaction({
    type: 'eip1559',
    chainId: 84_532,
    nonce: 1,
    to: setup.account.address,
    gas: 30_000n,
    maxFeePerGas: 10n ** 10n,
    maxPriorityFeePerGas: 1n,
  })
  await chain.mined(await chain.client.sendRawTransaction({ serializedTransaction: raw }))
  const again = await send(setup, sender, 'ours again')
  expect((await chain.mined(again)).status).toBe('success')
  const nonces = setup.ledger.transactionsFrom(0).map((signed) => signed.transactionNonce)
  expect(nonces).toEqual([0, 2])
})

test('recovery sends what was signed, and fills a nonce that no transaction takes', async () => {
  const setup = setUp()
  const { account, ledger } = setup
  const raw = await account.signTransaction({
    type: 'eip1559',
    chainId: 84_532,
    nonce: 1,
    to: account.address,
    gas: 30_000n,
    maxFeePerGas: 10n ** 10n,
    maxPriorityFeePerGas: 1n,
  })
  const record = createRecord('after a gap')
  ledger.reserve(record, undefined, 0)
  ledger.recordBroadcast(keyOf(record), { hash: keccak256(raw), raw, transactionNonce: 1 })
  const sender = setup.createSender()
  await sender.repair()
  expect((await chain.mined(keccak256(raw))).status).toBe('success')
  expect(await chain.client.getTransactionCount({ address: account.address })).toBe(2)
  expect(await sender.isReplaced(keccak256(raw))).toBe(false)
  expect((await chain.mined(await send(setup, sender, 'next'))).status).toBe('success')
})

test('knows a transaction that can never be on chain, because another took its nonce', async () => {
  const setup = setUp()
  const { account, ledger } = setup
  const raw = await account.signTransaction({
    type: 'eip1559',
    chainId: 84_532,
    nonce: 0,
    to: account.address,
    gas: 30_000n,
    maxFeePerGas: 1n,
    maxPriorityFeePerGas: 0n,
  })
  const record = createRecord('too cheap')
  ledger.reserve(record, undefined, 0)
  ledger.recordBroadcast(keyOf(record), { hash: keccak256(raw), raw, transactionNonce: 0 })
  const sender = setup.createSender()
  await sender.repair()
  await chain.mined(await send(setup, sender, 'after the filler'))
  expect(await sender.isReplaced(keccak256(raw))).toBe(true)
})

test('a node that is behind the one that counted a transaction does not make it one that can never come', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const setup = setUp(proxy.url)
  const sender = setup.createSender()
  const { transactionHash } = await chain.mined(await send(setup, sender, 'mined'))
  let asked = 0
  proxy.rule = (method) =>
    method === 'eth_getTransactionReceipt' && asked++ < 2 ? unknown : 'forward'
  expect(await sender.isReplaced(transactionHash)).toBe(false)
  expect(asked).toBe(3)
})

test('what was mined before its answer was lost is not signed again, also when the node that is asked is behind', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const setup = setUp(proxy.url)
  const sent: unknown[] = []
  let asked = 0
  proxy.rule = async (method, params) => {
    if (method === 'eth_getTransactionReceipt') return asked++ < 2 ? unknown : 'forward'
    if (method !== 'eth_sendRawTransaction') return 'forward'
    const { length } = sent
    sent.push(params[0])
    if (length > 0) return { error: { code: -32_000, message: 'nonce too low' } }
    await chain.mined(
      await chain.client.sendRawTransaction({ serializedTransaction: toRaw(params[0]) }),
    )
    return 'drop'
  }
  const hash = await send(setup, setup.createSender(), 'answer lost')
  expect((await chain.mined(hash)).status).toBe('success')
  expect(new Set(sent).size).toBe(1)
  expect(asked).toBe(3)
})

test('a transaction that the node refuses leaves no trace in the journal', async () => {
  const setup = setUp()
  const poor = privateKeyToAccount(keccak256(toHex('without ether')))
  const { signal } = new AbortController()
  const terms = createTerms(createExactOptions(chain))
  const sender = createSender({
    chain: createChain(terms, chain.rpcUrl, signal),
    chainId: terms.chainId,
    account: poor,
    ledger: setup.ledger,
    signal,
  })
  await expect(send(setup, sender, 'refused')).rejects.toThrow(NotSent)
  expect(setup.ledger.transactionsFrom(0)).toEqual([])
  expect(setup.ledger.find(keyOf(createRecord('refused')))).toMatchObject({ settlement: 'none' })
})

test('the ledger keeps amounts exactly and takes a payment once', () => {
  const { ledger } = setUp()
  const record = createRecord('once')
  ledger.reserve(record, 'name', 1)
  expect(ledger.find(keyOf(record))).toEqual(record)
  expect(ledger.findIdentified(record.authorization.from, 'name')).toEqual(record)
  expect(() => {
    ledger.reserve(record, undefined, 2)
  }).toThrow(/UNIQUE/)
})

function refuses(change: () => void): void {
  expect(change).toThrow(DatabaseFault)
}

test('the ledger refuses changes from a state in which the payment is not', () => {
  const { ledger } = setUp()
  const record = createRecord('states')
  const key = keyOf(record)
  const hash = keccak256('0x')
  ledger.reserve(record, undefined, 1)
  refuses(() => {
    ledger.reopen(key, '01')
  })
  refuses(() => {
    ledger.forgetBroadcast(key, hash)
  })
  ledger.release(key, 2)
  refuses(() => {
    ledger.release(key, 3)
  })
  expect(ledger.unsettledReleasedAtomic(key.payer)).toBe(2n ** 200n)
  expect(ledger.unresolved()).toHaveLength(1)
  ledger.confirm(key, hash, 3)
  expect(ledger.unsettledReleasedAtomic(key.payer)).toBe(0n)
  expect(ledger.unresolved()).toEqual([])
  refuses(() => {
    ledger.fail(key, 4)
  })
  refuses(() => {
    ledger.recordBroadcast(key, { hash, raw: '0x', transactionNonce: 0 })
  })
  expect(ledger.transactionsFrom(0)).toEqual([])
})

test('a chain that is not heard because this process stood still is asked again', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const { signal } = new AbortController()
  const reads = createChain(createTerms(createExactOptions(chain)), proxy.url, signal)
  let asked = 0
  proxy.rule = () => {
    if (asked++ > 0) return 'forward'
    // Longer than a read may take in all.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5200)
    return 'drop'
  }
  expect(await reads.retry(() => reads.client.getChainId())).toBe(84_532)
  expect(asked).toBe(2)
})

test('turns of one payer are bounded, and those of others go on', async () => {
  const turns = createPayerTurns()
  const [one, other] = [
    privateKeyToAccount(keccak256('0x01')),
    privateKeyToAccount(keccak256('0x02')),
  ]
  let open: (() => void) | undefined
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const waiting = Array.from({ length: 1000 }, () => turns.run(one.address, () => gate))
  expect(await turns.run(one.address, () => Promise.resolve(1))).toBeUndefined()
  expect(await turns.run(other.address, () => Promise.resolve(2))).toBe(2)
  open?.()
  await Promise.all(waiting)
  expect(await turns.run(one.address, () => Promise.resolve(3))).toBe(3)
})
