import { expect, test } from 'vitest'
import {
  isCeilingUsed,
  isNews,
  maxUsedCeilings,
  reduceChannel,
  retireChannel,
  type ChannelAccount,
} from '../src/payment/ledger/channel-account.ts'
import type { CallReserved, ChannelEvent } from '../src/payment/ledger/channel-event.ts'
import { createLedger, type LedgerEvent } from '../src/payment/ledger/ledger.ts'
import { encodeRecord, parseRecord } from '../src/payment/ledger/record-codec.ts'
import { callOf, reservationOf, sampleConfig, viewOf, wordOf } from './ledger/sample-events.ts'

const channelId = wordOf(1)

function open(depositedAtomic: bigint, changes = {}): ChannelAccount {
  const view = viewOf(depositedAtomic, changes)
  return run(undefined, { type: 'channel-opened', channelId, config: sampleConfig, view })
}

/** The account after these events, all of which are accepted. */
function run(
  account: ChannelAccount | undefined,
  ...events: readonly ChannelEvent[]
): ChannelAccount {
  let current = account
  for (const event of events) {
    const step = reduceChannel(current, event)
    if (step.kind === 'refused') throw new Error(`${event.type} was refused: ${step.code}`)
    current = step.next
  }
  if (current === undefined) throw new Error('no event')
  return current
}

function refusalOf(account: ChannelAccount | undefined, event: ChannelEvent): string {
  const step = reduceChannel(account, event)
  if (step.kind === 'accepted') throw new Error('accepted')
  return step.code
}

function strict(call: number, amount: bigint, ceiling: bigint): CallReserved {
  return reservationOf(channelId, call, amount, ceiling)
}

function unique(call: number, amount: bigint, ceiling: bigint, maxRunningCalls = 64): CallReserved {
  return reservationOf(channelId, call, amount, ceiling, {
    mode: 'unique-ceiling',
    maxRunningCalls,
  })
}

function charge(call: number, amountAtomic: bigint, atMs = 5): ChannelEvent {
  return { type: 'call-charged', channelId, callId: callOf(call), amountAtomic, atMs }
}

function seen(depositedAtomic: bigint, changes = {}): ChannelEvent {
  return { type: 'channel-seen', channelId, view: viewOf(depositedAtomic, changes) }
}

test('a strict channel takes one call after the other, each with exactly the next ceiling', () => {
  const first = run(open(1000n), strict(1, 100n, 100n))
  expect(refusalOf(first, strict(2, 100n, 200n))).toBe('channel-busy')
  expect(refusalOf(first, strict(2, 100n, 100n))).toBe('channel-busy')
  const charged = run(first, charge(1, 40n))
  expect(charged).toMatchObject({ chargedAtomic: 40n, reservedAtomic: 0n, running: [] })
  expect(refusalOf(charged, strict(2, 100n, 100n))).toBe('channel-ceiling-mismatch')
  expect(refusalOf(charged, strict(2, 100n, 141n))).toBe('channel-ceiling-mismatch')
  expect(run(charged, strict(2, 100n, 140n)).reservedAtomic).toBe(100n)
})

test('a released strict voucher is usable again, and a charge of 0 is none', () => {
  const first = run(open(1000n), strict(1, 100n, 100n))
  expect(refusalOf(first, charge(1, 0n))).toBe('charge-below-minimum')
  const released = run(first, { type: 'call-released', channelId, callId: callOf(1) })
  expect(run(released, strict(2, 100n, 100n)).running).toHaveLength(1)
})

test('a strict voucher that bought a call buys no second one, however little the first cost', () => {
  const paid = run(open(1000n), strict(1, 100n, 100n), charge(1, 40n))
  // Whoever saw the voucher of 100 in a claim or a correction asks for a call of 60.
  expect(refusalOf(paid, strict(2, 60n, 100n))).toBe('channel-ceiling-used')
  // The payer's own next voucher may be lower than that one.
  const lower = run(paid, strict(2, 20n, 60n), charge(2, 20n))
  expect(refusalOf(lower, strict(3, 40n, 100n))).toBe('channel-ceiling-used')
  expect(lower.signed?.ceilingAtomic).toBe(100n)
})

test('a voucher that is still good for a call never stands in a claim or a correction', () => {
  const reserved = run(open(1000n), strict(1, 100n, 100n), charge(1, 40n), strict(2, 100n, 140n))
  expect(reserved.signed?.ceilingAtomic).toBe(100n)
  const released = run(reserved, { type: 'call-released', channelId, callId: callOf(2) })
  expect(released.signed?.ceilingAtomic).toBe(100n)
  const again = run(released, strict(3, 100n, 140n), charge(3, 1n))
  expect(again.signed?.ceilingAtomic).toBe(140n)
})

