import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { keccak256 } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createChannelManager } from '../src/payment/channel/channel-manager.ts'
import { selectClaims } from '../src/payment/channel/claims.ts'
import { RefundRefused, SettlementKeyUntrusted } from '../src/payment/channel/settlement-key.ts'
import { describeCorrection } from '../src/payment/channel/channel-state.ts'
import { openChannelScheme } from '../src/payment/channel/open-channel-scheme.ts'
import { refundChannel } from '../src/payment/channel/refund.ts'
import { deployOperator } from './payment/operator.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
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
import { offerOf, type ChannelPayer } from './payment/channel-payer.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

test('a refund claims what is charged and gives the rest back', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const before = await balanceOf(fixture, privateKeyToAddress(fixture.key))
  const { terms } = fixture.options
  const offer = offerOf(terms, 100n)
  const { context } = fixture.scheme
  const stale = await refundChannel(context, payer.refund(offer, 41n), offer)
  expect(stale).toMatchObject({ kind: 'refused', code: 'channel-ceiling-mismatch' })
  const tooMuch = await refundChannel(context, payer.refund(offer, 40n, 19_961n), offer)
  expect(tooMuch).toMatchObject({ kind: 'refused', code: 'refund-amount-invalid' })
  const noRefund = await refundChannel(context, payer.voucher(offer, 40n), offer)
  expect(noRefund).toMatchObject({ kind: 'refused', code: 'payment-malformed' })
  const sent = await refundChannel(context, payer.refund(offer, 40n), offer)
  expect(sent).toMatchObject({ kind: 'sent', amountAtomic: 19_960n })
  const during = await admit(fixture, 100n, (each) => payer.voucher(each, 140n))
  expect(codeOf(during)).toBe('channel-withdrawing')
  await stepUntil(fixture, () => {
    const account = context.ledger.state.channels.get(payer.channelId)
    return account?.refunding === undefined && context.ledger.state.transactions.size === 0
  })
  expect(await claimedOf(fixture, payer.channelId)).toBe(40n)
  expect(await balanceOf(fixture, privateKeyToAddress(fixture.key))).toBe(before + 19_960n)
  const after = await admit(fixture, 100n, (each) => payer.voucher(each, 140n))
  expect(codeOf(after)).toBe('channel-balance-exceeded')
})

test('many channels are claimed in one transaction, and one bad voucher holds up no other', async () => {
  const fixture = await startScheme(chain)
  const payers: ChannelPayer[] = []
  for (let channel = 0; channel < 3; channel++) {
    payers.push(await openPaidChannel(fixture, 1000n, channel))
  }
  const { ledger } = fixture.scheme.context
  const [bad, ...good] = payers
  const spoiled = ledger.state.channels.get(bad?.channelId ?? '0x')
  if (spoiled?.signed === undefined) throw new Error('no voucher')
  // As if the check of the signature had been weaker than the contract's.
  ledger.apply({
    type: 'channel-restored',
    account: { ...spoiled, signed: { ...spoiled.signed, signature: `0x${'11'.repeat(64)}1b` } },
  })
  const hashes = await fixture.scheme.manager.claimAll()
  expect(hashes.length).toBeGreaterThanOrEqual(1)
  await stepUntil(fixture, () => ledger.state.transactions.size === 0)
  for (const { channelId } of good) expect(await claimedOf(fixture, channelId)).toBe(40n)
  expect(ledger.state.channels.get(spoiled.channelId)?.frozen).toBe(true)
  expect(describeCorrection(spoiled).channelState.totalClaimed).toBe('0')
  const { manager } = fixture.scheme
  expect(await manager.reexamine(spoiled.channelId)).toEqual({
    kind: 'voucher-refused',
    reason: 'ECDSAInvalidSignature',
  })
  expect(await manager.reexamine(good[0]?.channelId ?? '0x')).toEqual({ kind: 'not-frozen' })
  expect(await manager.reexamine(keccak256('0x01'))).toEqual({ kind: 'unknown' })
  // As if the contract, or our key, had been at fault then.
  ledger.apply({ type: 'channel-restored', account: { ...spoiled, frozen: true } })
  expect(await manager.reexamine(spoiled.channelId)).toEqual({ kind: 'thawed' })
  expect(ledger.state.channels.get(spoiled.channelId)?.frozen).toBe(false)
  await manager.claimAll()
  await stepUntil(fixture, () => ledger.state.transactions.size === 0)
  ledger.apply({ type: 'channel-restored', account: { ...spoiled, chargedAtomic: 10n } })
  // Read again, as after any gap.
  fixture.scheme.context.follower.watch(spoiled.channelId)
  await manager.step()
  expect(ledger.state.channels.get(spoiled.channelId)?.frozen).toBe(true)
  expect(await manager.reexamine(spoiled.channelId)).toEqual({
    kind: 'foreign-claim',
    claimedAtomic: 40n,
    chargedAtomic: 10n,
  })
})

