/** Sends the few transactions that a payer makes itself: an approval, a deposit, a withdrawal. */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { BaseError, createPublicClient, createWalletClient, defineChain, http } from 'viem'
import type { PrivateKeyAccount } from 'viem/accounts'
import { ClientError } from '../errors.ts'

const waitMs = 120_000
const pollMs = 500

/**
 * Sends a call of 0 wei and waits until it is mined.
 *
 * @returns the hash of the transaction.
 * @throws ClientError `transaction-failed` when it reverts or would, `chain-mismatch`, `chain-unreachable`.
 */
export async function sendTransaction(
  account: PrivateKeyAccount,
  rpcUrl: string,
  chainId: number,
  call: { readonly to: Hex; readonly data: Hex },
): Promise<Hex> {
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  })
  const transport = http(rpcUrl)
  const reader = createPublicClient({ chain, transport, pollingInterval: pollMs })
  const wallet = createWalletClient({ account, chain, transport })
  try {
    const actual = await reader.getChainId()
    if (actual !== chainId) {
      throw new ClientError('chain-mismatch', { detail: `${actual}, not ${chainId}` })
    }
    const hash = await wallet.sendTransaction(call)
    const { status } = await reader.waitForTransactionReceipt({ hash, timeout: waitMs })
    if (status === 'success') return hash
    throw new ClientError('transaction-failed', { detail: `${hash} reverted` })
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    if (!(cause instanceof BaseError)) throw cause
    throw new ClientError('transaction-failed', { detail: cause.shortMessage, cause })
  }
}