test('ceilings that bought a call are remembered, and more than that are refused', () => {
  let account = open(100_000n)
  for (let call = 1; call <= maxUsedCeilings + 1; call++) {
    account = run(account, strict(call, 1000n, account.chargedAtomic + 1000n), charge(call, 1n))
  }
  expect(account.usedCeilings).toHaveLength(maxUsedCeilings)
  expect(account.floorAtomic).toBe(1000n)
  expect(isCeilingUsed(account, account.chargedAtomic)).toBe(true)
})

test('a ceiling of exactly what is charged is known to have bought a call, or not', () => {
  const partly = run(open(1000n), strict(1, 100n, 100n), charge(1, 40n))
  expect(isCeilingUsed(partly, 40n)).toBe(false)
  const fully = run(partly, strict(2, 60n + 1n, 101n), charge(2, 60n))
  expect(isCeilingUsed(fully, 100n)).toBe(true)
  // What was claimed before we knew the channel was claimed by vouchers that are public.
  expect(isCeilingUsed(open(1000n, { claimedAtomic: 300n }), 300n)).toBe(true)
})

test('unique ceilings arrive in any order and buy one call each', () => {
  const account = run(open(1000n), unique(1, 100n, 300n), unique(2, 100n, 200n))
  expect(account).toMatchObject({ reservedAtomic: 200n, usedCeilings: [200n, 300n] })
  expect(refusalOf(account, unique(3, 100n, 200n))).toBe('channel-ceiling-used')
  expect(refusalOf(account, unique(3, 200n, 301n))).toBe('channel-ceiling-too-low')
  const third = run(account, unique(3, 100n, 250n))
  expect(refusalOf(third, unique(4, 1n, 299n))).toBe('channel-ceiling-too-low')
  const free = run(third, charge(2, 0n), charge(1, 100n))
  // Used up although nothing was charged.
  expect(refusalOf(free, unique(5, 10n, 200n))).toBe('channel-ceiling-used')
  // A payer that knows nothing of unique ceilings goes on with the next one that is free.
  expect(run(free, strict(5, 10n, 301n)).mode).toBe('unique-ceiling')
})

test('a call of its own too low a ceiling is refused even when others signed enough', () => {
  const account = run(open(1000n), unique(1, 100n, 900n), charge(1, 100n))
  expect(refusalOf(account, unique(2, 100n, 199n))).toBe('channel-ceiling-too-low')
  expect(run(account, unique(2, 100n, 200n)).running).toHaveLength(1)
})

test('the change to unique ceilings waits for the running call and uses up all earlier ceilings', () => {
  const first = run(open(1000n), strict(1, 100n, 100n))
  expect(refusalOf(first, unique(2, 100n, 300n))).toBe('channel-busy')
  const idle = run(first, charge(1, 40n))
  expect(refusalOf(idle, unique(2, 60n, 100n))).toBe('channel-ceiling-used')
  expect(run(idle, unique(2, 60n, 101n)).mode).toBe('unique-ceiling')
})

test('only the advertised number of calls runs', () => {
  const account = run(open(1000n), unique(1, 10n, 10n, 2), unique(2, 10n, 20n, 2))
  expect(refusalOf(account, unique(3, 10n, 30n, 2))).toBe('channel-busy')
})

test('a released unique ceiling buys nothing more, nor does one that fell out of the window', () => {
  let account = run(open(100_000n), unique(1, 1n, 1000n))
  const released = run(account, { type: 'call-released', channelId, callId: callOf(1) })
  // A claim may have shown it to everybody.
  expect(refusalOf(released, unique(2, 1n, 1000n))).toBe('channel-ceiling-used')
  for (let index = 1; index <= maxUsedCeilings; index++) {
    account = run(account, unique(1 + index, 1n, 1000n + BigInt(index)), charge(1 + index, 0n))
  }
  expect(account.usedCeilings).toHaveLength(maxUsedCeilings)
  expect(account.floorAtomic).toBe(1000n)
  expect(refusalOf(account, unique(999, 1n, 999n))).toBe('channel-ceiling-used')
})

test('nothing is reserved beyond the balance, and nothing at all while money is asked back', () => {
  const account = open(100n)
  expect(refusalOf(account, strict(1, 101n, 101n))).toBe('channel-balance-exceeded')
  expect(refusalOf(account, unique(1, 10n, 101n))).toBe('channel-balance-exceeded')
  expect(refusalOf(run(account, seen(100n, { withdrawingAtomic: 1n })), strict(1, 1n, 1n))).toBe(
    'channel-withdrawing',
  )
  const running = run(account, strict(1, 60n, 60n), seen(50n))
  // The deposit was reorganised away: what runs goes on, what comes is refused.
  const charged = run(running, charge(1, 60n))
  expect(refusalOf(charged, strict(2, 1n, 61n))).toBe('channel-balance-exceeded')
})

