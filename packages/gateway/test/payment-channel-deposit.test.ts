import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApprovedPayer, giveEther, walletOf } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import {
  admit,
  codeOf,
  expectReservation,
  openPaidChannel,
  startScheme,
} from './payment/channel-fixture.ts'
import { createChannelPayer } from './payment/channel-payer.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

test('a top-up of a channel that holds enough is not dropped', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const { ledger } = fixture.scheme.context
  const more = await admit(fixture, 100n, (offer) => payer.deposit(offer, 140n, 3000n))
  await expectReservation(more).charge(10n)
  expect(ledger.state.channels.get(payer.channelId)?.view.depositedAtomic).toBe(23_000n)
})

test('a top-up that the contract refuses is told, although the channel holds enough', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture, 90_000n)
  // All the payer has left is 10,000.
  const poor = await admit(fixture, 100n, (offer) => payer.deposit(offer, 140n, 20_000n))
  expect(codeOf(poor)).toBe('deposit-refused')
  // Its voucher is still good.
  expectReservation(await admit(fixture, 100n, (offer) => payer.voucher(offer, 140n)))
})

test('a top-up whose money moves away while it is on its way is told', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture, 50_000n)
  const owner = privateKeyToAccount(fixture.key)
  await giveEther(chain, owner.address)
  // The transfer stands before the deposit in the same block, or the one before.
  const { context } = fixture.scheme
  const simulate: typeof context.simulate = async (call) => {
    await context.simulate(call)
    await walletOf(chain, owner).writeContract({
      address: baseSepoliaUsdc.address,
      abi: testUsdcAbi,
      functionName: 'transfer',
      args: [fixture.payTo, 50_000n],
      gas: 100_000n,
    })
  }
  const robbed = { ...fixture, scheme: { ...fixture.scheme, context: { ...context, simulate } } }
  const refused = await admit(robbed, 100n, (offer) => payer.deposit(offer, 140n, 20_000n))
  expect(codeOf(refused)).toBe('deposit-refused')
  // Who can do that once can do it again, and each costs us gas: for ten minutes nothing of this payer is sent.
  const address = privateKeyToAddress(fixture.settlementKey)
  const before = await chain.client.getTransactionCount({ address })
  const again = (): ReturnType<typeof admit> =>
    admit(fixture, 100n, (offer) => payer.deposit(offer, 140n, 21_000n))
  const [noted] = context.reverted.keys()
  expect(noted).toBe(owner.address.toLowerCase())
  expect(await again()).toMatchObject({
    code: 'deposit-refused',
    detail: expect.stringContaining('ago'),
  })
  if (noted !== undefined) context.reverted.set(noted, Date.now() - 600_000)
  expect(await again()).toMatchObject({ detail: 'The contract refuses the deposit.' })
  expect(context.reverted.size).toBe(0)
  expect(await chain.client.getTransactionCount({ address })).toBe(before)
})

test('a first deposit whose voucher would be refused moves no money', async () => {
  const fixture = await startScheme(chain)
  const payer = createChannelPayer(fixture.key, fixture.options.terms)
  const refused = await admit(fixture, 100n, (offer) => payer.deposit(offer, 90n, 5000n))
  expect(codeOf(refused)).toBe('channel-ceiling-mismatch')
  expect(fixture.scheme.context.ledger.state.transactions.size).toBe(0)
})

test('deposits of two payers with the same Permit2 nonce are two deposits', async () => {
  const fixture = await startScheme(chain)
  const keys = [await createApprovedPayer(chain), await createApprovedPayer(chain)]
  const payers = keys.map((key) => createChannelPayer(key, fixture.options.terms))
  const admissions = await Promise.all(
    payers.map((payer) =>
      admit(fixture, 100n, (offer) => payer.permit2Deposit(offer, 100n, 2000n, 7n)),
    ),
  )
  await Promise.all(admissions.map((admission) => expectReservation(admission).charge(1n)))
  const { channels } = fixture.scheme.context.ledger.state
  for (const { channelId } of payers) {
    expect(channels.get(channelId)?.view.depositedAtomic).toBe(2000n)
  }
  const [payer, other] = payers
  if (payer === undefined || other === undefined) throw new Error('no payer')
  // The same payment again finds its money there, and nothing is sent: also when it has expired since.
  const { scheme, settlementKey } = fixture
  const address = privateKeyToAddress(settlementKey)
  const before = await chain.client.getTransactionCount({ address })
  const again = await admit(fixture, 100n, (offer) => payer.permit2Deposit(offer, 101n, 2000n, 7n))
  await expectReservation(again).charge(1n)
  const later = {
    ...fixture,
    scheme: { ...scheme, context: { ...scheme.context, clock: () => Date.now() + 30_000 } },
  }
  const expired = await admit(later, 100n, (offer) =>
    other.permit2Deposit(offer, 101n, 2000n, 8n, 20),
  )
  expect(codeOf(expired)).toBe('payment-expired')
  expect(await chain.client.getTransactionCount({ address })).toBe(before)
})
