/** Which channels are claimed when, and how a row that the contract refuses holds up no other (spec/payment.md PA21.3). */
import type { BatchDomain } from '@countersign/protocol/payment/channel'
import type { EvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { ContractFunctionRevertedError, BaseError, ExecutionRevertedError } from 'viem'
import type { Sender } from '../exact/sender.ts'
import type { ChannelAccount } from '../ledger/channel-account.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import type { LedgerState } from '../ledger/ledger.ts'
import { encodeClaim, type ClaimRow } from './batch-contract.ts'
import { sendJournaled } from './transaction-book.ts'

/** When a channel is claimed. */
export type ClaimPolicy = {
  /** A channel that owes this much is claimed. */
  readonly maxUnclaimedAtomic: bigint
  /** When all channels together owe this much, all of them are. */
  readonly maxTotalUnclaimedAtomic: bigint
}

/** What claims are made with. */
export type ClaimContext = {
  readonly ledger: DurableLedger
  readonly domain: BatchDomain
  readonly contract: Hex
  readonly sender: Sender
  /** Signs as the receiver authorizer, or as a key that its contract knows. */
  readonly sign: (digest: Uint8Array) => EvmSignature
  /** Runs a call without sending it. Rejects as the chain does. */
  readonly simulate: (call: { readonly to: Hex; readonly data: Hex }) => Promise<unknown>
  readonly clock: () => number
}

/** Gas of a whole transaction stays far below the limit of 2^24. */
const maxRows = 100
const gasOfClaim = 160_000n
const gasPerRow = 60_000n

/**
 * The rows that are due at this moment. `all`: before the settlement key retires.
 */
export function selectClaims(
  state: LedgerState,
  policy: ClaimPolicy,
  nowMs: number,
  all: boolean,
): readonly ClaimRow[] {
  const sent = sentTotals(state)
  const owing = [...state.channels.values()].filter(
    (account) =>
      account.chargedAtomic > account.view.claimedAtomic &&
      account.chargedAtomic > (sent.get(account.channelId) ?? 0n) &&
      isClaimable(account),
  )
  const total = owing.reduce((sum, account) => sum + unclaimedAtomic(account), 0n)
  const everything = all || total >= policy.maxTotalUnclaimedAtomic
  return owing
    .filter((account) => everything || isDue(account, policy, nowMs))
    .flatMap(({ channelId, config, signed, chargedAtomic: totalAtomic }) => {
      return signed === undefined ? [] : [{ channelId, config, ...signed, totalAtomic }]
    })
}

/** Sends the rows in transactions of at most 100; resolves with the hashes of those that the node took. */
export async function sendClaims(
  context: ClaimContext,
  rows: readonly ClaimRow[],
): Promise<readonly Hex[]> {
  const hashes: Hex[] = []
  for (let first = 0; first < rows.length; first += maxRows) {
    hashes.push(...(await sendBatch(context, rows.slice(first, first + maxRows))))
  }
  return hashes
}

async function sendBatch(
  context: ClaimContext,
  rows: readonly ClaimRow[],
): Promise<readonly Hex[]> {
  const { ledger, contract: to, clock } = context
  // A claim reveals charges: they must be what a restart would find, too.
  await ledger.durable()
  const data = encodeClaim(rows, authorize(context, rows))
  if (await isRefused(context, { to, data })) return splitBatch(context, rows)
  const claimed = rows.map(({ channelId, totalAtomic }) => ({ channelId, totalAtomic }))
  const gas = gasOfClaim + gasPerRow * BigInt(rows.length)
  const atMs = clock()
  const events = claimed.map((row) => ({ type: 'claim-sent', ...row, atMs }) as const)
  return [await sendJournaled(context, { to, data, gas }, { kind: 'claim', rows: claimed }, events)]
}

/** One bad row must not hold up the money of all others (F10). */
async function splitBatch(
  context: ClaimContext,
  rows: readonly ClaimRow[],
): Promise<readonly Hex[]> {
  const [only] = rows
  if (rows.length === 1 && only !== undefined) {
    context.ledger.apply({ type: 'channel-frozen', channelId: only.channelId })
    return []
  }
  const middle = rows.length >> 1
  const first = await sendBatch(context, rows.slice(0, middle))
  const second = await sendBatch(context, rows.slice(middle))
  return [...first, ...second]
}

function authorize({ domain, sign }: ClaimContext, rows: readonly ClaimRow[]): EvmSignature {
  return sign(
    domain.hashClaimBatch(
      rows.map(({ channelId, ceilingAtomic, totalAtomic }) => ({
        channelId,
        maxClaimableAtomic: ceilingAtomic,
        totalClaimedAtomic: totalAtomic,
      })),
    ),
  )
}

/** True when the contract refuses the call. @throws when the node does not answer: then nothing is known. */
async function isRefused(
  { simulate }: ClaimContext,
  call: { readonly to: Hex; readonly data: Hex },
): Promise<boolean> {
  try {
    await simulate(call)
    return false
  } catch (error) {
    if (isRevert(error)) return true
    throw error
  }
}

/** Whether the chain executed a call and it failed. */
export function isRevert(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  const cause = error.walk(
    (inner) =>
      inner instanceof ContractFunctionRevertedError || inner instanceof ExecutionRevertedError,
  )
  return cause !== null
}

/** What claims under way will have claimed. */
function sentTotals({ transactions }: LedgerState): ReadonlyMap<Hex, bigint> {
  const totals = new Map<Hex, bigint>()
  for (const { purpose } of transactions.values()) {
    if (purpose.kind !== 'claim') continue
    for (const { channelId, totalAtomic } of purpose.rows) {
      const known = totals.get(channelId) ?? 0n
      totals.set(channelId, totalAtomic > known ? totalAtomic : known)
    }
  }
  return totals
}

/** The contract checks the same; a row that cannot pass is not sent. */
function isClaimable(account: ChannelAccount): boolean {
  return (
    !account.frozen &&
    account.chargedAtomic <= (account.signed?.ceilingAtomic ?? 0n) &&
    account.chargedAtomic <= account.view.depositedAtomic
  )
}

function isDue(account: ChannelAccount, policy: ClaimPolicy, nowMs: number): boolean {
  const { view, unclaimedSinceMs = nowMs, config } = account
  // In thirds of milliseconds, so that nothing is rounded.
  const agedMs = BigInt(Math.max(0, Math.floor(nowMs - unclaimedSinceMs)))
  return (
    view.withdrawingAtomic > 0n ||
    unclaimedAtomic(account) >= policy.maxUnclaimedAtomic ||
    agedMs * 3n >= config.withdrawDelaySeconds * 1000n
  )
}

function unclaimedAtomic({ chargedAtomic, view }: ChannelAccount): bigint {
  return chargedAtomic - view.claimedAtomic
}