test('a refund needs an idle channel and lasts until its nonce is used on chain', () => {
  const account = run(open(1000n), strict(1, 100n, 100n))
  const refund = { type: 'refund-signed', channelId, amountAtomic: 960n } as const
  expect(refusalOf(account, refund)).toBe('channel-busy')
  const idle = run(account, charge(1, 40n))
  expect(refusalOf(idle, { ...refund, amountAtomic: 961n })).toBe('refund-amount-invalid')
  expect(refusalOf(idle, { ...refund, amountAtomic: 0n })).toBe('refund-amount-invalid')
  const signed = run(idle, refund)
  expect(refusalOf(signed, strict(2, 1n, 41n))).toBe('channel-withdrawing')
  expect(refusalOf(signed, refund)).toBe('channel-withdrawing')
  const pending = run(signed, seen(1000n))
  expect(pending.refunding?.amountAtomic).toBe(960n)
  const paid = run(pending, seen(40n, { refundNonce: 1n }))
  expect(paid.refunding).toBeUndefined()
  expect(refusalOf({ ...idle, frozen: true }, refund)).toBe('channel-frozen')
})

test('a refund that a reorganisation takes back is still asked back, until its block is deep enough', () => {
  const refund = { type: 'refund-signed', channelId, amountAtomic: 600n } as const
  const signed = run(open(1000n), refund)
  const young = { refundNonce: 1n, blockNumber: 9n, finalBlockNumber: 7n }
  const mined = run(signed, seen(400n, young))
  // The money is gone already, so what is left can be used; but there is one refund at a time.
  expect(mined.refunding?.minedAtBlock).toBe(9n)
  expect(run(mined, strict(1, 400n, 400n)).running).toHaveLength(1)
  expect(refusalOf(mined, refund)).toBe('channel-withdrawing')
  // The block is taken back: whoever has the signature can send it again.
  const back = run(mined, seen(1000n, { blockNumber: 9n, finalBlockNumber: 7n }))
  expect(refusalOf(back, strict(1, 400n, 400n))).toBe('channel-withdrawing')
  expect(isNews(back, { ...back.view, ...young })).toBe(true)
  const again = run(back, seen(400n, { ...young, blockNumber: 10n, finalBlockNumber: 8n }))
  const later = { ...again.view, blockNumber: 12n, finalBlockNumber: 10n }
  expect(isNews(again, { ...later, finalBlockNumber: 9n })).toBe(false)
  expect(isNews(again, later)).toBe(true)
  const paid = run(again, { type: 'channel-seen', channelId, view: later })
  expect(paid.refunding).toBeUndefined()
  expect(isNews(paid, later)).toBe(false)
})

test('a channel that somebody else claimed from is frozen', () => {
  const account = run(open(1000n), strict(1, 100n, 100n), charge(1, 40n))
  const stolen = run(account, seen(1000n, { claimedAtomic: 41n }))
  expect(stolen.frozen).toBe(true)
  expect(refusalOf(stolen, strict(2, 1n, 41n))).toBe('channel-frozen')
  // A reorganisation that takes the claim back does not undo the suspicion.
  expect(run(stolen, seen(1000n)).frozen).toBe(true)
  expect(run(account, { type: 'channel-frozen', channelId }).frozen).toBe(true)
})

test('a channel with a past begins at what was claimed', () => {
  const account = open(1000n, { claimedAtomic: 300n })
  expect(account).toMatchObject({ baseAtomic: 300n, chargedAtomic: 300n })
  expect(run(account, strict(1, 10n, 310n)).running).toHaveLength(1)
})

test('the age of unclaimed charges is that of the first one after the latest claim', () => {
  const first = run(open(1000n), strict(1, 100n, 100n), charge(1, 10n, 5))
  expect(first.unclaimedSinceMs).toBe(5)
  const claimed = run(
    first,
    { type: 'claim-sent', channelId, totalAtomic: 10n, atMs: 7 },
    strict(2, 100n, 110n),
    charge(2, 10n, 9),
  )
  expect(claimed.unclaimedSinceMs).toBe(5)
  expect(run(claimed, seen(1000n, { claimedAtomic: 10n })).unclaimedSinceMs).toBe(7)
  expect(run(claimed, seen(1000n, { claimedAtomic: 20n })).unclaimedSinceMs).toBeUndefined()
  const unclaimed = run(claimed, seen(1000n, { claimedAtomic: 20n }), seen(1000n))
  expect(unclaimed.unclaimedSinceMs).toBeLessThanOrEqual(7)
})

