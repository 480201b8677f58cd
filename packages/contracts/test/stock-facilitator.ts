/** The stock facilitator and stock clients of x402, unmodified, on our chain. */

import { x402Facilitator } from '@x402/core/facilitator'
import type { Network, PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { toClientEvmSigner, toFacilitatorEvmSigner } from '@x402/evm'
import type { ClientEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme as BatchFacilitator } from '@x402/evm/batch-settlement/facilitator'
import { ExactEvmScheme as ExactFacilitator } from '@x402/evm/exact/facilitator'
import { UptoEvmScheme as UptoFacilitator } from '@x402/evm/upto/facilitator'
import { hashTypedData, publicActions } from 'viem'
import type { TypedDataDefinition } from 'viem'
import { baseSepoliaUsdc } from '../src/addresses.ts'
import { senderKey } from './local-chain.ts'
import { payerAccount } from './operator-chain.ts'
import type { OperatorChain } from './operator-chain.ts'

const network: Network = 'eip155:84532'

/** A facilitator with no say of its own: it has no authorizer key. */
export function createStockFacilitator({ walletOf }: OperatorChain): x402Facilitator {
  const wallet = walletOf(senderKey).extend(publicActions)
  const signer = toFacilitatorEvmSigner({
    address: wallet.account.address,
    getCode: (args) => wallet.getCode(args),
    readContract: (args) => wallet.readContract({ ...args, args: args.args ?? [] }),
    verifyTypedData: async ({ domain, types, primaryType, message, address, signature }) => {
      const typed: TypedDataDefinition = { domain, types: Object(types), primaryType, message }
      return wallet.verifyHash({ address, hash: hashTypedData(typed), signature })
    },
    writeContract: (args) => wallet.writeContract(args),
    sendTransaction: (args) => wallet.sendTransaction(args),
    waitForTransactionReceipt: ({ hash }) => wallet.waitForTransactionReceipt({ hash }),
  })
  return new x402Facilitator()
    .register(network, new ExactFacilitator(signer))
    .register(network, new UptoFacilitator(signer))
    .register(network, new BatchFacilitator(signer))
}

/** The payer's wallet as stock clients take it. */
export function createStockSigner({ reader }: OperatorChain): ClientEvmSigner {
  return toClientEvmSigner(payerAccount, {
    readContract: (args) => reader.readContract({ ...args, args: args.args ?? [] }),
  })
}

/** An offer for test USDC. */
export function offer(
  scheme: string,
  payTo: string,
  amount: string,
  extra: Record<string, unknown> = {},
): PaymentRequirements {
  return {
    scheme,
    network,
    amount,
    asset: baseSepoliaUsdc.address,
    payTo,
    maxTimeoutSeconds: 3600,
    extra: { name: 'USDC', version: '2', ...extra },
  }
}

/** A payload as a client sends it. */
export function paymentOf(
  accepted: PaymentRequirements,
  payload: Record<string, unknown>,
): PaymentPayload {
  return { x402Version: 2, accepted, payload }
}
