import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { multicall3Abi } from '@countersign/contracts/multicall3'
import { permit2Abi } from '@countersign/contracts/permit2'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { createPaymentNonce } from '@countersign/protocol/payment/request-nonce'
import {
  parsePaymentHeader,
  type PresentedPayment,
} from '@countersign/protocol/payment/presented-payment'
import { createUptoChargeHasher } from '@countersign/protocol/payment/upto-charge'
import { createUptoOffer, type UptoTerms } from '@countersign/protocol/payment/upto-payload'
import { encodeFunctionData, keccak256, toHex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTransactionBook } from '../src/payment/channel/transaction-book.ts'
import { loadEvmCurve } from '../src/payment/evm-curve.ts'
import { createChain } from '../src/payment/exact/chain.ts'
import { createTerms } from '../src/payment/exact/offer.ts'
import { createSender } from '../src/payment/exact/sender.ts'
import { openDurableLedger, type DurableLedger } from '../src/payment/ledger/durable-ledger.ts'
import { paymentKey } from '../src/payment/ledger/ledger.ts'
import {
  admitUptoPayment,
  type UptoAdmission,
  type UptoContext,
  type UptoReservation,
} from '../src/payment/upto/admit-upto-payment.ts'
import { createUptoUseFinder } from '../src/payment/upto/find-use.ts'
import { stepUptoSettlements } from '../src/payment/upto/settle-upto.ts'
import type { UptoSettlement } from '../src/payment/upto/upto-settlement.ts'
import { wordOf } from './ledger/sample-events.ts'
import { payerBalanceAtomic, startTestChain, type TestChain } from './payment/chain-process.ts'
import {
  balanceOf,
  createApprovedPayer,
  deployReverting,
  readFunds,
  walletOf,
} from './payment/approved-payer.ts'
import { lower } from './payment/channel-payer.ts'
import { deployOperator } from './payment/operator.ts'

const payTo = privateKeyToAddress(keccak256('0x55'))
const permit2 = lower(baseSepoliaX402.permit2)
const permit2Domain = createPermit2Domain(84_532n, permit2)
const directory = mkdtempSync(join(tmpdir(), 'countersign-upto-'))
const ending = new AbortController()
let chain: TestChain
let ledger: DurableLedger
let context: UptoContext
let settlement: UptoSettlement
let payerKey: Hex
let calls = 0

beforeAll(async () => {
  chain = await startTestChain()
  const settlementKey = chain.nextSettlementKey()
  const operator = await deployOperator(chain, keccak256('0x66'), payTo)
  await operator.registerKey(settlementKey)
  const { settler } = operator
  payerKey = await createApprovedPayer(chain)
  const curve = await loadEvmCurve()
  const account = privateKeyToAccount(settlementKey)
  const terms: UptoTerms = {
    network: 'eip155:84532',
    chainId: 84_532n,
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo,
    maxTimeoutSeconds: 60,
    facilitator: settler,
    uptoProxy: baseSepoliaX402.uptoPermit2Proxy,
  }
  const { signal } = ending
  const reads = createChain(createTerms({ ...terms, resourceBaseUrl: '' }), chain.rpcUrl, signal)
  ledger = await openDurableLedger({
    directory,
    clock: Date.now,
    onFault: (error) => {
      throw error
    },
  })
  const sender = createSender({
    chain: reads,
    chainId: 84_532,
    account,
    ledger: createTransactionBook(ledger),
    signal,
  })
  settlement = {
    ledger,
    sender,
    settler,
    hashCharge: createUptoChargeHasher(84_532n, lower(settler)),
    sign: (digest) => curve.sign(digest, Buffer.from(settlementKey.slice(2), 'hex')),
    simulate: (call) => chain.client.call({ account: account.address, ...call }),
    reverted: new Map(),
    later: new Map(),
    doubts: new Map(),
    certainty: { blocks: 0n, ms: 0 },
    findUse: createUptoUseFinder(reads.client, { permit2, settler }),
    findReceipt: (hash) => reads.findReceipt(hash, 1),
    clock: Date.now,
  }
  context = {
    terms,
    permit2Domain,
    curve,
    ledger,
    readFunds: (payer) => readFunds(chain, payer),
    maxExposureAtomic: 50_000n,
    settle: () => undefined,
    clock: Date.now,
  }
})
afterAll(async () => {
  ending.abort()
  await ledger.close()
  await chain.stop()
  rmSync(directory, { recursive: true })
})

