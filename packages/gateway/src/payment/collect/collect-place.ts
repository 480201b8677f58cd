/** What lies on its way to the operator, and the two calls that bring it on (spec/payment.md PA31.1). */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { gatewayPayeeAbi } from '@countersign/contracts/gateway-payee'
import { isGatewayPayee } from '@countersign/contracts/operator'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { encodeFunctionData, erc20Abi, type PublicClient } from 'viem'
import { encodeSettle } from '../channel/batch-contract.ts'

/** `settle`: from the batch contract to payTo. `forward`: from payTo to its owner. */
export type CollectStep = 'settle' | 'forward'

/** Where payments go. `batch`: the contract in which claims for it lie; `undefined` where no channels are sold. */
export type PayTo = { readonly address: Hex; readonly batch: Hex | undefined }

/** What lies there. */
export type CollectPlace = {
  /** Claimed, and not paid to payTo yet. */
  readonly inContractAtomic: bigint
  /** What a `GatewayPayee` holds; of any other payTo nothing is looked at. */
  readonly heldAtomic: bigint
  readonly canForward: boolean
}

/** Asks the chain. Rejects when it does not answer. */
export async function readPlace(
  client: PublicClient,
  asset: Hex,
  { address, batch }: PayTo,
): Promise<CollectPlace> {
  const [inContractAtomic, code] = await Promise.all([
    batch === undefined ? 0n : readUnsettled(client, batch, address, asset),
    client.getCode({ address }),
  ])
  if (!isGatewayPayee(code)) return { inContractAtomic, heldAtomic: 0n, canForward: false }
  const heldAtomic = await client.readContract({
    address: asset,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [address],
  })
  return { inContractAtomic, heldAtomic, canForward: true }
}

/** Whom `forward` of a `GatewayPayee` pays at this moment. */
export function readOwner(client: PublicClient, address: Hex): Promise<Hex> {
  return client.readContract({ address, abi: gatewayPayeeAbi, functionName: 'owner' })
}

/** The whole transaction: neither call takes an amount, or an address to pay that is not payTo. */
export function encodeStep(
  step: CollectStep,
  { address, batch }: PayTo,
  asset: Hex,
): { readonly to: Hex; readonly data: Hex } {
  if (step === 'settle') {
    if (batch === undefined) throw new RangeError('nothing is settled without channels')
    return { to: batch, data: encodeSettle(address, asset) }
  }
  const data = encodeFunctionData({
    abi: gatewayPayeeAbi,
    functionName: 'forward',
    args: [asset],
  })
  return { to: address, data }
}

async function readUnsettled(
  client: PublicClient,
  batch: Hex,
  receiver: Hex,
  token: Hex,
): Promise<bigint> {
  const [claimedAtomic, settledAtomic] = await client.readContract({
    address: batch,
    abi: batchSettlementAbi,
    functionName: 'receivers',
    args: [receiver, token],
  })
  return claimedAtomic - settledAtomic
}
