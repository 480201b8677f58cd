/**
 * The same call under the same nonce at a higher fee, where a transaction stands in no block (spec/payment.md PA9.9). The
 * chain takes one of them. Nothing is journaled: what became of the first is found as that of a stranger's is.
 */
import { keccak256, parseTransaction, type Hex } from 'viem'
import type { SignedTransaction } from './ledger.ts'

/** When a transaction is stuck. */
export type StuckRule = { readonly afterMs: number; readonly afterBlocks: bigint }

/** The rule of a gateway. Blocks are asked for, too: a node that stands still must not make us pay more. */
export const stuckRule: StuckRule = { afterMs: 30_000, afterBlocks: 3n }

/** What is offered for a unit of gas, and the part of it for whoever makes the block. */
export type OfferedFees = { readonly maxFeePerGas: bigint; readonly tip: bigint }

/** What stands in for a journaled transaction now. */
type Place = {
  readonly signed: SignedTransaction
  readonly count: number
  readonly sinceMs: number
  readonly sinceBlock: bigint
}

/** Owner of what was sent in the place of journaled transactions, by nonce; of one sender, in its turn. */
export type Places = Map<number, Place>

/** Any transaction is replaced so often at most. */
const mostReplacements = 10

/** The latest bytes for a nonce: those of the journal, until others took their place. */
export function placeOf(
  places: Places,
  signed: SignedTransaction,
  { nowMs, block }: { readonly nowMs: number; readonly block: bigint },
): Place {
  const known = places.get(signed.transactionNonce)
  if (known !== undefined) return known
  const place = { signed, count: 0, sinceMs: nowMs, sinceBlock: block }
  places.set(signed.transactionNonce, place)
  return place
}

/** Not for ever: what no fee brings into a block waits for its operator. */
export function mayReplace({ count }: Place): boolean {
  return count < mostReplacements
}

/** Whether blocks pass it by. */
export function isStuck(
  place: Place,
  { afterMs, afterBlocks }: StuckRule,
  { nowMs, block }: { readonly nowMs: number; readonly block: bigint },
): boolean {
  const { sinceMs, sinceBlock } = place
  return mayReplace(place) && nowMs - sinceMs >= afterMs && block - sinceBlock >= afterBlocks
}

/** Forgets what is in a block. */
export function forgetBelow(places: Places, mined: number): void {
  for (const nonce of places.keys()) if (nonce < mined) places.delete(nonce)
}

/**
 * Signs the same call at what the chain asks for now, and at an eighth more than before at least: nodes want a tenth.
 * `undefined` when the bounds leave no room.
 */
export async function signDearer(
  { signed }: Place,
  now: OfferedFees,
  most: OfferedFees,
  sign: (call: {
    readonly to: Hex
    readonly data: Hex
    readonly gas: bigint
    readonly nonce: number
    readonly fees: OfferedFees
  }) => Promise<Hex>,
): Promise<SignedTransaction | undefined> {
  const { transactionNonce } = signed
  const old = parseTransaction(signed.raw)
  const { to, data = '0x', gas = 0n, maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = old
  const fees = {
    maxFeePerGas: raise(maxFeePerGas, now.maxFeePerGas),
    tip: raise(maxPriorityFeePerGas, now.tip),
  }
  if (to === undefined || to === null) return undefined
  if (fees.maxFeePerGas > most.maxFeePerGas || fees.tip > most.tip) return undefined
  const raw = await sign({ to, data, gas, nonce: transactionNonce, fees })
  return { hash: keccak256(raw), raw, transactionNonce }
}

function raise(old: bigint, now: bigint): bigint {
  const dearer = (old * 9n) / 8n + 1n
  return now > dearer ? now : dearer
}
