import { createCallName } from '../src/payment/call-names.ts'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { encodeFunctionData, keccak256, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { openChannelScheme } from '../src/payment/channel/open-channel-scheme.ts'
import { refundChannel } from '../src/payment/channel/refund.ts'
import { giveEther, walletOf } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { startRpcProxy } from './payment/rpc-proxy.ts'
import {
  admit,
  balanceOf,
  claimedOf,
  codeOf,
  expectReservation,
  openPaidChannel,
  startScheme,
  stepUntil,
} from './payment/channel-fixture.ts'
import { createChannelPayer, offerOf } from './payment/channel-payer.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

test('a deposit opens a channel, calls are charged, and a claim pays the payee exactly that', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const second = await admit(fixture, 5000n, (offer) => payer.voucher(offer, 5040n))
  const reservation = expectReservation(second)
  expect(reservation.channelStateBefore().chargedCumulativeAmount).toBe('40')
  const busy = await admit(fixture, 100n, (offer) => payer.voucher(offer, 140n))
  expect(codeOf(busy)).toBe('channel-busy')
  const charge = await reservation.charge(1234n)
  expect(charge).toMatchObject({ amountAtomic: 1234n, cumulativeAtomic: 1274n })
  const { owedReceipts } = fixture.scheme.context.ledger.state
  expect([...owedReceipts.values()].map((each) => each.amountAtomic)).toEqual([40n, 1234n])
  reservation.receiptStored()
  expect([...owedReceipts.values()].map((each) => each.amountAtomic)).toEqual([40n])
  const account = () => fixture.scheme.context.ledger.state.channels.get(payer.channelId)
  // Less than the policy's bound: nothing is claimed until it is asked for.
  await fixture.scheme.manager.step()
  expect(account()?.claim).toBeUndefined()
  expect(await fixture.scheme.manager.claimAll()).toHaveLength(1)
  expect(await fixture.scheme.manager.claimAll()).toHaveLength(0)
  await stepUntil(fixture, () => account()?.view.claimedAtomic === 1274n)
  expect(account()).toMatchObject({ unclaimedSinceMs: undefined, frozen: false })
  await chain.mined(await fixture.scheme.manager.settle())
  expect(await balanceOf(fixture, fixture.payTo)).toBe(1274n)
  await stepUntil(fixture, () => fixture.scheme.context.ledger.state.transactions.size === 0)
})

test('a strict voucher for a stream is used up by a crash from its reservation on', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const present = (ceiling: bigint) => (offer: ReturnType<typeof offerOf>) =>
    payer.voucher(offer, ceiling)
  const first = expectReservation(await admit(fixture, 100n, present(140n), true))
  // The upstream failed before a byte had left: the voucher is good again, and nothing was charged.
  await first.release()
  expectReservation(await admit(fixture, 100n, present(140n), true))
  await fixture.scheme.close()
  const again = await openChannelScheme(fixture.options)
  onTestFinished(() => again.close())
  await again.manager.step()
  const account = again.context.ledger.state.channels.get(payer.channelId)
  expect(account).toMatchObject({ chargedAtomic: 41n, running: [] })
  const restarted = { ...fixture, scheme: again }
  expect(codeOf(await admit(restarted, 100n, present(140n), true))).toBe('channel-ceiling-mismatch')
  expectReservation(await admit(restarted, 100n, present(141n), true))
})

test('a unique ceiling proves nothing before its stream does', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  expectReservation(await admit(fixture, 100n, (offer) => payer.voucher(offer, 140n, true), true))
  await fixture.scheme.close()
  const again = await openChannelScheme(fixture.options)
  onTestFinished(() => again.close())
  expect(again.context.ledger.state.channels.get(payer.channelId)).toMatchObject({
    chargedAtomic: 40n,
    running: [],
  })
})

test('a channel is known again after a restart, and what it owed is claimed', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const running = await admit(fixture, 100n, (offer) => payer.voucher(offer, 140n))
  expectReservation(running)
  await fixture.scheme.close()
  const again = await openChannelScheme(fixture.options)
  onTestFinished(() => again.close())
  await again.manager.step()
  expect(again.context.ledger.state.channels.get(payer.channelId)).toMatchObject({
    chargedAtomic: 40n,
    running: [],
  })
  const restarted = { ...fixture, scheme: again }
  // The call died with its process: its voucher is good for another.
  expectReservation(await admit(restarted, 100n, (offer) => payer.voucher(offer, 140n)))
  await again.manager.claimAll()
  await stepUntil(restarted, () => again.context.ledger.state.transactions.size === 0)
  expect(await claimedOf(fixture, payer.channelId)).toBe(40n)
})