const requestHash = wordOf(0xabc)
const bytes = (word: Hex): Uint8Array => Buffer.from(word.slice(2), 'hex')

function pay(nonce: bigint, amountAtomic: bigint, extensions: object = {}): PresentedPayment {
  const { terms, curve } = context
  const permit = {
    token: lower(terms.asset),
    amountAtomic,
    spender: lower(terms.uptoProxy),
    nonce,
    deadlineSeconds: BigInt(Math.floor(Date.now() / 1000) + 120),
  }
  const witness = { to: lower(payTo), facilitator: lower(terms.facilitator), validAfterSeconds: 0n }
  const digest = permit2Domain.hashUpto(permit, witness)
  const signature = encodeEvmSignature(curve.sign(digest, Buffer.from(payerKey.slice(2), 'hex')))
  const payload = {
    signature,
    permit2Authorization: {
      from: privateKeyToAddress(payerKey),
      permitted: { token: permit.token, amount: `${amountAtomic}` },
      spender: permit.spender,
      nonce: `${nonce}`,
      deadline: `${permit.deadlineSeconds}`,
      witness: { to: witness.to, facilitator: witness.facilitator, validAfter: '0' },
    },
  }
  const accepted = createUptoOffer(terms, amountAtomic, 'http://x/').requirements
  const payment = { x402Version: 2, accepted, payload, extensions }
  return parsePaymentHeader(Buffer.from(JSON.stringify(payment)).toString('base64'))
}

function admit(presented: PresentedPayment, amountAtomic: bigint): Promise<UptoAdmission> {
  return admitUptoPayment(context, {
    presented,
    offer: createUptoOffer(context.terms, amountAtomic, 'http://x/'),
    callId: (++calls).toString(16).padStart(32, '0'),
    requestHash,
  })
}

function expectReservation(admission: UptoAdmission): UptoReservation {
  if (admission.kind !== 'admitted') throw new Error(`not admitted: ${codeOf(admission)}`)
  return admission.reservation
}

const codeOf = (admission: UptoAdmission): string =>
  'code' in admission ? admission.code : admission.kind

function stateOf(nonce: bigint): string | undefined {
  return ledger.state.payments.get(paymentKey(lower(privateKeyToAddress(payerKey)), nonce))?.state
    .kind
}

async function settleUntil(
  isDone: () => boolean,
  step: () => Promise<unknown> = () => stepUptoSettlements(settlement),
): Promise<void> {
  for (const end = performance.now() + 60_000; !isDone(); await setTimeout(40)) {
    if (performance.now() > end) throw new Error('the chain did not bring it about')
    await step()
  }
}

test('of a signed maximum exactly the charge is settled, once', async () => {
  const payment = pay(1n, 5000n)
  const raced = await Promise.all(Array.from({ length: 20 }, () => admit(payment, 5000n)))
  const admitted = raced.filter(({ kind }) => kind === 'admitted')
  expect(admitted).toHaveLength(1)
  const [first] = admitted
  if (first === undefined) throw new Error('nothing was admitted')
  const reservation = expectReservation(first)
  expect(codeOf(await admit(payment, 5000n))).toBe('payment-in-progress')
  await reservation.charge(1234n)
  reservation.receiptStored()
  expect(ledger.state.owedReceipts.size).toBe(0)
  expect(codeOf(await admit(payment, 5000n))).toBe('payment-already-used')
  await settleUntil(() => stateOf(1n) === 'settled')
  await stepUptoSettlements(settlement)
  expect(await balanceOf(chain, payTo)).toBe(1234n)
  expect(await balanceOf(chain, privateKeyToAddress(payerKey))).toBe(payerBalanceAtomic - 1234n)
  expect(ledger.state.transactions.size).toBe(0)
})

test('a charge of 0 uses the payment up, a release does not', async () => {
  const free = pay(2n, 100n)
  await expectReservation(await admit(free, 100n)).charge(0n)
  expect(codeOf(await admit(free, 100n))).toBe('payment-already-used')
  const released = pay(3n, 100n)
  await expectReservation(await admit(released, 100n)).release()
  const again = expectReservation(await admit(released, 100n))
  again.progress(40n)
  await again.charge(40n)
  await settleUntil(() => stateOf(3n) === 'settled')
})

