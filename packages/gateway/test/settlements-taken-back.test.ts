import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import {
  createPublicClient,
  custom,
  encodeAbiParameters,
  keccak256,
  numberToHex,
  parseAbi,
  parseSignature,
  type Hex,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createChain } from '../src/payment/exact/chain.ts'
import { findObserved } from '../src/payment/exact/observed-payment.ts'
import { createTerms } from '../src/payment/exact/offer.ts'
import { createExactPayment } from '../src/payment/exact/exact-payment.ts'
import type { AdmissionRequest, PaymentScheme } from '../src/payment/admission.ts'
import {
  createSettlementWatch,
  type SettlementHandlers,
  type SettlementWatch,
} from '../src/payment/settlement-watch.ts'
import { walletOf } from './payment/approved-payer.ts'
import { startBareChain, type BareChain } from './payment/bare-chain.ts'
import { balanceOf, createExactOptions } from './payment/exact-scheme.ts'
import { signBoundPayment, withPayment } from './payment/payer.ts'
import { createRequest, expectAdmitted } from './payment/requests.ts'
import { startRpcProxy, type RpcProxy } from './payment/rpc-proxy.ts'

let chain: BareChain
beforeAll(async () => {
  chain = await startBareChain()
})
afterAll(() => chain.stop())

const price = 10_000n
const payee = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'

type Options = ReturnType<typeof createExactOptions>

/** A scheme that a test may close before its end. */
function openOnce(options: Options): PaymentScheme {
  const scheme = createExactPayment(options)
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= scheme.close())
  onTestFinished(close)
  return { ...scheme, close }
}

/** A scheme that asks the chain through a proxy, and one payment that it has settled. */
async function payOnce(
  options: Options,
): Promise<{ readonly scheme: PaymentScheme; readonly header: AdmissionRequest }> {
  const scheme = openOnce(options)
  const payment = await signBoundPayment(scheme, chain.nextPayer(), createRequest({}))
  const header = withPayment(createRequest({}), payment)
  const admitted = expectAdmitted(await scheme.admit(header))
  expect((await admitted.release()).kind).toBe('released')
  await admitted.complete('used')
  return { scheme, header }
}

/** Until then the scheme asks in vain: it sees what comes of this, and not the steps on the way. */
async function unseen(
  { proxy }: { readonly proxy: RpcProxy },
  change: () => Promise<void>,
): Promise<void> {
  proxy.rule = () => 'drop'
  await change()
  proxy.rule = undefined
}

async function createOptions(finalDepth: number): Promise<Options & { readonly proxy: RpcProxy }> {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const chainTerms = {
    source: { urls: [proxy.url], agree: 1, onDifference: () => undefined },
    finalDepth,
    fees: { maxFeePerGas: 10n ** 12n, maxTipPerGas: 10n ** 11n },
  }
  return { ...createExactOptions(chain, { chainTerms }), proxy }
}

const rawOf = ({ proxy }: { readonly proxy: RpcProxy }): readonly (readonly string[])[] => [
  ...proxy.broadcasts.values(),
]
const paid = async (): Promise<bigint> => balanceOf(chain, payee)

test('a settlement of exact that is taken back is sent again, the same bytes', async () => {
  const before = await paid()
  const options = await createOptions(20)
  const { scheme, header } = await payOnce(options)
  expect(await paid()).toBe(before + price)
  await chain.mine(2)
  await unseen(options, async () => {
    await chain.reorganise(3)
    expect(await paid()).toBe(before)
  })
  await expect.poll(paid).toBe(before + price)
  const [sent = []] = rawOf(options)
  expect(sent.length).toBeGreaterThan(1)
  expect(new Set(sent).size).toBe(1)
  // The payment bought one call, whatever became of its block.
  expect((await scheme.admit({ ...header, receiptId: randomBytes(16) })).kind).toBe('replay')
  // And again, as long as it is not final.
  await unseen(options, async () => {
    await chain.reorganise(1)
    expect(await paid()).toBe(before)
  })
  await expect.poll(paid).toBe(before + price)
})

test('what is taken back while no process runs is settled by the next one', async () => {
  const before = await paid()
  const options = await createOptions(20)
  const { scheme } = await payOnce(options)
  await scheme.close()
  await chain.reorganise(1)
  expect(await paid()).toBe(before)
  openOnce(options)
  await expect.poll(paid).toBe(before + price)
})

