/** What an `upto` payer can pay at this moment (spec/payment.md PA17.4). */
import { getAddress, parseAbi } from 'viem'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { Chain } from '../exact/chain.ts'

const abi = parseAbi([
  'function balanceOf(address owner) view returns (uint256)',
  'function allowance(address owner, address spender) view returns (uint256)',
])

/** min(balance, Permit2 allowance) of a payer. Rejects with ChainUnreachable when the chain does not answer. */
export function createFundsReader(
  chain: Chain,
  asset: string,
  permit2: string,
): (payer: Hex) => Promise<bigint> {
  const token = { address: getAddress(asset), abi } as const
  const spender = getAddress(permit2)
  return (payer) =>
    chain.retry(() =>
      chain.least(async (client) => {
        const [balance, allowance] = await Promise.all([
          client.readContract({ ...token, functionName: 'balanceOf', args: [payer] }),
          client.readContract({ ...token, functionName: 'allowance', args: [payer, spender] }),
        ])
        return balance < allowance ? balance : allowance
      }),
    )
}
