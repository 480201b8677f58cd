/** Brings settlements on chain: each once, ever (spec/payment.md PA27.7, PA27.8). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { TransactionReceipt } from 'viem'
import { isRevert } from '../payment/channel/settlement-key.ts'
import { ChainUnreachable, type Chain } from '../payment/exact/chain.ts'
import { withinTime } from '../payment/exact/pause.ts'
import { createPayerTurns, type PayerTurns } from '../payment/exact/payer-turns.ts'
import { NotSent, type Sender } from '../payment/exact/sender.ts'
import type { Client } from './clients.ts'
import { FacilitatorRefusal } from './refusal.ts'
import type { SettlementBook, SettlementRecord } from './settlement-book.ts'
import { checkGas, checkLimits, gasOfFree, type SettlementLimits } from './settlement-limits.ts'
import type { AnswerMembers, Plan, SettlementPlan } from './settlement-plan.ts'

/** Who asks, and how. */
export type Asker = {
  readonly client: Client
  /** `Idempotency-Key`: with it the same answer is given again. */
  readonly requestName: string | undefined
  /** Nobody is there any more to take an answer. */
  readonly isGone: () => boolean
}

/** A settlement that is on chain, or a charge of 0. */
export type Settled = AnswerMembers & { readonly transaction: string }

/** Owns all settlements under way of one network. */
export type Settler = {
  /** @throws FacilitatorRefusal; ChainUnreachable and errors of viem when nothing was signed. */
  settle(plan: Plan, asset: string, asker: Asker): Promise<Settled>
  /** Runs the call without sending it. @throws FacilitatorRefusal when it reverts. */
  simulate(plan: SettlementPlan): Promise<void>
  /** Whether /settle was answered for it, or is being asked. */
  isTaken(id: string): boolean
  /** Waits until everything under way has stopped; abort the signal first. */
  stopped(): Promise<void>
}

type Options = {
  readonly chain: Chain
  readonly book: SettlementBook
  readonly sender: Sender
  readonly senderAddress: Hex
  readonly confirmations: number
  readonly maxGasPriceWei: bigint
  readonly limits: SettlementLimits
  readonly settlementTimeoutMs: number
  /** Told of what has its depth. */
  readonly onMined: (id: string, hash: Hex) => void
  readonly clock: () => number
  readonly signal: AbortSignal
  readonly onFault: (error: unknown) => void
}

/** `unknown`: the process is closing, or its own database failed. `not-sent`: nothing can be on chain. */
type Outcome = 'ended' | 'not-sent' | 'unknown'

type State = Options & {
  /** What is on its way; owned by `begin` and `resume`. */
  readonly underWay: Map<string, Promise<Outcome>>
  /** Ids that somebody waits for; owned by `settle`. */
  readonly asked: Set<string>
  readonly turns: PayerTurns
}

/** While a transaction is not on chain it is looked after in this interval, new blocks or not. */
const lookMs = 500
const repairEvery = 4
/** The reads may be answered by nodes that do not agree on the newest block. */
const olderBlocks = 16n

/** A settler that takes up what an earlier process has signed. */
export function createSettler(options: Options): Settler {
  const state: State = {
    ...options,
    underWay: new Map(),
    asked: new Set(),
    turns: createPayerTurns(),
  }
  for (const id of options.book.listBroadcast()) {
    startFollowing(state, id, () => follow(state, id))
  }
  return {
    simulate: (plan) => simulate(state, plan),
    isTaken: (id) => state.asked.has(id) || options.book.find(id)?.isAnswered === true,
    settle: async (plan, asset, asker) => {
      // Two servers, or two calls of one, must not both be told that they were paid.
      if (state.asked.has(plan.id)) throw duplicate()
      state.asked.add(plan.id)
      try {
        return await settleOnce(state, plan, asset, asker)
      } finally {
        state.asked.delete(plan.id)
      }
    },
    stopped: async () => {
      await Promise.all(state.underWay.values())
    },
  }
}

