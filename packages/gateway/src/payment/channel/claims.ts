/** Which channels are claimed when, and how a row that the contract refuses holds up no other (spec/payment.md PA21.3). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { decodeChannelId, type BatchDomain } from '@countersign/protocol/payment/channel'
import { parseEvmSignature, type EvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { EvmCurve } from '../evm-curve.ts'
import type { Sender } from '../exact/sender.ts'
import type { ChannelAccount } from '../ledger/channel-account.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import type { LedgerState } from '../ledger/ledger.ts'
import { encodeClaim, type ClaimRow } from './batch-contract.ts'
import {
  isRevert,
  revertNameOf,
  SettlementKeyUntrusted,
  type IsAuthorized,
} from './settlement-key.ts'
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
  readonly isAuthorized: IsAuthorized
  readonly curve: Pick<EvmCurve, 'recoverAddress'>
  /** Runs a call without sending it. Rejects as the chain does. */
  readonly simulate: (call: { readonly to: Hex; readonly data: Hex }) => Promise<unknown>
  readonly clock: () => number
}

/** Gas of a whole transaction stays far below the limit of 2^24. */
const maxRows = 100
const gasOfClaim = 160_000n
const gasPerRow = 60_000n

/** What the settlement key must always be able to pay for. */
export const gasOfLargestClaim = gasOfClaim + gasPerRow * BigInt(maxRows)

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
      claimableAtomic(account) > account.view.claimedAtomic &&
      claimableAtomic(account) > (sent.get(account.channelId) ?? 0n),
  )
  const total = owing.reduce((sum, account) => sum + unclaimedAtomic(account), 0n)
  const everything = all || total >= policy.maxTotalUnclaimedAtomic
  return owing
    .filter((account) => everything || isDue(account, policy, nowMs))
    .flatMap((account) => toClaimRow(account) ?? [])
}

/**
 * Sends the rows in transactions of at most 100; resolves with the hashes of those that the node took.
 *
 * @throws SettlementKeyUntrusted, and ClaimsRefused when every other row was sent: both are worth an alarm, and both
 * are tried again by the next step.
 */
export async function sendClaims(
  context: ClaimContext,
  rows: readonly ClaimRow[],
): Promise<readonly Hex[]> {
  const sent: Sent = { hashes: [], refused: [] }
  for (let first = 0; first < rows.length; first += maxRows) {
    await sendBatch(context, rows.slice(first, first + maxRows), sent)
  }
  if (sent.refused.length > 0) throw new ClaimsRefused(sent.refused)
  return sent.hashes
}

/** Rows that the contract refuses although their vouchers are good and our key is trusted. */
class ClaimsRefused extends Error {
  readonly channelIds: readonly Hex[]

  constructor(channelIds: readonly Hex[]) {
    super(`the contract refuses the claims of ${channelIds.length} channels`)
    this.name = 'ClaimsRefused'
    this.channelIds = channelIds
  }
}

/** Owned by sendClaims. */
type Sent = { readonly hashes: Hex[]; readonly refused: Hex[] }

async function sendBatch(
  context: ClaimContext,
  rows: readonly ClaimRow[],
  sent: Sent,
): Promise<void> {
  const { ledger, contract: to, clock } = context
  // A claim reveals charges: they must be what a restart would find, too.
  await ledger.durable()
  const data = encodeClaim(rows, await authorize(context, rows))
  const revert = await findRevert(context, { to, data })
  if (revert !== undefined) return splitBatch(context, rows, revert, sent)
  const claimed = rows.map(({ channelId, totalAtomic }) => ({ channelId, totalAtomic }))
  const gas = gasOfClaim + gasPerRow * BigInt(rows.length)
  const atMs = clock()
  const events = claimed.map((row) => ({ type: 'claim-sent', ...row, atMs }) as const)
  const purpose = { kind: 'claim', rows: claimed } as const
  sent.hashes.push(await sendJournaled(context, { to, data, gas }, purpose, events))
}

/** One bad row must not hold up the money of all others (F10). */
async function splitBatch(
  context: ClaimContext,
  rows: readonly ClaimRow[],
  revert: unknown,
  sent: Sent,
): Promise<void> {
  const [only] = rows
  if (rows.length === 1 && only !== undefined) {
    // Asked again: the key may have ended since.
    await authorize(context, rows)
    const { channelId } = only
    if (isBadVoucher(context, only, revert)) {
      context.ledger.apply({ type: 'channel-frozen', channelId })
    } else sent.refused.push(channelId)
    return
  }
  const middle = rows.length >> 1
  await sendBatch(context, rows.slice(0, middle), sent)
  await sendBatch(context, rows.slice(middle), sent)
}