test('a payer whose money is gone on the other fork has failed to pay', async () => {
  const before = await paid()
  const options = await createOptions(20)
  const { scheme } = await payOnce(options)
  const payer = readState(options)('payer')
  await unseen(options, async () => {
    await chain.call('anvil_rollback', 1)
    await chain.call('anvil_setStorageAt', ...emptied(toHex(String(payer))))
    await chain.mine(2)
  })
  await expect.poll(() => readState(options)('settlement')).toBe('failed')
  expect(await paid()).toBe(before)
  await scheme.close()
})

test('what is no block ends no following', async () => {
  const options = await createOptions(3)
  await payOnce(options)
  let asked = 0
  options.proxy.rule = (method) => {
    if (method !== 'eth_getBlockByNumber') return 'forward'
    return { result: asked++ % 2 === 0 ? {} : { number: 'none' } }
  }
  await expect.poll(() => asked).toBeGreaterThan(2)
  options.proxy.rule = undefined
  await chain.mine(2)
  await expect.poll(() => countUnfinal(options)).toBe(0)
})

test('what is final is noted as such', async () => {
  const options = await createOptions(3)
  await payOnce(options)
  expect(readState(options)('settlement')).toBe('confirmed')
  expect(countUnfinal(options)).toBe(1)
  await chain.mine(2)
  await expect.poll(() => countUnfinal(options)).toBe(0)
})

/** The one payment of a ledger. */
function readState({ databaseFile }: Options): (column: string) => unknown {
  const database = new DatabaseSync(databaseFile, { readOnly: true })
  const row = database.prepare('SELECT * FROM payments').get()
  database.close()
  return (column) => row?.[column]
}

function countUnfinal({ databaseFile }: Options): number {
  const database = new DatabaseSync(databaseFile, { readOnly: true })
  const { length } = database.prepare('SELECT * FROM unfinal_settlements').all()
  database.close()
  return length
}

/** Where test USDC keeps this balance, and nothing to put there. */
function emptied(owner: Hex): readonly [string, Hex, Hex] {
  const place = encodeAbiParameters([{ type: 'address' }, { type: 'uint256' }], [owner, 0n])
  return [baseSepoliaUsdc.address, keccak256(place), `0x${'0'.repeat(64)}`]
}

function toHex(text: string): Hex {
  return `0x${text.slice(2)}`
}

/** Counts the questions, and says what each settlement is told. */
function watchFor(finalDepth: number): {
  readonly watch: SettlementWatch
  readonly asked: () => number
  readonly heard: string[]
  readonly step: (look: SettlementHandlers['look']) => Promise<void>
} {
  let asked = 0
  const transport = custom({
    request: ({
      method,
      params,
    }: {
      readonly method: string
      readonly params: readonly unknown[]
    }) => {
      asked++
      return chain.call(method, ...params)
    },
  })
  const client = createPublicClient({ transport, cacheTime: 0 })
  const watch = createSettlementWatch(client, finalDepth)
  const heard: string[] = []
  const told = {
    gone: (key: string) => void heard.push(`gone ${key}`),
    final: (key: string) => void heard.push(`final ${key}`),
  }
  return {
    watch,
    heard,
    asked: () => asked,
    step: (look) => watch.step({ ...told, look }),
  }
}

function never(): never {
  throw new Error('nothing is to be looked for')
}

test('the watch asks nothing while it follows nothing, and twice a step afterwards', async () => {
  const { watch, asked, heard, step } = watchFor(4)
  await step(never)
  expect(asked()).toBe(0)
  const blockNumber = await chain.client.getBlockNumber()
  watch.follow('a', undefined)
  await step(() => Promise.resolve({ kind: 'there', blockNumber }))
  for (let block = 1; block < 3; block++) {
    await chain.mine()
    const before = asked()
    await step(never)
    expect(asked()).toBe(before + 2)
  }
  expect(heard).toEqual([])
  await chain.mine()
  await step(never)
  expect(heard).toEqual(['final a'])
  const none = watchFor(1)
  none.watch.follow('a', undefined)
  expect(none.watch.isFollowed('a')).toBe(false)
})

test('a fork has what stood in it looked for, and nothing below; gone is what is not there three times', async () => {
  const { watch, heard, step } = watchFor(50)
  const low = await chain.client.getBlockNumber()
  watch.follow('low', undefined)
  await step(() => Promise.resolve({ kind: 'there', blockNumber: low }))
  await chain.mine(2)
  watch.follow('high', undefined)
  await step(() => Promise.resolve({ kind: 'there', blockNumber: low + 2n }))
  await chain.reorganise(1)
  const looked: string[] = []
  for (let times = 0; times < 3; times++) {
    expect(heard).toEqual([])
    await step((key) => {
      looked.push(key)
      return Promise.resolve({ kind: 'gone' })
    })
    await chain.mine()
  }
  expect(looked).toEqual(['high', 'high', 'high'])
  expect(heard).toEqual(['gone high'])
  expect(watch.isFollowed('low')).toBe(true)
  // A node that falls silent in the middle changes nothing: it is looked for again.
  await chain.reorganise(7)
  await expect(step(() => Promise.reject(new Error('silent')))).rejects.toThrow('silent')
  await step(() => Promise.resolve({ kind: 'unclear' }))
  await step(() => Promise.resolve({ kind: 'there' }))
  expect(watch.isFollowed('low')).toBe(true)
  expect(heard).toEqual(['gone high'])
})