async function settleOnce(state: State, plan: Plan, asset: string, asker: Asker): Promise<Settled> {
  const { book, underWay } = state
  const known = book.find(plan.id)
  if (known?.isAnswered === true) return answerAgain(state, plan, known, asker)
  // Whoever waited for it before may come again; nobody else.
  const isOthers = known?.client.startsWith('key:') === true && known.client !== asker.client.name
  if (isOthers) throw duplicate(known.hash)
  if (plan.kind !== 'transaction') {
    if (plan.kind === 'check' || known !== undefined) throw used(plan.used, known)
    return settleFree(state, plan, asset, asker)
  }
  if (known === undefined) await begin(state, plan, asset, asker)
  else if (known.state === 'broadcast' && !underWay.has(plan.id)) {
    // A fault of ours had ended the following.
    startFollowing(state, plan.id, () => follow(state, plan.id))
  }
  return awaitEnd(state, plan, asker)
}

async function awaitEnd(state: State, plan: SettlementPlan, asker: Asker): Promise<Settled> {
  const { book, underWay, settlementTimeoutMs } = state
  const outcome = await withinTime(
    underWay.get(plan.id) ?? Promise.resolve('ended' as const),
    settlementTimeoutMs,
    'unknown' as const,
  )
  const record = book.find(plan.id)
  if (outcome === 'not-sent' || record === undefined) {
    throw new FacilitatorRefusal(plan.reasons.transaction, 'The node did not take it; try again.')
  }
  if (record.state === 'mined' || record.state === 'reverted') {
    return conclude(state, plan, record, asker)
  }
  const message = 'It is not deep enough in the chain yet: ask again.'
  throw new FacilitatorRefusal('settlement_pending', message, { transaction: record.hash })
}

/** F9: a charge of 0 moves nothing, and yet its payment has bought its call. */
async function settleFree(
  { book, clock, limits }: State,
  plan: Plan & { readonly kind: 'check' | 'free' },
  asset: string,
  { client, requestName }: Asker,
): Promise<Settled> {
  const members = await plan.check()
  checkGas(book, limits, client, gasOfFree, clock())
  const none = { amountAtomic: 0n, gas: gasOfFree, fromBlock: 0n }
  book.finishFree(
    { id: plan.id, client: client.name, payer: plan.payer, asset, ...none },
    requestName,
    clock(),
  )
  return { ...members, transaction: '' }
}

/** Decides in the payer’s turn, so that a balance is not promised twice (F4). Where nobody pays, nobody waits. */
async function begin(
  state: State,
  plan: SettlementPlan,
  asset: string,
  asker: Asker,
): Promise<void> {
  const { payer = '', call } = plan
  const bounds = (): void => {
    const { book, limits, clock } = state
    checkLimits(book, limits, asker.client, { gas: call.gas, payer }, clock())
  }
  // Before anything is asked of the chain.
  bounds()
  const decide = (): Promise<true> => judge(state, plan, asset, asker, bounds)
  if (plan.payer === undefined) await decide()
  else if ((await state.turns.run(toTurn(plan.payer), decide)) === undefined) {
    const message = 'Too many settlements of this payer.'
    throw new FacilitatorRefusal('countersign_too_many_pending', message, { status: 503 })
  }
}

async function judge(
  state: State,
  plan: SettlementPlan,
  asset: string,
  { client }: Asker,
  bounds: () => void,
): Promise<true> {
  const { book, chain, clock, maxGasPriceWei } = state
  const { id, amountAtomic, payer = '', call } = plan
  const [gasPrice, newest] = await chain.retry(() =>
    Promise.all([chain.client.getGasPrice(), chain.client.getBlockNumber({ cacheTime: 0 })]),
  )
  if (gasPrice > maxGasPriceWei) {
    throw new FacilitatorRefusal('countersign_gas_price_exceeded', 'Gas costs too much now.', {
      status: 503,
      retryAfterSeconds: 60,
    })
  }
  await plan.check(book.pendingAtomic(payer, asset))
  await simulate(state, plan)
  // Others may have come between: from here to the record nothing is awaited.
  bounds()
  const fromBlock = newest > olderBlocks ? newest - olderBlocks : 0n
  // After a crash here nothing is signed, and the next process forgets it.
  book.reserve(
    { client: client.name, payer, asset, id, amountAtomic, gas: call.gas, fromBlock },
    clock(),
  )
  startFollowing(state, id, () => send(state, plan))
  return true
}

function toTurn(address: string): Hex {
  return `0x${address.slice(2)}`
}

async function simulate(
  { chain, senderAddress }: State,
  { call, reasons }: SettlementPlan,
): Promise<void> {
  try {
    await chain.retry(() => chain.client.call({ account: senderAddress, ...call }))
  } catch (cause) {
    if (!isRevert(cause)) throw cause
    throw new FacilitatorRefusal(reasons.simulation, 'The contract refuses it.', { cause })
  }
}