test('calls with unique ceilings run at once and arrive in any order', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const ceilings = [1040n, 740n, 540n, 840n, 640n, 940n]
  const admissions = await Promise.all(
    ceilings.map((ceiling) => admit(fixture, 100n, (offer) => payer.voucher(offer, ceiling, true))),
  )
  const reservations = admissions.map(expectReservation)
  const again = await admit(fixture, 100n, (offer) => payer.voucher(offer, 840n, true))
  expect(codeOf(again)).toBe('channel-ceiling-used')
  await Promise.all(reservations.map((reservation) => reservation.charge(70n)))
  expect(fixture.scheme.context.ledger.state.channels.get(payer.channelId)?.chargedAtomic).toBe(
    460n,
  )
  await fixture.scheme.manager.claimAll()
  await stepUntil(fixture, () => fixture.scheme.context.ledger.state.transactions.size === 0)
  expect(await claimedOf(fixture, payer.channelId)).toBe(460n)
})

test('the same payment a hundred times at once runs one call', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  for (const unique of [false, true]) {
    const ceiling = unique ? 500n : 140n
    const admissions = await Promise.all(
      Array.from({ length: 100 }, () =>
        admit(fixture, 100n, (offer) => payer.voucher(offer, ceiling, unique)),
      ),
    )
    const [first, ...others] = admissions.filter(({ kind }) => kind === 'admitted')
    expect(others).toEqual([])
    if (first === undefined) throw new Error('nothing was admitted')
    await expectReservation(first).charge(100n)
  }
})

test('a call beyond the limits of its payer is refused behind its signature, and uses no ceiling up', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const { state } = fixture.scheme.context.ledger
  const before = state.channels.get(payer.channelId)
  const asked: string[] = []
  const enter = (name: string) => {
    asked.push(name)
    return { code: 'rate-limited', detail: '', headers: {} } as const
  }
  const present: Parameters<typeof admit>[2] = (offer) => payer.voucher(offer, 540n, true)
  expect(
    await admit(fixture, 100n, present, false, { enter, name: createCallName('once') }),
  ).toMatchObject({
    kind: 'limited',
    limited: { code: 'rate-limited' },
  })
  expect(asked).toEqual([`address:${before?.config.payerAuthorizer}`])
  expect(state.channels.get(payer.channelId)).toBe(before)
  expect(state.names.size).toBe(0)
  // The voucher is as good as before.
  await expectReservation(await admit(fixture, 100n, present)).charge(10n)
})

test('a payer without state learns everything from the correction', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const wrong = await admit(fixture, 100n, (offer) => payer.voucher(offer, 100n))
  expect(wrong).toMatchObject({
    code: 'channel-ceiling-mismatch',
    correction: {
      channelState: {
        channelId: payer.channelId,
        balance: '20000',
        totalClaimed: '0',
        refundNonce: '0',
        chargedCumulativeAmount: '40',
      },
      reservedAmount: '0',
      voucherState: { signedMaxClaimable: '100' },
    },
  })
})