test('a payer may not owe more than we risk', async () => {
  const running = expectReservation(await admit(pay(10n, 30_000n), 30_000n))
  expect(codeOf(await admit(pay(11n, 30_000n), 30_000n))).toBe('payer-exposure-exceeded')
  expect(codeOf(await admit(pay(12n, 90_000n), 90_000n))).toBe('payer-funds-exceeded')
  await running.release()
})

/** Settles like a stranger that found our bytes in the mempool: directly, or wrapped so that nothing shows it. */
async function settleAsStranger(nonce: bigint, isWrapped: boolean): Promise<void> {
  const stranger = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
  const found = Promise.withResolvers<{ readonly to: Hex; readonly data: Hex }>()
  const peek: typeof settlement.simulate = (call) => {
    found.resolve(call)
    throw new Error('not now')
  }
  await expect(stepUptoSettlements({ ...settlement, simulate: peek })).rejects.toThrow('not now')
  expect(stateOf(nonce)).toBe('charged')
  const { to, data } = await found.promise
  const wrapped = {
    to: lower(baseSepoliaX402.multicall3),
    data: encodeFunctionData({
      abi: multicall3Abi,
      functionName: 'aggregate3',
      args: [[{ target: to, allowFailure: false, callData: data }]],
    }),
  }
  const hash = await stranger.sendTransaction(isWrapped ? wrapped : { to, data })
  expect((await chain.mined(hash)).status).toBe('success')
}

test.each([false, true])(
  'a charge that a stranger settles first is paid, and nothing is held against its payer: %s',
  async (isWrapped) => {
    const nonce = isWrapped ? 41n : 40n
    await expectReservation(await admit(pay(nonce, 100n), 100n)).charge(60n)
    const before = await balanceOf(chain, payTo)
    await settleAsStranger(nonce, isWrapped)
    await settleUntil(() => stateOf(nonce) === 'settled')
    expect(await balanceOf(chain, payTo)).toBe(before + 60n)
    expect(ledger.state.payers.size).toBe(0)
  },
)

test('our settlement that comes second is judged by what the chain holds, not by its own receipt', async () => {
  await expectReservation(await admit(pay(45n, 100n), 100n)).charge(60n)
  // Whoever sends first: ours is simulated before, and mined after the stranger's.
  const simulate: typeof settlement.simulate = async (call) => {
    await settlement.simulate(call)
    const stranger = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
    await stranger.sendTransaction({ ...call, gas: 400_000n, maxPriorityFeePerGas: 10n ** 10n })
  }
  await stepUptoSettlements({ ...settlement, simulate })
  await settleUntil(() => stateOf(45n) === 'settled')
  expect(ledger.state.transactions.size).toBe(0)
})

test('a charge whose nonce its payer used up counts against it for ever', async () => {
  await expectReservation(await admit(pay(50n, 100n), 100n)).charge(60n)
  const owner = privateKeyToAccount(payerKey)
  const hash = await walletOf(chain, owner).writeContract({
    address: permit2,
    abi: permit2Abi,
    functionName: 'invalidateUnorderedNonces',
    args: [0n, 1n << 50n],
  })
  await chain.mined(hash)
  await settleUntil(() => stateOf(50n) === 'failed')
  expect(ledger.state.payers.get(lower(owner.address))).toMatchObject({ failedAtomic: 60n })
})

test('a charge that cannot be paid is tried until it expires', async () => {
  await expectReservation(await admit(pay(51n, 100n), 100n)).charge(60n)
  const owner = privateKeyToAccount(payerKey)
  const allow = async (amount: bigint): Promise<void> => {
    const hash = await walletOf(chain, owner).writeContract({
      address: baseSepoliaUsdc.address,
      abi: testUsdcAbi,
      functionName: 'approve',
      args: [permit2, amount],
    })
    await chain.mined(hash)
  }
  await allow(0n)
  await stepUptoSettlements(settlement)
  expect(stateOf(51n)).toBe('charged')
  await stepUptoSettlements({ ...settlement, clock: () => Date.now() + 121_000 })
  expect(stateOf(51n)).toBe('failed')
  await allow(1n << 255n)
})

