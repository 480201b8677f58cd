/** Brings what was paid to the operator, by itself and last of all (spec/payment.md PA31). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { PublicClient, TransactionReceipt } from 'viem'
import { gasOfLargestClaim } from '../channel/claims.ts'
import { isRevert, revertDataOf } from '../channel/settlement-key.ts'
import { sendJournaled } from '../channel/transaction-book.ts'
import { pause } from '../exact/pause.ts'
import { MaybeSent, NotSent, type Sender } from '../exact/sender.ts'
import { SenderBusy } from '../exact/sender-turns.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import { movedAtomic } from '../moved.ts'
import {
  backOffMs,
  chooseStep,
  createPlaceMemory,
  type CollectPolicy,
  type PlaceMemory,
} from './choose-step.ts'
import {
  encodeStep,
  readOwner,
  readPlace,
  type CollectPlace,
  type CollectStep,
  type PayTo,
} from './collect-place.ts'
import type {
  CollectNews,
  CollectObstacle,
  CollectResult,
  CollectState,
  CollectStatus,
} from './collect-status.ts'

/** What it works with. */
export type CollectContext = {
  readonly client: PublicClient
  readonly ledger: DurableLedger
  readonly sender: Sender
  /** Of the settlement key. */
  readonly senderAddress: Hex
  readonly asset: Hex
  readonly payTos: readonly PayTo[]
  /** `undefined`: nothing is sent; what an earlier process sent is ended. */
  readonly policy: CollectPolicy | undefined
  /** The receipt of a transaction, once it has the configured depth. */
  readonly findReceipt: (hash: Hex) => Promise<TransactionReceipt | undefined>
  /** Whether the chain is known to be the configured one. */
  readonly isOpen: () => boolean
  readonly onNews: (news: CollectNews) => void
  readonly clock: () => number
}

/** Owns the steps of collecting. */
export type Collector = {
  /** One turn: ends what is over, or looks and sends one transaction at most. Rejects when the chain does not answer. */
  step(): Promise<void>
  /** Steps until the signal is aborted. */
  run(signal: AbortSignal, onFault: (error: unknown) => void): Promise<void>
  /** `undefined` where nothing is to be collected. */
  status(): CollectStatus | undefined
}

/** What a transaction may take at most, and counts for the day. */
const gasOfStep = 150_000n

const stepMs = 1000
const longestLookMs = 60_000
const dayMs = 86_400_000

/** Owned by the one step that runs at a time. */
type State = {
  /** The clock at the step before. */
  steppedAtMs: number
  nextLookMs: number
  obstacle: CollectObstacle | undefined
  /** What the log was told last. */
  told: CollectState
  readonly memories: Map<Hex, PlaceMemory>
  readonly places: Map<Hex, CollectPlace>
  readonly counts: Map<
    string,
    { readonly step: CollectStep; readonly result: CollectResult; count: number }
  >
}

/** A collector that has not looked yet. */
export function createCollector(context: CollectContext): Collector {
  const { policy, ledger } = context
  const state: State = {
    steppedAtMs: -Infinity,
    nextLookMs: 0,
    obstacle: undefined,
    told: 'waiting',
    memories: new Map(context.payTos.map(({ address }) => [address, createPlaceMemory()])),
    places: new Map(),
    counts: new Map(),
  }
  const step = async (): Promise<void> => {
    try {
      await takeStep(context, state)
    } finally {
      tell(context, state)
    }
  }
  return {
    step,
    run: async (signal, onFault) => {
      while (!signal.aborted) {
        if (policy === undefined && !isUnderWay(ledger)) return
        try {
          await step()
        } catch (error) {
          if (!signal.aborted) onFault(error)
        }
        // Only the signal ends a pause.
        await pause(stepMs, signal).catch(() => undefined)
      }
    },
    status: () => (policy === undefined ? undefined : describe(context, state)),
  }
}

async function takeStep(context: CollectContext, state: State): Promise<void> {
  await endSent(context, state)
  const { policy, ledger, isOpen, clock, payTos } = context
  if (policy === undefined || isUnderWay(ledger) || !isOpen()) return
  const nowMs = clock()
  followClock(state, nowMs)
  if (nowMs < state.nextLookMs) return
  // A fault waits as long as a look that finds nothing.
  state.nextLookMs = nowMs + Math.min(longestLookMs, Math.max(stepMs, policy.minIntervalMs))
  state.obstacle = undefined
  for (const payTo of payTos) {
    if (await bringOn(context, state, policy, payTo)) return
  }
}

/** A clock that goes back takes with it all that is waited for. */
function followClock(state: State, nowMs: number): void {
  const backMs = Math.max(0, state.steppedAtMs - nowMs)
  state.steppedAtMs = nowMs
  state.nextLookMs -= backMs
  for (const { settle, forward } of state.memories.values()) {
    settle.nextAtMs -= backMs
    forward.nextAtMs -= backMs
  }
}