test('the use of a nonce is looked for in ranges that public nodes answer', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const ranges: bigint[] = []
  // The chain of this test is short: so much longer is what the node says of it.
  let longer = 0n
  proxy.rule = async (method, params) => {
    const head = await chain.client.getBlockNumber()
    if (method === 'eth_blockNumber') return { result: numberToHex(head + longer) }
    if (method !== 'eth_getLogs') return 'forward'
    const { fromBlock, toBlock } = Object(params[0])
    // Without an end it would be as long as the chain.
    const blocks = BigInt(toBlock === 'latest' ? 1n << 60n : toBlock) - BigInt(fromBlock) + 1n
    ranges.push(blocks)
    if (blocks > 5000n) return { error: { code: -32_005, message: 'block range is too large' } }
    return BigInt(fromBlock) > head ? { result: [] } : 'forward'
  }
  const closing = new AbortController()
  onTestFinished(() => {
    closing.abort()
  })
  const options = await createOptions(20)
  const terms = createTerms(options)
  const reads = createChain(terms, proxy.url, closing.signal)
  const account = chain.nextPayer()
  const fromBlock = await chain.client.getBlockNumber()
  const authorization = {
    from: account.address,
    to: terms.payTo,
    valueAtomic: price,
    validAfterSeconds: 0n,
    validBeforeSeconds: 9_000_000_000n,
    nonce: keccak256('0x77'),
  }
  longer = 5500n
  expect(await reads.findUse(authorization, fromBlock)).toEqual({ kind: 'none' })
  // Uses and cancellations, of two ranges.
  expect(ranges).toEqual([5000n, 5000n, 501n, 501n])
  ranges.length = 0
  await cancelAuthorization(account, authorization.nonce)
  expect(await reads.findUse(authorization, fromBlock)).toEqual({ kind: 'otherwise' })
  // It is found in the first.
  expect(ranges).toEqual([5000n, 5000n])

  // What was used otherwise is looked for once, also when many others were before it.
  const others = Array.from({ length: 10_000 }, (_, place) => [`other ${place}`, Infinity] as const)
  const notOurs = new Map(others)
  const context = {
    chain: reads,
    terms,
    confirmations: 1,
    notOurs,
    clock: () => 0,
    reads: undefined,
  }
  const look = { proven: () => undefined, giveBack: () => undefined }
  const presenter = { payer: account.address, caller: '' }
  const observe = (): Promise<unknown> =>
    findObserved(
      { ...context, ledger: { birthBlock: () => fromBlock } },
      authorization,
      presenter,
      look,
    )
  ranges.length = 0
  await expect(observe()).rejects.toMatchObject({ code: 'payment-already-used' })
  expect(ranges.length).toBeGreaterThan(0)
  ranges.length = 0
  await expect(observe()).rejects.toMatchObject({ code: 'payment-already-used' })
  expect(ranges).toEqual([])
  expect(notOurs.size).toBe(10_000)
})

/** By the payer itself, at the cost of somebody else. */
async function cancelAuthorization(
  account: ReturnType<BareChain['nextPayer']>,
  nonce: Hex,
): Promise<void> {
  const signature = await account.signTypedData({
    domain: {
      name: baseSepoliaUsdc.eip712Name,
      version: baseSepoliaUsdc.eip712Version,
      chainId: 84_532,
      verifyingContract: baseSepoliaUsdc.address,
    },
    types: {
      CancelAuthorization: [
        { name: 'authorizer', type: 'address' },
        { name: 'nonce', type: 'bytes32' },
      ],
    },
    primaryType: 'CancelAuthorization',
    message: { authorizer: account.address, nonce },
  })
  const { r, s, v } = parseSignature(signature)
  const wallet = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
  const hash = await wallet.writeContract({
    address: baseSepoliaUsdc.address,
    abi: parseAbi([
      'function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)',
    ]),
    functionName: 'cancelAuthorization',
    args: [account.address, nonce, Number(v), r, s],
  })
  expect((await chain.mined(hash)).status).toBe('success')
}
