/** One random history of a ledger, every step of it checked against a simple model (spec/payment.md PA17, PA18). */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import {
  availableAtomic,
  isCeilingUsed,
  maxUsedCeilings,
  signedCeilingAtomic,
  type ChannelAccount,
} from '../../src/payment/ledger/channel-account.ts'
import type { ChainView } from '../../src/payment/ledger/channel-event.ts'
import { createLedger, type Ledger, type LedgerEvent } from '../../src/payment/ledger/ledger.ts'
import { createPayerAccount } from '../../src/payment/ledger/upto-account.ts'
import { encodeRecord, parseRecord } from '../../src/payment/ledger/record-codec.ts'
import { createRandom, type Random } from './random.ts'
import {
  addressOf,
  callOf,
  permitOf,
  reservationOf,
  sampleConfig,
  viewOf,
  wordOf,
} from './sample-events.ts'

/** What a history did: a simulation that did nothing proves nothing. */
export type ScheduleTally = {
  events: number
  refused: number
  reserved: number
  receipts: number
  mostRunning: number
  frozen: number
  uptoCharged: number
  retired: number
}

/** What the model remembers of one channel. */
type ChannelModel = {
  readonly channelId: Hex
  readonly baseAtomic: bigint
  receiptsAtomic: bigint
  /** What the latest refund took. */
  refundedAtomic: bigint
  /** Ceilings that bought a call. */
  readonly boughtBy: Map<bigint, string>
  chain: ChainView
}

type World = {
  readonly random: Random
  readonly ledger: Ledger
  readonly channels: readonly ChannelModel[]
  readonly payer: Hex
  /** How often each nonce was charged. */
  readonly uptoCharges: Map<bigint, number>
  readonly tally: ScheduleTally
  calls: number
}

/** An empty tally, to be added to. */
export function createTally(): ScheduleTally {
  return {
    events: 0,
    refused: 0,
    reserved: 0,
    receipts: 0,
    mostRunning: 0,
    frozen: 0,
    uptoCharged: 0,
    retired: 0,
  }
}

/** Runs the history of a seed; throws an AssertionError at the first step that breaks a rule. */
export function runSchedule(seed: number, tally: ScheduleTally): void {
  const random = createRandom(seed)
  const ledger = createLedger()
  const channels = Array.from({ length: 1 + random.below(2) }, (_, index): ChannelModel => {
    const claimedAtomic = random.chance(20) ? random.amount(500) : 0n
    return {
      channelId: wordOf(index + 1),
      baseAtomic: claimedAtomic,
      receiptsAtomic: 0n,
      refundedAtomic: 0n,
      boughtBy: new Map(),
      chain: viewOf(claimedAtomic + random.amount(5000), { claimedAtomic }),
    }
  })
  const world: World = {
    random,
    ledger,
    channels,
    payer: addressOf(9),
    uptoCharges: new Map(),
    tally,
    calls: 0,
  }
  for (const { channelId, chain: view } of channels) {
    step(world, { type: 'channel-opened', channelId, config: sampleConfig, view })
  }
  const length = 8 + random.below(40)
  for (let index = 0; index < length; index++) {
    if (random.chance(20)) stepUpto(world)
    else stepChannel(world, random.pick(channels))
  }
  if (random.chance(2)) checkCopy(ledger)
}

function step(world: World, event: LedgerEvent): boolean {
  const { ledger, tally } = world
  const before = snapshot(ledger)
  const { kind } = ledger.apply(event)
  tally.events++
  if (kind === 'refused') {
    tally.refused++
    // The very same records: nothing was touched.
    const after = snapshot(ledger)
    strictEqual(after.length, before.length)
    ok(after.every((record, index) => record === before[index]))
  }
  if (kind === 'accepted' && event.type === 'call-charged') writeReceipt(world, event)
  for (const model of world.channels) checkChannel(world, model)
  checkPayer(world)
  return kind === 'accepted'
}

