/** The signer that the x402 scheme settles with: our sender, our waiting, our journal. */
import type { FacilitatorEvmSigner } from '@x402/evm'
import { encodeFunctionData, type Abi, type Hex, type TransactionReceipt } from 'viem'
import type { Chain } from './chain.ts'
import { pause } from './pause.ts'
import type { Sender } from './sender.ts'
import type { SignedTransaction } from './ledger.ts'

/** The signer of one settlement. */
export type SettlementSigner = {
  readonly signer: FacilitatorEvmSigner
  /** The receipt that was waited for, if it came. */
  receipt(): TransactionReceipt | undefined
}

type Options = {
  readonly chain: Chain
  readonly sender: Sender
  readonly address: Hex
  readonly confirmations: number
  readonly waitMs: number
  readonly signal: AbortSignal
  readonly journal: (signed: SignedTransaction) => void
  readonly forget: (signed: SignedTransaction) => void
}

/** transferWithAuthorization of USDC takes 64,000 to 90,000 gas. */
const gas = 160_000n
const pollMs = 50

/** Makes the signer of one settlement; it sends one transaction at most. */
export function createSettlementSigner(options: Options): SettlementSigner {
  const { chain, sender, signal } = options
  let receipt: TransactionReceipt | undefined
  const signer: FacilitatorEvmSigner = {
    getAddresses: () => [options.address],
    getCode: ({ address }) => chain.retry(() => chain.client.getCode({ address })),
    // The clock of the last block may be far behind; the transaction will stand in the next one.
    readContract: ({ abi, ...call }) =>
      chain.retry(() =>
        chain.client.readContract({ ...call, abi: toAbi(abi), blockTag: 'pending' }),
      ),
    // The scheme asks this only for wallets that are contracts without code; those have been refused.
    verifyTypedData: () => Promise.resolve(false),
    sendTransaction: () => Promise.reject(new Error('no wallet is deployed for a payer')),
    writeContract: ({ address, abi, functionName, args }) =>
      sender.send({
        to: address,
        data: encodeFunctionData({ abi: toAbi(abi), functionName, args }),
        gas,
        journal: options.journal,
        forget: options.forget,
      }),
    waitForTransactionReceipt: async ({ hash }) => {
      const until = performance.now() + options.waitMs
      while (performance.now() < until) {
        receipt = await chain.findReceipt(hash, options.confirmations)
        if (receipt !== undefined) return { status: receipt.status, logs: receipt.logs }
        await pause(pollMs, signal)
      }
      throw new Error('no receipt in time')
    },
  }
  return { signer, receipt: () => receipt }
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
