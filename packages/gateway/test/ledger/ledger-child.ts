/**
 * A process that charges calls until it is killed: `ledger-child.ts DIRECTORY SEED`. Each line says what is durable at
 * that moment, and a pipe keeps it whatever happens to the process. The first line is what it found.
 */
import { writeSync } from 'node:fs'
import { isCeilingUsed } from '../../src/payment/ledger/channel-account.ts'
import { openDurableLedger, type DurableLedger } from '../../src/payment/ledger/durable-ledger.ts'
import type { LedgerEvent } from '../../src/payment/ledger/ledger.ts'
import { createRandom, type Random } from './random.ts'
import {
  permitOf,
  reservationOf,
  sampleConfig,
  viewOf,
  wordOf,
  addressOf,
} from './sample-events.ts'

const [directory = '', seedText = '1'] = process.argv.slice(2)
const seed = Number(seedText)
const channelCount = 6
const workersPerChannel = 4
const payer = addressOf(77)
const refundedChannel = wordOf(99)
let calls = 0

const ledger = await openDurableLedger({
  directory,
  clock: () => 1,
  onFault: (error) => {
    throw error
  },
  // Small, so that kills also hit checkpoints.
  segmentBytes: 1 << 16,
})
say('open', {
  channels: [...ledger.state.channels.values()].map(({ channelId, chargedAtomic, running }) => ({
    channelId,
    chargedAtomic: `${chargedAtomic}`,
    running: running.length,
  })),
  retired: Array.from(ledger.state.retired, ([channelId, { chargedAtomic }]) => ({
    channelId,
    chargedAtomic: `${chargedAtomic}`,
  })),
  refunds: rankOfRefunds(),
  payments: [...ledger.state.payments.values()].map(({ callId, state }) => ({
    callId,
    chargedAtomic: state.kind === 'running' ? 'running' : `${state.chargedAtomic}`,
  })),
})
for (const { callId, amountAtomic, payment } of ledger.state.owedReceipts.values()) {
  receipt(payment.kind === 'channel' ? payment.channelId : 'upto', callId, amountAtomic)
}
say('ready', {})
const workers = Array.from({ length: channelCount }, (_, index) => startChannel(index + 1))
await Promise.all([
  ...workers,
  retireChannel(channelCount + 1, createRandom(seed + 2000)),
  refundChannel(),
  chargeUpto(createRandom(seed + 1000)),
])

async function startChannel(index: number): Promise<void> {
  const channelId = wordOf(index)
  if (!ledger.state.channels.has(channelId)) {
    const view = viewOf(10n ** 15n)
    expectAccepted({ type: 'channel-opened', channelId, config: sampleConfig, view })
  }
  // The first two channels are strict: one call at a time.
  const count = index <= 2 ? 1 : workersPerChannel
  await Promise.all(
    Array.from({ length: count }, (_, worker) =>
      chargeChannel(index, createRandom(seed * 100 + index * 10 + worker)),
    ),
  )
}

/** It is charged, claimed, emptied, retired and filled again: its receipts must add up over all of that. */
async function retireChannel(index: number, random: Random): Promise<never> {
  const channelId = wordOf(index)
  for (;;) {
    const { chargedAtomic = 0n } =
      ledger.state.retired.get(channelId) ?? ledger.state.channels.get(channelId) ?? {}
    // Also after a kill between its last claim and its retirement.
    const view = viewOf(10n ** 15n, { claimedAtomic: chargedAtomic })
    expectAccepted(
      ledger.state.channels.has(channelId)
        ? { type: 'channel-seen', channelId, view }
        : { type: 'channel-opened', channelId, config: sampleConfig, view },
    )
    await chargeCalls(index, random, 3)
    const totalAtomic = ledger.state.channels.get(channelId)?.chargedAtomic ?? 0n
    const emptied = viewOf(totalAtomic, { claimedAtomic: totalAtomic })
    expectAccepted({ type: 'channel-frozen', channelId })
    expectAccepted({ type: 'channel-thawed', channelId })
    expectAccepted({ type: 'channel-seen', channelId, view: emptied })
    await ledger.durable()
    expectAccepted({ type: 'channel-retired', channelId })
    // Long enough to be killed in this state: each waits for a group that others write.
    for (let group = 0; group < 30; group++) await ledger.durable()
  }
}