test('strangers who know the public data of a channel can neither learn from it, nor spend, nor refund', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const { context } = fixture.scheme
  const account = () => context.ledger.state.channels.get(payer.channelId)
  const offer = offerOf(fixture.options.terms, 100n)
  // The config is public; the stranger signs with a key of its own.
  const stranger = createChannelPayer(keccak256('0x95'), fixture.options.terms)
  const forged = (type: 'voucher' | 'refund', ceiling: bigint): Record<string, unknown> => ({
    ...payer.payloadOf(type, ceiling),
    voucher: {
      ...Object(payer.payloadOf(type, ceiling)['voucher']),
      signature: Object(stranger.payloadOf(type, ceiling)['voucher']).signature,
    },
  })
  for (const ceiling of [100n, 140n]) {
    const refused = await admit(fixture, 100n, (each) =>
      payer.present(each, forged('voucher', ceiling)),
    )
    expect(refused).toMatchObject({ code: 'payment-signature-invalid', correction: undefined })
  }
  const forgedRefund = await refundChannel(
    context,
    payer.present(offer, forged('refund', 40n)),
    offer,
  )
  expect(forgedRefund).toMatchObject({ code: 'payment-signature-invalid' })
  // The voucher of 100 bought a call of 40. It stands in the claim: a call of 60 would fit it, or a refund at C = 100.
  expect(codeOf(await admit(fixture, 60n, (each) => payer.voucher(each, 100n)))).toBe(
    'channel-ceiling-used',
  )
  const next = await admit(fixture, 61n, (each) => payer.voucher(each, 101n))
  await expectReservation(next).charge(60n)
  expect(account()?.chargedAtomic).toBe(100n)
  let questions = 0
  const counting: typeof context = {
    ...context,
    isAuthorized: (digest, signature) => {
      questions++
      return context.isAuthorized(digest, signature)
    },
  }
  const other = await refundChannel(counting, payer.refund(offer, 40n), offer)
  expect(other).toMatchObject({ kind: 'refused', code: 'channel-ceiling-mismatch' })
  const stolen = await refundChannel(counting, payer.refund(offer, 100n), offer)
  // Whoever reads the chain has such a voucher: it makes the gateway ask nobody.
  expect(questions).toBe(0)
  expect(stolen).toMatchObject({ kind: 'refused', code: 'refund-signature-required' })
  const old = await refundChannel(context, payer.signedRefund(offer, 100n, 500n, 1n), offer)
  expect(old).toMatchObject({ kind: 'refused', code: 'refund-nonce-mismatch' })
  expect(account()?.refunding).toBeUndefined()
  const own = await refundChannel(context, payer.signedRefund(offer, 100n, 500n, 0n), offer)
  expect(own).toMatchObject({ kind: 'sent', amountAtomic: 500n })
})

test('a withdrawal that begins stops new calls and is answered by a claim', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const owner = privateKeyToAccount(fixture.key)
  await giveEther(chain, owner.address)
  const { withdrawDelaySeconds, ...config } = payer.config
  const wallet = walletOf(chain, owner)
  await chain.mined(
    await wallet.sendTransaction({
      to: baseSepoliaX402.batchSettlement,
      data: encodeFunctionData({
        abi: batchSettlementAbi,
        functionName: 'initiateWithdraw',
        args: [{ ...config, withdrawDelay: Number(withdrawDelaySeconds) }, 19_000n],
      }),
    }),
  )
  const { ledger } = fixture.scheme.context
  await stepUntil(fixture, () => {
    return ledger.state.channels.get(payer.channelId)?.view.withdrawingAtomic === 19_000n
  })
  const refused = await admit(fixture, 100n, (offer) => payer.voucher(offer, 140n))
  expect(codeOf(refused)).toBe('channel-withdrawing')
  await stepUntil(
    fixture,
    () => ledger.state.channels.get(payer.channelId)?.view.claimedAtomic === 40n,
  )
})

test('what does not fit is refused with its code, and leaves nothing behind', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const fixture = await startScheme(chain, { depositTimeoutMs: 1, rpcUrl: proxy.url })
  const { ledger } = fixture.scheme.context
  const { terms } = fixture.options
  const payer = createChannelPayer(fixture.key, terms)
  const other = createChannelPayer(keccak256('0x99'), terms)
  const cases: readonly (readonly [string, (offer: ReturnType<typeof offerOf>) => unknown])[] = [
    ['channel-unknown', () => payer.payloadOf('voucher', 100n)],
    ['payment-malformed', () => payer.payloadOf('refund', 100n)],
    [
      'channel-id-mismatch',
      () => ({
        ...payer.payloadOf('voucher', 100n),
        voucher: other.payloadOf('voucher', 100n)['voucher'],
      }),
    ],
    [
      'payment-signature-invalid',
      () => {
        const { voucher, ...rest } = payer.payloadOf('voucher', 100n)
        return { ...rest, voucher: { ...Object(voucher), maxClaimableAmount: '101' } }
      },
    ],
  ]
  for (const [code, payloadOf] of cases) {
    const refused = await admit(fixture, 100n, (offer) => payer.present(offer, payloadOf(offer)))
    expect(codeOf(refused)).toBe(code)
  }
  // Nobody has this money: the contract says so before anything is sent.
  const poor = createChannelPayer(keccak256('0x98'), terms)
  expect(codeOf(await admit(fixture, 100n, (offer) => poor.deposit(offer, 100n, 5000n)))).toBe(
    'deposit-refused',
  )
  expect(ledger.state.channels.size).toBe(0)
  expect(ledger.state.transactions.size).toBe(0)
  // A deposit that is not deep enough in time is not lost: the same payment comes again.
  const offer = offerOf(terms, 100n)
  const deposit = payer.deposit(offer, 100n, 5000n)
  // The node takes it, and no block does.
  const held: Hex[] = []
  proxy.rule = (method, [raw]) => {
    if (method !== 'eth_sendRawTransaction') return 'forward'
    const serialized: Hex = `0x${String(raw).slice(2)}`
    held.push(serialized)
    return { result: keccak256(serialized) }
  }
  let admission = await admit(fixture, 100n, () => deposit)
  expect(codeOf(admission)).toBe('deposit-pending')
  proxy.rule = undefined
  const [serializedTransaction = '0x'] = held
  const sent = await chain.client.sendRawTransaction({ serializedTransaction })
  expect([...ledger.state.transactions.values()]).toMatchObject([{ hash: sent }])
  await chain.mined(sent)
  admission = await admit(fixture, 100n, () => deposit)
  await expectReservation(admission).charge(1n)
  expect(ledger.state.channels.get(payer.channelId)?.view.depositedAtomic).toBe(5000n)
})

