/** What an operator can do about a frozen channel (spec/payment.md PA18.7, PA21.3). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { encodeClaim } from './batch-contract.ts'
import { applyOwn, type ChannelContext } from './channel-context.ts'
import { authorize, toClaimRow } from './claims.ts'
import { isRevert, revertNameOf } from './settlement-key.ts'

/**
 * What was found. `foreign-claim`: more was claimed than was charged here. That stays: somebody has another ledger or
 * the key; the payer withdraws the rest. `voucher-refused`: the contract still refuses the voucher, for this reason.
 */
export type Reexamination =
  | { readonly kind: 'unknown' | 'not-frozen' | 'thawed' }
  | {
      readonly kind: 'foreign-claim'
      readonly claimedAtomic: bigint
      readonly chargedAtomic: bigint
    }
  | { readonly kind: 'voucher-refused'; readonly reason: string }

/**
 * Reads the chain, and tries the claim without sending it. Only in the manager's turn.
 *
 * @throws SettlementKeyUntrusted, and what the node answers: then nothing is known, and nothing has changed.
 */
export async function reexamineChannel(
  context: ChannelContext,
  channelId: Hex,
): Promise<Reexamination> {
  const { ledger, follower, contract: to } = context
  follower.watch(channelId)
  await follower.poll()
  const account = ledger.state.channels.get(channelId)
  if (account === undefined) return { kind: 'unknown' }
  if (!account.frozen) return { kind: 'not-frozen' }
  const { chargedAtomic, view } = account
  const { claimedAtomic } = view
  if (claimedAtomic > chargedAtomic) return { kind: 'foreign-claim', claimedAtomic, chargedAtomic }
  const row = toClaimRow({ ...account, frozen: false })
  if (row !== undefined && row.totalAtomic > claimedAtomic) {
    const data = encodeClaim([row], await authorize(context, [row]))
    try {
      await context.simulate({ to, data })
    } catch (error) {
      if (!isRevert(error)) throw error
      return { kind: 'voucher-refused', reason: revertNameOf(error) ?? 'unknown' }
    }
  }
  applyOwn(ledger, { type: 'channel-thawed', channelId })
  await ledger.durable()
  return { kind: 'thawed' }
}
