/** The signer with which the x402 scheme says why the token refuses a payment: it reads, and sends nothing. */
import type { FacilitatorEvmSigner } from '@x402/evm'
import type { Abi, Hex } from 'viem'
import type { Chain } from './chain.ts'

/** A signer that reads only. */
export function createDiagnosticSigner({
  chain,
  senderAddress,
}: {
  readonly chain: Chain
  readonly senderAddress: Hex
}): FacilitatorEvmSigner {
  return {
    getAddresses: () => [senderAddress],
    getCode: ({ address }) => chain.retry(() => chain.client.getCode({ address })),
    readContract: ({ abi, ...call }) =>
      chain.retry(() =>
        chain.client.readContract({ ...call, abi: toAbi(abi), blockTag: 'pending' }),
      ),
    // The scheme asks this only for wallets that are contracts without code; those have been refused.
    verifyTypedData: () => Promise.resolve(false),
    sendTransaction: sendsNothing,
    writeContract: sendsNothing,
    waitForTransactionReceipt: sendsNothing,
  }
}

function sendsNothing(): Promise<never> {
  return Promise.reject(new Error('nothing is sent here'))
}

/** The package types its ABIs as lists of anything. */
function toAbi(abi: readonly unknown[]): Abi {
  if (!isAbi(abi)) throw new TypeError('not the ABI of functions')
  return abi
}

function isAbi(abi: readonly unknown[]): abi is Abi {
  return abi.every(
    (item) =>
      typeof item === 'object' && item !== null && 'type' in item && item.type === 'function',
  )
}