/** A receipt says what the ledger owes a receipt for. */
function writeReceipt(
  { ledger, channels, tally }: World,
  event: { readonly callId: string },
): void {
  const owed = ledger.state.owedReceipts.get(event.callId)
  ok(owed?.payment.kind === 'channel')
  const { channelId, cumulativeAtomic } = owed.payment
  const model = channels.find((each) => each.channelId === channelId)
  ok(model !== undefined)
  model.receiptsAtomic += owed.amountAtomic
  strictEqual(cumulativeAtomic, model.baseAtomic + model.receiptsAtomic)
  tally.receipts++
}

function snapshot({ state }: Ledger): readonly unknown[] {
  return [
    ...state.channels.values(),
    ...state.retired.values(),
    ...state.payers.values(),
    ...state.payments.values(),
    ...state.owedReceipts.values(),
  ]
}

function stepChannel(world: World, model: ChannelModel): void {
  const { random } = world
  const account = world.ledger.state.channels.get(model.channelId)
  ok(account !== undefined)
  if (random.chance(3)) {
    retireAndReopen(world, model, account)
    return
  }
  const dice = random.below(100)
  const idle = account.running.length === 0 && random.chance(80)
  if (dice < 45 || (dice < 75 && idle)) reserve(world, model, account)
  else if (dice < 75) end(world, model, account)
  else if (dice < 80) {
    const { channelId } = model
    const amountAtomic = random.amount(3000)
    step(world, { type: 'refund-signed', channelId, amountAtomic })
  } else if (dice < 85) {
    const totalAtomic = account.chargedAtomic - (random.chance(30) ? random.amount(100) : 0n)
    step(world, { type: 'claim-sent', channelId: model.channelId, totalAtomic, atMs: 1 })
  } else if (dice < 88) step(world, { type: 'channel-thawed', channelId: model.channelId })
  else moveChain(world, model, account)
}

/** Emptied, forgotten and filled again: what was bought stays bought. */
function retireAndReopen(world: World, model: ChannelModel, account: ChannelAccount): void {
  const { random, tally } = world
  const { channelId } = model
  const depositedAtomic = account.view.claimedAtomic
  const view = { ...account.view, depositedAtomic, withdrawingAtomic: 0n }
  model.chain = view
  step(world, { type: 'channel-seen', channelId, view })
  if (!step(world, { type: 'channel-retired', channelId })) return
  tally.retired++
  ok(!world.ledger.state.channels.has(channelId))
  model.chain = { ...view, depositedAtomic: depositedAtomic + 1n + random.amount(5000) }
  ok(step(world, { type: 'channel-opened', channelId, config: sampleConfig, view: model.chain }))
}

function reserve(world: World, model: ChannelModel, account: ChannelAccount): void {
  const { random } = world
  const { channelId } = model
  const amountAtomic = random.amount(300)
  const signed = signedCeilingAtomic(account)
  const committed = account.chargedAtomic + account.reservedAtomic
  const ceilingAtomic = random.pick([
    account.chargedAtomic + amountAtomic,
    signed + 1n,
    committed + amountAtomic,
    committed + amountAtomic + random.amount(50),
    signed,
    random.amount(6000),
  ])
  const call = random.chance(5) ? world.calls : ++world.calls
  const event = reservationOf(channelId, call, amountAtomic, ceilingAtomic, {
    mode: random.chance(50) ? 'strict' : 'unique-ceiling',
    maxRunningCalls: 1 + random.below(8),
  })
  if (!step(world, event)) return
  world.tally.reserved++
  const next = world.ledger.state.channels.get(channelId)
  ok(next !== undefined)
  // Solvent at the moment of admission, with this call.
  const available = availableAtomic(next)
  ok(next.chargedAtomic + next.reservedAtomic <= available, 'reserved more than is there')
  ok(ceilingAtomic <= available, 'a ceiling above the balance')
  ok(!model.boughtBy.has(ceilingAtomic), 'one ceiling bought two calls')
  model.boughtBy.set(ceilingAtomic, event.callId)
  if (next.mode === 'strict') strictEqual(account.running.length, 0)
}