test.each<readonly [string, ChannelEvent]>([
  ['account-exists', { type: 'channel-opened', channelId, config: sampleConfig, view: viewOf(1n) }],
  ['call-exists', unique(1, 1n, 500n)],
  ['call-unknown', charge(9, 1n)],
  ['call-unknown', { type: 'call-released', channelId, callId: callOf(9) }],
  ['call-unknown', { type: 'call-progressed', channelId, callId: callOf(9), provenAtomic: 1n }],
  ['charge-exceeds-reservation', charge(1, 101n)],
  [
    'charge-exceeds-reservation',
    { type: 'call-progressed', channelId, callId: callOf(1), provenAtomic: 101n },
  ],
  ['amount-invalid', { type: 'call-progressed', channelId, callId: callOf(1), provenAtomic: 4n }],
  ['amount-invalid', charge(1, -1n)],
  ['amount-invalid', unique(2, 0n, 500n)],
  ['amount-invalid', { type: 'claim-sent', channelId, totalAtomic: 1n, atMs: 1 }],
])('what only a mistake of ours sends is refused: %s', (code, event) => {
  const account = run(open(1000n), unique(1, 100n, 100n), {
    type: 'call-progressed',
    channelId,
    callId: callOf(1),
    provenAtomic: 5n,
  })
  expect(refusalOf(account, event)).toBe(code)
})

test('an event of an unknown channel is refused', () => {
  expect(refusalOf(undefined, charge(1, 1n))).toBe('channel-unknown')
})

test('a channel without money is retired, and its old vouchers buy nothing when it is filled again', () => {
  const ledger = createLedger()
  const opened = { type: 'channel-opened', channelId, config: sampleConfig } as const
  const apply = (event: LedgerEvent): string => {
    const step = ledger.apply(event)
    return step.kind === 'refused' ? step.code : 'accepted'
  }
  const retire = { type: 'channel-retired', channelId } as const
  expect(apply(retire)).toBe('channel-unknown')
  expect(apply({ ...opened, view: viewOf(1000n) })).toBe('accepted')
  expect(apply(retire)).toBe('still-needed')
  for (const event of [strict(1, 100n, 100n), charge(1, 40n)]) apply(event)
  expect(apply(seen(40n, { claimedAtomic: 40n, withdrawingAtomic: 1n }))).toBe('accepted')
  expect(apply(retire)).toBe('still-needed')
  apply(seen(40n, { claimedAtomic: 40n }))
  expect(apply(retire)).toBe('accepted')
  expect(ledger.state.channels.size).toBe(0)
  const copy = createLedger()
  for (const event of ledger.dump()) copy.apply(parseRecord(encodeRecord(event)))
  expect(copy.state).toEqual(ledger.state)
  expect(apply({ ...opened, view: viewOf(2000n, { claimedAtomic: 40n }) })).toBe('accepted')
  expect(ledger.state.retired.size).toBe(0)
  expect(apply(strict(2, 60n, 100n))).toBe('channel-ceiling-used')
  expect(apply(strict(2, 100n, 140n))).toBe('accepted')
})

test('a retired channel whose claim was taken back owes it, and one that was claimed more is frozen', () => {
  const rest = retireChannel(
    run(open(1000n), strict(1, 100n, 100n), charge(1, 40n), seen(40n, { claimedAtomic: 40n })),
  )
  const reopen = (claimedAtomic: bigint): ChannelAccount | undefined => {
    const view = viewOf(1000n, { claimedAtomic })
    const event = { type: 'channel-opened', channelId, config: sampleConfig, view } as const
    const step = reduceChannel(undefined, event, rest)
    return step.kind === 'accepted' ? step.next : undefined
  }
  expect(reopen(0n)).toMatchObject({ chargedAtomic: 40n, unclaimedSinceMs: 0, frozen: false })
  expect(reopen(40n)).toMatchObject({ unclaimedSinceMs: undefined, frozen: false })
  expect(reopen(41n)?.frozen).toBe(true)
  // Of a channel that was never charged nothing is kept.
  const ledger = createLedger()
  const view = viewOf(10n)
  ledger.apply({ type: 'channel-opened', channelId, config: sampleConfig, view })
  ledger.apply(seen(0n))
  ledger.apply({ type: 'channel-retired', channelId })
  expect(ledger.dump()).toEqual([])
})

test('a frozen channel thaws, but not when somebody else claimed from it', () => {
  const account = run(open(1000n), strict(1, 100n, 100n), charge(1, 40n))
  const thaw = { type: 'channel-thawed', channelId } as const
  const frozen = run(account, { type: 'channel-frozen', channelId })
  expect(retireChannel({ ...frozen, view: viewOf(0n) })).toBeUndefined()
  expect(run(frozen, thaw).frozen).toBe(false)
  expect(refusalOf(run(account, seen(1000n, { claimedAtomic: 41n })), thaw)).toBe('channel-frozen')
})