test('a channel is filled up again, but not for a voucher that would be refused', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture, 1000n)
  const { ledger } = fixture.scheme.context
  const account = () => ledger.state.channels.get(payer.channelId)
  const before = ledger.state.transactions.size
  const wrong = await admit(fixture, 1500n, (offer) => payer.deposit(offer, 1500n, 2000n))
  expect(codeOf(wrong)).toBe('channel-ceiling-mismatch')
  expect(ledger.state.transactions.size).toBe(before)
  expect(account()?.view.depositedAtomic).toBe(1000n)
  const filled = await admit(fixture, 1500n, (offer) => payer.deposit(offer, 1540n, 2000n))
  await expectReservation(filled).charge(1500n)
  expect(account()).toMatchObject({ chargedAtomic: 1540n, view: { depositedAtomic: 3000n } })
})

test('the same deposit twenty times at once is one transaction and one call', async () => {
  const fixture = await startScheme(chain)
  const { terms, settlementKey } = fixture.options
  const payer = createChannelPayer(fixture.key, terms)
  const deposit = payer.deposit(offerOf(terms, 100n), 100n, 1000n)
  const admissions = await Promise.all(
    Array.from({ length: 20 }, () => admit(fixture, 100n, () => deposit)),
  )
  expect(admissions.filter(({ kind }) => kind === 'admitted')).toHaveLength(1)
  const address = privateKeyToAddress(`0x${settlementKey.slice(2)}`)
  expect(await chain.client.getTransactionCount({ address })).toBe(1)
})

test('a voucher that needs the chain is refused while it is away, others go on', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const fixture = await startScheme(chain, { rpcUrl: proxy.url })
  const payer = await openPaidChannel(fixture)
  proxy.rule = () => 'drop'
  const stranger = createChannelPayer(keccak256('0x97'), fixture.options.terms)
  const refused = await admit(fixture, 100n, (offer) => stranger.voucher(offer, 100n))
  expect(codeOf(refused)).toBe('chain-unreachable')
  await expect(fixture.scheme.manager.step()).rejects.toThrow('the chain does not answer')
  expectReservation(await admit(fixture, 100n, (offer) => payer.voucher(offer, 140n)))
  proxy.rule = undefined
  const unknown = await admit(fixture, 100n, (offer) => stranger.voucher(offer, 100n))
  expect(codeOf(unknown)).toBe('channel-unknown')
})

test('nothing is admitted while the chain cannot be read, or stands still', async () => {
  const startMs = Date.now()
  let nowMs = startMs
  const fixture = await startScheme(chain, { clock: () => nowMs })
  const payer = await openPaidChannel(fixture)
  nowMs += 900_000 / 3 + 1000
  const present = (): ReturnType<typeof admit> =>
    admit(fixture, 100n, (offer) => payer.voucher(offer, 140n))
  expect(codeOf(await present())).toBe('channel-chain-stale')
  // The node answers, but its newest block is as old as before.
  await fixture.scheme.manager.step()
  expect(codeOf(await present())).toBe('channel-chain-stale')
  nowMs = startMs + 10_000
  await fixture.scheme.manager.step()
  expectReservation(await present())
})