/** Looks at one payTo; true when a transaction was signed for it. */
async function bringOn(
  context: CollectContext,
  state: State,
  policy: CollectPolicy,
  payTo: PayTo,
): Promise<boolean> {
  const { client, ledger, asset, clock } = context
  const { address } = payTo
  const place = await readPlace(client, asset, payTo)
  state.places.set(address, place)
  noteWaiting(context, address, place)
  const memory = memoryOf(state, address)
  // Somebody else has brought it on, or its code is another one.
  if (place.heldAtomic === 0n) memory.forward.refusals = 0
  if (place.inContractAtomic === 0n) memory.settle.refusals = 0
  const sinceMs = ledger.state.uncollected.get(address)
  const step = chooseStep(place, memory, policy, { sinceMs, nowMs: clock() })
  if (step === undefined) return false
  const obstacle = await findObstacle(context, policy)
  if (obstacle !== undefined) {
    state.obstacle = obstacle
    return false
  }
  return send(context, state, { policy, payTo, place, step })
}

/** Since when something lies there: a longest wait must outlive the process. */
function noteWaiting(
  { ledger, clock }: CollectContext,
  payee: Hex,
  { inContractAtomic, heldAtomic }: CollectPlace,
): void {
  const isThere = inContractAtomic > 0n || heldAtomic > 0n
  const nowMs = Math.floor(clock())
  const knownMs = ledger.state.uncollected.get(payee)
  if (!isThere) {
    if (knownMs !== undefined) ledger.apply({ type: 'collected', payee })
  } else if (knownMs === undefined || knownMs > nowMs) {
    ledger.apply({ type: 'uncollected', payee, sinceMs: nowMs })
  }
}

async function findObstacle(
  { client, ledger, senderAddress, clock }: CollectContext,
  { maxGasPerDay, maxGasPriceWei }: CollectPolicy,
): Promise<CollectObstacle | undefined> {
  if (gasOfDay(ledger, clock()).gasUnits + gasOfStep > maxGasPerDay) return 'gas-budget'
  const [price, balance] = await Promise.all([
    client.getGasPrice(),
    client.getBalance({ address: senderAddress }),
  ])
  if (price > maxGasPriceWei) return 'gas-price'
  // The sender offers up to four times the price, and claims come first also for ether.
  return balance < (gasOfStep + gasOfLargestClaim) * (price * 4n + 1n) ? 'ether-low' : undefined
}

type Due = {
  readonly policy: CollectPolicy
  readonly payTo: PayTo
  readonly place: CollectPlace
  readonly step: CollectStep
}

async function send(context: CollectContext, state: State, due: Due): Promise<boolean> {
  const { client, ledger, asset, senderAddress, clock, onNews } = context
  const { policy, payTo, place, step } = due
  const { address: payee } = payTo
  const call = { ...encodeStep(step, payTo, asset), gas: gasOfStep }
  const paid = step === 'settle' ? payee : await readOwner(client, payee)
  try {
    await client.call({ account: senderAddress, ...call })
  } catch (error) {
    if (!isRevert(error)) throw error
    refused(context, state, due, 'refused', error)
    return false
  }
  const { day, gasUnits } = gasOfDay(ledger, clock())
  const isLast = step === 'forward' || !place.canForward
  const amountAtomic = step === 'settle' ? place.inContractAtomic : place.heldAtomic
  try {
    const transaction = await sendJournaled(
      context,
      { ...call, yields: true },
      { kind: 'collect', step, payee, isLast },
      // A crash after this finds both: what was signed counts.
      [{ type: 'collect-gas', day, gasUnits: gasUnits + gasOfStep }],
    )
    memoryOf(state, payee)[step].nextAtMs = clock() + policy.minIntervalMs
    onNews({ kind: 'sent', step, payTo: payee, paid, amountAtomic, transaction })
    return true
  } catch (error) {
    // It stands in the ledger, and is followed.
    if (error instanceof MaybeSent) return true
    if (error instanceof SenderBusy) {
      // Others first; again in the next step.
      state.nextLookMs = 0
      return false
    }
    if (!(error instanceof NotSent)) throw error
    ledger.apply({ type: 'collect-gas', day, gasUnits })
    refused(context, state, due, 'not-sent', error)
    return false
  }
}

/** Nothing was sent, and the same would happen again: later. */
function refused(
  { clock, onNews }: CollectContext,
  state: State,
  { policy, payTo: { address }, step }: Due,
  result: CollectResult,
  error: unknown,
): void {
  const tryAgainMs = holdBack(state, policy, address, step, clock(), false)
  count(state, step, result)
  const revert: Hex | undefined = isRevert(error) ? selectorOf(revertDataOf(error)) : undefined
  onNews({ kind: 'refused', step, payTo: address, result, revert, tryAgainMs })
}