const voucherFaults: ReadonlySet<string> = new Set([
  'ClaimExceedsCeiling',
  'ECDSAInvalidSignature',
  'ECDSAInvalidSignatureLength',
  'ECDSAInvalidSignatureS',
  'InvalidSignature',
])

/** Our key is trusted, so a signature that the contract refuses is the voucher's. A race with a withdrawal is no fault. */
export function isBadVoucher(
  { domain, curve }: Pick<ClaimContext, 'domain' | 'curve'>,
  { channelId, config, ceilingAtomic, signature, totalAtomic }: ClaimRow,
  revert: unknown,
): boolean {
  if (voucherFaults.has(revertNameOf(revert) ?? '')) return true
  if (totalAtomic > ceilingAtomic) return true
  const digest = domain.hashVoucher(decodeChannelId(channelId), ceilingAtomic)
  const signer = curve.recoverAddress(digest, parseEvmSignature(signature))
  return signer === undefined || `0x${toHex(signer)}` !== config.payerAuthorizer
}

/** @throws SettlementKeyUntrusted before anything is blamed on a channel. */
export async function authorize(
  { domain, sign, isAuthorized }: Pick<ClaimContext, 'domain' | 'sign' | 'isAuthorized'>,
  rows: readonly ClaimRow[],
): Promise<EvmSignature> {
  const digest = domain.hashClaimBatch(
    rows.map(({ channelId, ceilingAtomic, totalAtomic }) => ({
      channelId,
      maxClaimableAtomic: ceilingAtomic,
      totalClaimedAtomic: totalAtomic,
    })),
  )
  const signature = sign(digest)
  if (!(await isAuthorized(digest, signature))) throw new SettlementKeyUntrusted()
  return signature
}

/** Why the contract refuses the call, if it does. @throws when the node does not answer: then nothing is known. */
async function findRevert(
  { simulate }: Pick<ClaimContext, 'simulate'>,
  call: { readonly to: Hex; readonly data: Hex },
): Promise<unknown> {
  try {
    await simulate(call)
    return undefined
  } catch (error) {
    if (isRevert(error)) return error
    throw error
  }
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

/** The row that claims what can be claimed of a channel; undefined when nothing was ever signed. */
export function toClaimRow(account: ChannelAccount): ClaimRow | undefined {
  const { channelId, config, signed } = account
  if (signed === undefined) return undefined
  return { channelId, config, ...signed, totalAtomic: claimableAtomic(account) }
}

/** The contract checks the same: what it would refuse is not sent. Of a channel that holds less than C, what it holds. */
function claimableAtomic({ frozen, chargedAtomic, signed, view }: ChannelAccount): bigint {
  if (frozen || chargedAtomic > (signed?.ceilingAtomic ?? 0n)) return 0n
  return chargedAtomic < view.depositedAtomic ? chargedAtomic : view.depositedAtomic
}

/** Claims do not get through for two thirds of the delay: nothing more may be owed (PA21.4). */
export function isClaimLate(account: ChannelAccount, nowMs: number): boolean {
  return agedThirds(account, nowMs) >= account.config.withdrawDelaySeconds * 2000n
}

function isDue(account: ChannelAccount, policy: ClaimPolicy, nowMs: number): boolean {
  return (
    account.view.withdrawingAtomic > 0n ||
    unclaimedAtomic(account) >= policy.maxUnclaimedAtomic ||
    agedThirds(account, nowMs) >= account.config.withdrawDelaySeconds * 1000n
  )
}

/** Age of the oldest unclaimed charge in thirds of milliseconds, so that nothing is rounded. */
function agedThirds({ unclaimedSinceMs }: ChannelAccount, nowMs: number): bigint {
  if (unclaimedSinceMs === undefined) return 0n
  return BigInt(Math.max(0, Math.floor(nowMs - unclaimedSinceMs))) * 3n
}

function unclaimedAtomic({ chargedAtomic, view }: ChannelAccount): bigint {
  return chargedAtomic - view.claimedAtomic
}