test('a channel that was claimed before this ledger knew it serves nothing', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  await fixture.scheme.manager.claimAll()
  await stepUntil(fixture, () => fixture.scheme.context.ledger.state.transactions.size === 0)
  await fixture.scheme.close()
  const directory = mkdtempSync(join(tmpdir(), 'countersign-channel-'))
  const again = await openChannelScheme({ ...fixture.options, directory })
  onTestFinished(async () => {
    await again.close()
    rmSync(directory, { recursive: true })
  })
  await again.manager.step()
  // The voucher of 100 stands in the claim: with C = K = 40 it would buy a call of 60.
  const lost = { ...fixture, scheme: again }
  const refused = await admit(lost, 60n, (offer) => payer.voucher(offer, 100n))
  expect(codeOf(refused)).toBe('channel-frozen')
  expect(again.context.ledger.state.channels.size).toBe(0)
})

test('a channel that was given back is retired, and goes on when it is filled again', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const { context } = fixture.scheme
  const { ledger, follower } = context
  const offer = offerOf(fixture.options.terms, 100n)
  expect(await refundChannel(context, payer.refund(offer, 40n), offer)).toMatchObject({
    kind: 'sent',
  })
  await stepUntil(fixture, () => {
    const account = ledger.state.channels.get(payer.channelId)
    return account?.refunding === undefined && ledger.state.transactions.size === 0
  })
  expect(ledger.state.retired.size).toBe(0)
  const headNumber = (): bigint => follower.headNumber() + 200n
  const late = createChannelManager({ ...context, follower: { ...follower, headNumber } })
  await late.step()
  expect([...ledger.state.retired.keys()]).toEqual([payer.channelId])
  expect(ledger.state.channels.size).toBe(0)
  const empty = await admit(fixture, 100n, (each) => payer.voucher(each, 140n))
  expect(codeOf(empty)).toBe('channel-unknown')
  expect(ledger.state.channels.size).toBe(0)
  const stolen = await admit(fixture, 60n, (each) => payer.deposit(each, 100n, 2000n))
  expect(codeOf(stolen)).toBe('channel-ceiling-used')
  const filled = await admit(fixture, 100n, (each) => payer.deposit(each, 140n, 2000n))
  await expectReservation(filled).charge(100n)
  expect(ledger.state.channels.get(payer.channelId)).toMatchObject({
    chargedAtomic: 140n,
    baseAtomic: 0n,
    view: { depositedAtomic: 2040n },
  })
})

test('a settlement key that the registry does not trust freezes nothing, and claims wait for it', async () => {
  const operator = await deployOperator(chain, keccak256('0x61'), chain.nextPayer().address)
  const fixture = await startScheme(chain, { receiverAuthorizer: operator.authorizer })
  const payer = await openPaidChannel(fixture)
  const { context, manager } = fixture.scheme
  const account = () => context.ledger.state.channels.get(payer.channelId)
  await expect(manager.claimAll()).rejects.toBeInstanceOf(SettlementKeyUntrusted)
  expect(account()).toMatchObject({ frozen: false, claim: undefined })
  const offer = offerOf(fixture.options.terms, 100n)
  const refused = await refundChannel(context, payer.refund(offer, 40n), offer)
  expect(refused).toMatchObject({ kind: 'refused', code: 'chain-unreachable' })
  expect(account()?.refunding).toBeUndefined()
  // Calls go on: what they owe is claimed when the key is trusted.
  await expectReservation(await admit(fixture, 100n, (each) => payer.voucher(each, 140n))).charge(
    5n,
  )
  await operator.registerKey(fixture.settlementKey)
  await manager.claimAll()
  await stepUntil(fixture, () => account()?.view.claimedAtomic === 45n)
  await operator.revokeKey(fixture.settlementKey)
  await expectReservation(await admit(fixture, 100n, (each) => payer.voucher(each, 145n))).charge(
    5n,
  )
  await expect(manager.claimAll()).rejects.toBeInstanceOf(SettlementKeyUntrusted)
  expect(account()?.frozen).toBe(false)
})

