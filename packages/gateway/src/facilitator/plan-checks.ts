/** Checks and reads that several schemes make. */
import type { JsonMap } from '@countersign/protocol/bytes/json-decode'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { parseAbi } from 'viem'
import type { Terms } from '../payment/exact/offer.ts'
import { FacilitatorRefusal } from './refusal.ts'
import type { PlanSurroundings } from './settlement-plan.ts'

/** Time until a transaction stands in a block, as stock facilitators have it. */
export const inclusionSeconds = 6n

const abi = parseAbi(['function balanceOf(address owner) view returns (uint256)'])

/** The payer signed for this name and version: another one is another token. @throws FacilitatorRefusal */
export function checkTokenDomain(extra: JsonMap, terms: Terms, prefix: string): void {
  if (extra.get('name') !== terms.assetName) {
    throw new FacilitatorRefusal(`${prefix}token_name_mismatch`, 'Another extra.name.')
  }
  if (extra.get('version') !== terms.assetVersion) {
    throw new FacilitatorRefusal(`${prefix}token_version_mismatch`, 'Another extra.version.')
  }
}

/** @throws FacilitatorRefusal when the account holds less than is on its way and this. */
export function checkFunds(heldAtomic: bigint, neededAtomic: bigint, reason: string): void {
  if (heldAtomic < neededAtomic) {
    throw new FacilitatorRefusal(reason, 'The payer has not enough of the asset.')
  }
}

/** What an account holds of the asset; of several nodes the least that one names (PA29.4). Rejects with ChainUnreachable. */
export function readBalance({ chain, terms }: PlanSurroundings, owner: Hex): Promise<bigint> {
  const read = { address: terms.asset, abi, functionName: 'balanceOf', args: [owner] } as const
  return chain.retry(() => chain.least((client) => client.readContract(read)))
}

/** @throws RangeError for what is no address: our own mistake. */
export function toLowerAddress(address: string): Hex {
  const parsed = parseAddress(address)
  if (parsed === undefined) throw new RangeError('not an address')
  return parsed
}