function end(world: World, model: ChannelModel, account: ChannelAccount): void {
  const { random } = world
  const { channelId } = model
  const call = account.running.length > 0 ? random.pick(account.running) : undefined
  const callId = call?.callId ?? callOf(999)
  const reserved = call?.reservedAtomic ?? 100n
  const dice = random.below(100)
  if (dice < 20) {
    if (!step(world, { type: 'call-released', channelId, callId })) return
    // A strict voucher is good again, and was shown to nobody.
    if (call !== undefined && account.mode === 'strict') model.boughtBy.delete(call.ceilingAtomic)
  } else if (dice < 35) {
    const provenAtomic = random.amount(320)
    step(world, { type: 'call-progressed', channelId, callId, provenAtomic })
  } else {
    const amountAtomic = random.pick([reserved, reserved / 2n, 1n, 0n, reserved + 1n, -1n])
    const charged = step(world, { type: 'call-charged', channelId, callId, amountAtomic, atMs: 1 })
    if (charged && random.chance(50)) step(world, { type: 'receipt-issued', callId })
  }
}

/** The chain does what contracts allow, forgets it again (a reorganisation), and sometimes what only a thief could. */
function moveChain(world: World, model: ChannelModel, account: ChannelAccount): void {
  const { random } = world
  const { chain } = model
  const blockNumber = chain.blockNumber + 1n
  const finalBlockNumber = blockNumber - random.pick([0n, 0n, 1n, 2n])
  const unclaimed = chain.depositedAtomic - chain.claimedAtomic
  const free = unclaimed > 0n ? unclaimed : 0n
  const taken = chain.withdrawingAtomic < free ? chain.withdrawingAtomic : free
  const claim = account.claim?.totalAtomic ?? 0n
  const withdrawn = {
    ...chain,
    blockNumber,
    finalBlockNumber,
    depositedAtomic: chain.depositedAtomic - taken,
    withdrawingAtomic: 0n,
  }
  const stolen = {
    ...chain,
    blockNumber,
    finalBlockNumber,
    claimedAtomic: account.chargedAtomic + 1n,
  }
  const usual: readonly ChainView[] = [
    {
      ...chain,
      blockNumber,
      finalBlockNumber,
      depositedAtomic: chain.depositedAtomic + random.amount(2000),
    },
    {
      ...chain,
      blockNumber,
      finalBlockNumber,
      claimedAtomic: claim > chain.claimedAtomic ? claim : chain.claimedAtomic,
    },
    {
      ...chain,
      blockNumber,
      finalBlockNumber,
      withdrawingAtomic: free / 2n,
      withdrawRequestedAtSeconds: 5n,
    },
    refund(model, account, { ...chain, blockNumber, finalBlockNumber }),
    { ...chain, blockNumber, finalBlockNumber, claimedAtomic: model.baseAtomic },
  ]
  const drained = chain.withdrawingAtomic > 0n && random.chance(60)
  const next = random.chance(1) ? stolen : drained ? withdrawn : random.pick(usual)
  model.chain = next
  step(world, { type: 'channel-seen', channelId: model.channelId, view: next })
}

/** The refund that was signed is paid, or a reorganisation takes it back; without one the nonce moves by itself. */
function refund(model: ChannelModel, { refunding }: ChannelAccount, chain: ChainView): ChainView {
  if (refunding === undefined) return { ...chain, refundNonce: chain.refundNonce + 1n }
  const { depositedAtomic, claimedAtomic } = chain
  if (refunding.minedAtBlock !== undefined) {
    return {
      ...chain,
      depositedAtomic: depositedAtomic + model.refundedAtomic,
      refundNonce: refunding.nonce,
    }
  }
  const free = depositedAtomic > claimedAtomic ? depositedAtomic - claimedAtomic : 0n
  model.refundedAtomic = refunding.amountAtomic < free ? refunding.amountAtomic : free
  return {
    ...chain,
    depositedAtomic: depositedAtomic - model.refundedAtomic,
    refundNonce: refunding.nonce + 1n,
  }
}