function selectorOf(data: Hex | undefined): Hex | undefined {
  return data === undefined || data.length < 10 ? undefined : `0x${data.slice(2, 10)}`
}

function holdBack(
  state: State,
  policy: CollectPolicy,
  payTo: Hex,
  step: CollectStep,
  nowMs: number,
  tookGas: boolean,
): number {
  const memory = memoryOf(state, payTo)[step]
  memory.refusals++
  const delayMs = backOffMs(policy.minIntervalMs, memory.refusals, tookGas)
  memory.nextAtMs = nowMs + delayMs
  return delayMs
}

/** Ends what the chain has decided, and sends again what it lost: the same bytes, or dearer ones. */
async function endSent(context: CollectContext, state: State): Promise<void> {
  const { ledger, sender, findReceipt } = context
  for (const { hash, purpose } of ledger.state.transactions.values()) {
    if (purpose.kind !== 'collect') continue
    const receipt = await findReceipt(hash)
    if (receipt !== undefined) end(context, state, { ...purpose, hash }, receipt)
    else if (await sender.isReplaced(hash)) end(context, state, { ...purpose, hash }, undefined)
  }
  if (isUnderWay(ledger)) await sender.repair()
}

function end(
  { ledger, asset, payTos, policy, clock, onNews }: CollectContext,
  state: State,
  sent: {
    readonly step: CollectStep
    readonly payee: Hex
    readonly isLast: boolean
    readonly hash: Hex
  },
  receipt: TransactionReceipt | undefined,
): void {
  const { step, payee, isLast, hash } = sent
  const from = step === 'forward' ? payee : payTos.find(({ address }) => address === payee)?.batch
  const moved = receipt === undefined || from === undefined ? 0n : movedAtomic(receipt, asset, from)
  const result = judge(receipt, moved)
  if (result === 'done') memoryOf(state, payee)[step].refusals = 0
  else if (result !== 'replaced' && policy !== undefined) {
    holdBack(state, policy, payee, step, clock(), true)
  }
  // What came meanwhile has not waited for long: the next look notes it anew.
  if (result === 'done' && isLast) ledger.apply({ type: 'collected', payee })
  // Last: after a crash before it the same receipt is found again.
  ledger.apply({ type: 'transaction-ended', hash })
  state.nextLookMs = 0
  count(state, step, result)
  onNews({ kind: 'ended', step, payTo: payee, result, movedAtomic: moved, transaction: hash })
}

/** A success without a transfer is what a token that only says so gives, or somebody who was faster. */
function judge(receipt: TransactionReceipt | undefined, moved: bigint): CollectResult {
  if (receipt === undefined) return 'replaced'
  if (receipt.status !== 'success') return 'reverted'
  return moved > 0n ? 'done' : 'moved-nothing'
}

function isUnderWay({ state }: DurableLedger): boolean {
  for (const { purpose } of state.transactions.values()) {
    if (purpose.kind === 'collect') return true
  }
  return false
}

/** The count of the day; of the latest day that was counted, when the clock goes back. */
function gasOfDay(
  { state }: DurableLedger,
  nowMs: number,
): { readonly day: number; readonly gasUnits: bigint } {
  const today = Math.floor(nowMs / dayMs)
  for (const [day, gasUnits] of state.collectGas) if (day >= today) return { day, gasUnits }
  return { day: today, gasUnits: 0n }
}

function memoryOf({ memories }: State, payTo: Hex): PlaceMemory {
  const known = memories.get(payTo)
  if (known !== undefined) return known
  // Of a payTo that an earlier configuration named.
  const memory = createPlaceMemory()
  memories.set(payTo, memory)
  return memory
}

function count({ counts }: State, step: CollectStep, result: CollectResult): void {
  const key = `${step} ${result}`
  const known = counts.get(key)
  if (known === undefined) counts.set(key, { step, result, count: 1 })
  else known.count++
}

function stateOf({ ledger, payTos }: CollectContext, state: State): CollectState {
  if (isUnderWay(ledger)) return 'under-way'
  const isRefused = payTos.some(({ address }) => {
    const { settle, forward } = memoryOf(state, address)
    return settle.refusals > 0 || forward.refusals > 0
  })
  return isRefused ? 'refused' : (state.obstacle ?? 'waiting')
}

function tell(context: CollectContext, state: State): void {
  if (context.policy === undefined) return
  const now = stateOf(context, state)
  if (now === state.told) return
  state.told = now
  context.onNews({ kind: 'state', state: now })
}

function describe(context: CollectContext, state: State): CollectStatus {
  const places = [...state.places.values()]
  return {
    state: stateOf(context, state),
    inContractAtomic: places.reduce((sum, each) => sum + each.inContractAtomic, 0n),
    heldAtomic: places.reduce((sum, each) => sum + each.heldAtomic, 0n),
    gasToday: gasOfDay(context.ledger, context.clock()).gasUnits,
    counts: [...state.counts.values()],
  }
}