test('a channel whose charges cannot be claimed for two thirds of the delay takes no more calls', async () => {
  let nowMs = Date.now()
  const fixture = await startScheme(chain, { clock: () => nowMs })
  const payer = await openPaidChannel(fixture)
  const { context } = fixture.scheme
  nowMs += 600_000
  // As if the chain had been followed all the time, and no claim had arrived.
  const follower = { ...context.follower, lastReadAtMs: () => nowMs }
  const late = { ...fixture, scheme: { ...fixture.scheme, context: { ...context, follower } } }
  const refused = await admit(late, 100n, (offer) => payer.voucher(offer, 140n))
  expect(codeOf(refused)).toBe('channel-chain-stale')
})

test('a channel that holds less than is charged is claimed to its end', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture, 1000n)
  const { ledger } = fixture.scheme.context
  const account = ledger.state.channels.get(payer.channelId)
  if (account === undefined) throw new Error('no channel')
  const view = { ...account.view, depositedAtomic: 30n }
  const policy = { maxUnclaimedAtomic: 1n, maxTotalUnclaimedAtomic: 1n }
  ledger.apply({ type: 'channel-seen', channelId: payer.channelId, view })
  const rows = selectClaims(ledger.state, policy, Date.now(), true)
  expect(rows.map(({ totalAtomic }) => totalAtomic)).toEqual([30n])
})

test('refunds asked for at once, and by a manager that steps, are one transaction', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const { context, manager } = fixture.scheme
  const offer = offerOf(fixture.options.terms, 100n)
  const address = privateKeyToAddress(fixture.settlementKey)
  const before = await chain.client.getTransactionCount({ address })
  const balance = await balanceOf(fixture, privateKeyToAddress(fixture.key))
  const [first, second] = await Promise.all([
    refundChannel(context, payer.refund(offer, 40n, 500n), offer),
    refundChannel(context, payer.refund(offer, 40n, 700n), offer),
    manager.step(),
    manager.step(),
  ])
  expect([first.kind, second.kind].toSorted()).toEqual(['refused', 'sent'])
  await stepUntil(fixture, () => {
    const account = context.ledger.state.channels.get(payer.channelId)
    return account?.refunding === undefined && context.ledger.state.transactions.size === 0
  })
  expect(await chain.client.getTransactionCount({ address })).toBe(before + 1)
  const paid = first.kind === 'sent' ? 500n : 700n
  expect(await balanceOf(fixture, privateKeyToAddress(fixture.key))).toBe(balance + paid)
})

test('a refund that a dead process journaled is sent by the next, and holds up no claim', async () => {
  const fixture = await startScheme(chain)
  const payer = await openPaidChannel(fixture)
  const other = await openPaidChannel(fixture, 5000n, 1)
  const { channelId } = payer
  fixture.scheme.context.ledger.apply({ type: 'refund-signed', channelId, amountAtomic: 100n })
  await fixture.scheme.close()
  const again = await openChannelScheme({
    ...fixture.options,
    claimPolicy: { maxUnclaimedAtomic: 1n, maxTotalUnclaimedAtomic: 1n },
  })
  onTestFinished(() => again.close())
  const restarted = { ...fixture, scheme: again }
  const account = () => again.context.ledger.state.channels.get(channelId)
  expect(account()?.refunding).toMatchObject({ amountAtomic: 100n, nonce: 0n })
  // Somebody spoils the refund: the contract says no, and nothing is frozen by that.
  const known = account()
  if (known === undefined) throw new Error('no channel')
  const spoiled = {
    ...known,
    refunding: { amountAtomic: 100n, nonce: 7n, minedAtBlock: undefined },
  }
  again.context.ledger.apply({ type: 'channel-restored', account: spoiled })
  await expect(again.manager.step()).rejects.toBeInstanceOf(RefundRefused)
  expect(account()?.frozen).toBe(false)
  again.context.ledger.apply({ type: 'channel-restored', account: known })
  await stepUntil(restarted, () => account()?.refunding === undefined)
  expect(account()?.view.refundNonce).toBe(1n)
  expect(await claimedOf(fixture, other.channelId)).toBe(40n)
})

test('the manager steps by itself until the scheme closes', async () => {
  const fixture = await startScheme(chain, {
    claimPolicy: { maxUnclaimedAtomic: 10n, maxTotalUnclaimedAtomic: 10n },
  })
  const payer = await openPaidChannel(fixture)
  const faults: unknown[] = []
  const running = fixture.scheme.manager.run(20, (error) => faults.push(error))
  // More is owed than the policy allows: it is claimed without being asked.
  while ((await claimedOf(fixture, payer.channelId)) !== 40n) await setTimeout(40)
  await fixture.scheme.close()
  await running
  expect(faults).toEqual([])
})