/** One refund after the other. Each step has a rank, and a successor must find the last that was durable, or the next. */
async function refundChannel(): Promise<never> {
  const channelId = refundedChannel
  if (!ledger.state.channels.has(channelId)) {
    const view = viewOf(10n ** 15n)
    expectAccepted({ type: 'channel-opened', channelId, config: sampleConfig, view })
    await ledger.durable()
    say('refunds', { rank: rankOfRefunds() })
  }
  for (;;) {
    const account = ledger.state.channels.get(channelId)
    if (account === undefined) throw new Error('the channel is gone')
    const { view, refunding } = account
    const blockNumber = view.blockNumber + 1n
    if (refunding === undefined) {
      expectAccepted({ type: 'refund-signed', channelId, amountAtomic: 1n })
    } else if (refunding.minedAtBlock === undefined) {
      const refundNonce = view.refundNonce + 1n
      const mined = { ...view, blockNumber, refundNonce }
      expectAccepted({ type: 'channel-seen', channelId, view: mined })
    } else {
      const final = { ...view, blockNumber, finalBlockNumber: blockNumber }
      expectAccepted({ type: 'channel-seen', channelId, view: final })
    }
    await ledger.durable()
    say('refunds', { rank: rankOfRefunds() })
  }
}

function rankOfRefunds(): number {
  const account = ledger.state.channels.get(refundedChannel)
  if (account === undefined) return -1
  const { view, refunding } = account
  const step = refunding === undefined ? 0 : refunding.minedAtBlock === undefined ? 1 : -1
  return Number(view.refundNonce) * 3 + step
}

async function chargeChannel(index: number, random: Random): Promise<never> {
  for (;;) await chargeCalls(index, random, 1)
}

async function chargeCalls(index: number, random: Random, count: number): Promise<void> {
  const channelId = wordOf(index)
  for (let done = 0; done < count; done++) {
    const account = ledger.state.channels.get(channelId)
    if (account === undefined) throw new Error('the channel is gone')
    const call = nextCall()
    const strict = index <= 2 || index > channelCount
    let amount = 1n + random.amount(500)
    // A call that cost less than its ceiling used up a voucher that this amount may fit (PA18.3).
    if (strict) while (isCeilingUsed(account, account.chargedAtomic + amount)) amount++
    const committed = account.chargedAtomic + account.reservedAtomic + amount
    const signed = account.signed?.ceilingAtomic ?? 0n
    const ceiling = signed >= committed ? signed + 1n : committed
    const reserved = reservationOf(
      channelId,
      call,
      amount,
      strict ? account.chargedAtomic + amount : ceiling,
      { mode: strict ? 'strict' : 'unique-ceiling' },
    )
    expectAccepted(reserved)
    await ledger.durable()
    const { callId } = reserved
    say('reserved', { callId, channelId })
    const provenAtomic = random.amount(Number(amount))
    expectAccepted({ type: 'call-progressed', channelId, callId, provenAtomic })
    await ledger.durable()
    say('proven', { callId, atomic: `${provenAtomic}` })
    const rest = amount - provenAtomic
    const amountAtomic = provenAtomic + 1n + random.amount(Number(rest))
    expectAccepted({ type: 'call-charged', channelId, callId, amountAtomic, atMs: 1 })
    await ledger.durable()
    receipt(channelId, callId, amountAtomic)
  }
}

async function chargeUpto(random: Random): Promise<never> {
  for (;;) {
    const call = nextCall()
    const nonce = BigInt(call)
    const permit = permitOf(nonce, 1n + random.amount(300))
    const callId = reservationOf(wordOf(1), call, 1n, 1n).callId
    expectAccepted({
      type: 'upto-reserved',
      payer,
      permit,
      callId,
      requestHash: wordOf(call),
      fundsAtomic: 10n ** 15n,
      maxExposureAtomic: 10n ** 15n,
    })
    await ledger.durable()
    say('reserved', { callId, channelId: 'upto' })
    const amountAtomic = random.amount(Number(permit.amountAtomic))
    expectAccepted({ type: 'upto-charged', payer, nonce, amountAtomic })
    await ledger.durable()
    receipt('upto', callId, amountAtomic)
  }
}

/** A receipt leaves only when its charge is durable; that it left may be forgotten by a crash. */
function receipt(channelId: string, callId: string, amountAtomic: bigint): void {
  say('receipt', { channelId, callId, atomic: `${amountAtomic}` })
  expectAccepted({ type: 'receipt-issued', callId })
}

function nextCall(): number {
  calls++
  return seed * 2 ** 24 + calls
}

function expectAccepted(event: LedgerEvent): void {
  const step: ReturnType<DurableLedger['apply']> = ledger.apply(event)
  if (step.kind === 'refused') throw new Error(`${event.type} was refused: ${step.code}`)
}

function say(what: string, data: object): void {
  writeSync(1, `${JSON.stringify({ what, ...data })}\n`)
}