/** Never rejects: what goes wrong is told, and the record stays for the next process. */
function startFollowing(state: State, id: string, work: () => Promise<Outcome>): void {
  const { underWay, signal, onFault } = state
  const outcome = work()
    .catch((error: unknown): Outcome => {
      if (!signal.aborted) onFault(error)
      return 'unknown'
    })
    .finally(() => underWay.delete(id))
  underWay.set(id, outcome)
}

async function send(state: State, { id, call }: SettlementPlan): Promise<Outcome> {
  const { book, sender } = state
  try {
    await sender.send({
      ...call,
      // After a crash here recovery sends the same bytes again.
      journal: (signed) => {
        book.recordBroadcast(id, signed)
      },
      forget: () => {
        book.forgetBroadcast(id)
      },
    })
  } catch (error) {
    if (book.find(id)?.state === 'reserved') {
      book.release(id)
      if (error instanceof NotSent || error instanceof ChainUnreachable) return 'not-sent'
      throw error
    }
    // It is signed: whatever the node said, it may be on its way.
  }
  return follow(state, id)
}

/** Until the transaction has its depth, or can never be on chain. */
async function follow(state: State, id: string): Promise<Outcome> {
  const { book, chain, sender, confirmations, signal } = state
  for (let round = 0; ; round++) {
    const hash = book.find(id)?.hash
    if (hash === undefined) return 'not-sent'
    try {
      const receipt = await chain.findReceipt(hash, confirmations)
      if (receipt !== undefined) {
        const isMined = receipt.status === 'success'
        book.finish(id, isMined ? 'mined' : 'reverted', receipt.gasUsed)
        if (isMined) state.onMined(id, hash)
        return 'ended'
      }
      if (round % repairEvery === 0) {
        if (await sender.isReplaced(hash)) {
          book.forgetBroadcast(id)
          book.release(id)
          return 'not-sent'
        }
        await sender.repair()
      }
    } catch (error) {
      if (!(error instanceof ChainUnreachable)) throw error
    }
    signal.throwIfAborted()
    await chain.nextBlock(lookMs)
  }
}

/** Says what became of it. A good answer is recorded before it leaves: it is given once. */
async function conclude(
  { book, chain }: State,
  plan: SettlementPlan,
  { id, hash, state, fromBlock }: SettlementRecord,
  { requestName, isGone }: Asker,
): Promise<Settled> {
  const own = state === 'mined' && hash !== undefined ? await chain.findReceipt(hash, 1) : undefined
  const receipt = own ?? (state === 'reverted' ? await plan.findElsewhere?.(fromBlock) : undefined)
  if (receipt === undefined || !plan.isDone(receipt)) {
    const message = 'The transaction did not do it.'
    throw new FacilitatorRefusal(plan.reasons.transaction, message, { transaction: hash })
  }
  const settled = await describe(plan, receipt)
  // Who left was not told, and may ask again.
  if (!isGone()) book.answer(id, receipt.transactionHash, requestName)
  return settled
}

async function answerAgain(
  { chain }: State,
  plan: Plan,
  record: SettlementRecord,
  { client, requestName }: Asker,
): Promise<Settled> {
  const isSame = requestName !== undefined && record.requestName === requestName
  const reason = plan.kind === 'transaction' ? plan.reasons.used : plan.used
  if (!isSame || record.client !== client.name) throw used(reason, record)
  if (plan.kind !== 'transaction') return { ...(await plan.check()), transaction: '' }
  const { hash } = record
  const receipt = hash === undefined ? undefined : await chain.findReceipt(hash, 1)
  if (receipt === undefined || !plan.isDone(receipt)) throw used(reason, record)
  return describe(plan, receipt)
}

async function describe(plan: SettlementPlan, receipt: TransactionReceipt): Promise<Settled> {
  return { ...(await plan.describe(receipt)), transaction: receipt.transactionHash }
}

function duplicate(transaction?: string): FacilitatorRefusal {
  const message = 'Somebody is being told of this settlement.'
  return new FacilitatorRefusal('duplicate_settlement', message, { transaction })
}

function used(reason: string, record: SettlementRecord | undefined): FacilitatorRefusal {
  const message = 'It was settled, and its server was told so.'
  return new FacilitatorRefusal(reason, message, { transaction: record?.hash })
}
