/** Reads a balance of test USDC from a loopback chain. */
import { parseAddress } from '@countersign/protocol/payment/evm-word'
import { createChainReader } from '../chain/chain-reader.ts'
import { readWord } from '../chain/contract-call.ts'
import { ClientError } from '../errors.ts'
import { baseSepoliaUsdc } from '../pay/spending-limits.ts'

/**
 * The balance in atomic units.
 *
 * @throws ClientError `chain-unreachable` when the chain answers something else than a balance.
 */
export async function readUsdcBalance(rpcUrl: string, address: string): Promise<bigint> {
  const token = parseAddress(baseSepoliaUsdc.address)
  const owner = parseAddress(address)
  if (token === undefined || owner === undefined) throw new ClientError('options-invalid')
  return readWord(createChainReader(rpcUrl), token, 'balanceOf(address)', [owner])
}