function stepUpto(world: World): void {
  const { random, payer } = world
  const nonce = random.amount(6)
  const dice = random.below(100)
  if (dice < 55) {
    const fundsAtomic = random.pick([1000n, random.amount(2000)])
    const accepted = step(world, {
      type: 'upto-reserved',
      payer,
      permit: permitOf(nonce, random.amount(400)),
      callId: callOf(100_000 + ++world.calls),
      requestHash: wordOf(1),
      fundsAtomic,
      maxExposureAtomic: 1500n,
    })
    const account = world.ledger.state.payers.get(payer)
    if (!accepted) return
    ok(account !== undefined)
    ok(account.reservedAtomic + account.unsettledAtomic <= fundsAtomic, 'more than the payer has')
  } else if (dice < 85) {
    const amountAtomic = random.amount(420)
    const type = random.chance(80) ? 'upto-charged' : 'upto-progressed'
    if (!step(world, { type, payer, nonce, amountAtomic }) || type !== 'upto-charged') return
    world.uptoCharges.set(nonce, (world.uptoCharges.get(nonce) ?? 0) + 1)
    world.tally.uptoCharged++
  } else {
    const ends = ['upto-released', 'upto-settled', 'upto-failed', 'upto-unsettled'] as const
    const type = random.pick(ends)
    step(world, { type, payer, nonce })
  }
}

function checkChannel({ ledger, tally }: World, model: ChannelModel): void {
  const account = ledger.state.channels.get(model.channelId)
  if (account === undefined) return
  const { chargedAtomic, reservedAtomic, running, baseAtomic, usedCeilings, view } = account
  const signed = signedCeilingAtomic(account)
  strictEqual(
    reservedAtomic,
    running.reduce((sum, call) => sum + call.reservedAtomic, 0n),
  )
  strictEqual(chargedAtomic - baseAtomic, model.receiptsAtomic, 'charged is not what receipts say')
  ok(chargedAtomic + reservedAtomic <= (signed > baseAtomic ? signed : baseAtomic), 'C + R > S')
  ok(
    account.signed === undefined ||
      isCeilingUsed(account, account.signed.ceilingAtomic) ||
      account.signed.ceilingAtomic < chargedAtomic,
    'claims show a voucher that is good for a call',
  )
  ok(account.frozen || view.claimedAtomic <= chargedAtomic, 'claimed more than charged')
  ok((account.claim?.totalAtomic ?? 0n) <= chargedAtomic, 'a claim above the charges')
  ok(account.mode === 'unique-ceiling' || running.length <= 1, 'two strict calls at once')
  ok(running.every((call) => call.provenAtomic <= call.reservedAtomic))
  ok(usedCeilings.length <= maxUsedCeilings)
  ok(
    usedCeilings.every(
      (ceiling, index) => ceiling > (usedCeilings[index - 1] ?? account.floorAtomic),
    ),
  )
  if (running.length > tally.mostRunning) tally.mostRunning = running.length
  if (account.frozen) tally.frozen++
}

function checkPayer({ ledger, payer, uptoCharges }: World): void {
  const account = ledger.state.payers.get(payer) ?? createPayerAccount(payer)
  const sums = { reserved: 0n, charged: 0n, failed: 0n }
  for (const { state, permit } of ledger.state.payments.values()) {
    if (state.kind === 'running') sums.reserved += permit.amountAtomic
    else {
      ok(state.chargedAtomic <= permit.amountAtomic, 'charged more than was signed')
      if (state.kind !== 'settled') sums[state.kind] += state.chargedAtomic
    }
  }
  strictEqual(account.reservedAtomic, sums.reserved)
  strictEqual(account.unsettledAtomic, sums.charged)
  strictEqual(account.failedAtomic, sums.failed)
  for (const count of uptoCharges.values()) strictEqual(count, 1, 'one payment was charged twice')
}

/** A checkpoint through its text makes the same ledger. */
function checkCopy(ledger: Ledger): void {
  const copy = createLedger()
  for (const event of ledger.dump()) copy.apply(parseRecord(encodeRecord(event)))
  deepStrictEqual(copy.state, ledger.state)
}