test('a payer whose account answers like our own contract holds up nobody, and is given up in time', async () => {
  const honestKey = payerKey
  payerKey = await createApprovedPayer(chain)
  const hostile = lower(privateKeyToAddress(payerKey))
  await expectReservation(await admit(pay(70n, 100n), 100n)).charge(60n)
  payerKey = honestKey
  await expectReservation(await admit(pay(71n, 100n), 100n)).charge(60n)
  // As Permit2 asks an account with code (EIP-7702), whose answer comes up unchanged; this chain takes no such accounts.
  const account = await deployReverting(chain, 'UntrustedCharge()')
  const simulate: UptoSettlement['simulate'] = (call) =>
    settlement.simulate(call.data.includes(hostile.slice(2)) ? { ...call, to: account } : call)
  const asked = { ...settlement, simulate }
  await expect(stepUptoSettlements(asked)).rejects.toThrow(/reverted/i)
  const step = (): Promise<unknown> => stepUptoSettlements(asked).catch(() => undefined)
  await settleUntil(() => stateOf(71n) === 'settled', step)
  await stepUptoSettlements({ ...asked, clock: () => Date.now() + 121_000 })
  const owing = ledger.state.payers.get(hostile)
  expect(owing).toMatchObject({ unsettledAtomic: 0n, failedAtomic: 60n })
})

test('a settlement that reverts in its block again and again is not paid for without end', async () => {
  await expectReservation(await admit(pay(72n, 100n), 100n)).charge(60n)
  // What was found good reverts once it is in a block.
  const to = await deployReverting(chain, 'Late()')
  const sent: unknown[] = []
  const send: UptoSettlement['sender']['send'] = (request) => {
    sent.push(request)
    return settlement.sender.send({ ...request, to })
  }
  const reverting = { ...settlement, sender: { ...settlement.sender, send } }
  await settleUntil(
    () => sent.length >= 3 && ledger.state.transactions.size === 0,
    () => stepUptoSettlements(reverting),
  )
  await stepUptoSettlements(reverting)
  expect(sent).toHaveLength(3)
  await stepUptoSettlements({ ...reverting, clock: () => Date.now() + 121_000 })
  expect(stateOf(72n)).toBe('failed')
})

test('all payers together may not owe more than we risk', async () => {
  const small = { ...context, maxTotalExposureAtomic: 150n }
  const admitSmall = (nonce: bigint, bounds: UptoContext = small): Promise<UptoAdmission> =>
    admitUptoPayment(bounds, {
      presented: pay(nonce, 100n),
      offer: createUptoOffer(context.terms, 100n, 'http://x/'),
      callId: `${nonce}`.padStart(32, '0'),
      requestHash,
    })
  const first = expectReservation(await admitSmall(60n))
  expect(codeOf(await admitSmall(61n))).toBe('payer-exposure-exceeded')
  const few = { ...context, maxUnsettledPayments: ledger.state.open.payments }
  expect(codeOf(await admitSmall(61n, few))).toBe('payer-exposure-exceeded')
  await first.release()
  await expectReservation(await admitSmall(61n, few)).release()
})

test('a payment that is bound to a request buys no other', async () => {
  const salt = wordOf(5)
  const nonce = BigInt(toHex(createPaymentNonce(bytes(requestHash), bytes(salt))))
  const bind = (hash: Hex): object => ({
    'countersign-request': {
      info: { version: 1, requestHash: hash.slice(2), salt: salt.slice(2) },
    },
  })
  expect(codeOf(await admit(pay(nonce, 100n, bind(wordOf(1))), 100n))).toBe(
    'payment-request-mismatch',
  )
  expect(codeOf(await admit(pay(7n, 100n, bind(requestHash)), 100n))).toBe(
    'payment-request-mismatch',
  )
  const bound = await admit(pay(nonce, 100n, bind(requestHash)), 100n)
  await expectReservation(bound).release()
})

test('another key cannot pay for this one', async () => {
  const before = ledger.state.payments.size
  const good = pay(30n, 100n)
  const authorization = good.payload.get('permit2Authorization')
  if (!(authorization instanceof Map)) throw new Error('no authorization')
  authorization.set('from', payTo)
  expect(codeOf(await admit(good, 100n))).toBe('payment-signature-invalid')
  expect(ledger.state.payments.size).toBe(before)
  expect(ledger.state.payers.has(lower(payTo))).toBe(false)
})
