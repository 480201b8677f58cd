import { BatchSettlementEvmScheme as BatchClient } from '@x402/evm/batch-settlement/client'
import { ExactEvmScheme as ExactClient } from '@x402/evm/exact/client'
import { UptoEvmScheme as UptoClient } from '@x402/evm/upto/client'
import {
  claimBatchTypes,
  isBatchSettlementDepositPayload,
  isUptoPermit2Payload,
  refundTypes,
} from '@x402/evm'
import type { BatchSettlementDepositPayload, UptoPermit2Payload } from '@x402/evm'
import { maxUint256, recoverAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { baseSepoliaUsdc, baseSepoliaX402 } from '../src/addresses.ts'
import { batchSettlementAbi } from '../src/generated/batch-settlement.ts'
import { gatewayPayeeAbi } from '../src/generated/gateway-payee.ts'
import { testUsdcAbi } from '../src/generated/test-usdc.ts'
import { uptoSettlerAbi } from '../src/generated/upto-settler.ts'
import { createUptoSettlerDomain, uptoChargeTypes } from '../src/upto-charge.ts'
import { needsAnvil, payer, payerKey, sender } from './local-chain.ts'
import { openOperatorChain, payeeOwner } from './operator-chain.ts'
import type { OperatorChain } from './operator-chain.ts'
import { createStockFacilitator, createStockSigner, offer, paymentOf } from './stock-facilitator.ts'

const usdc = { address: baseSepoliaUsdc.address, abi: testUsdcAbi } as const
const batch = { address: baseSepoliaX402.batchSettlement, abi: batchSettlementAbi } as const
const batchDomain = {
  name: 'x402 Batch Settlement',
  version: '1',
  chainId: 84_532,
  verifyingContract: baseSepoliaX402.batchSettlement,
} as const
const zeroSalt = `0x${'0'.repeat(64)}` as const

test(
  'stock clients and a stock facilitator pay by exact and upto through our proxies',
  needsAnvil,
  async () => {
    const chain = await openOperatorChain()
    const facilitator = createStockFacilitator(chain)
    const signer = createStockSigner(chain)
    await approvePermit2(chain)
    const { payee } = chain.addresses

    const exact = offer('exact', payee, '10000', { assetTransferMethod: 'permit2' })
    const exactPayload = await new ExactClient(signer).createPaymentPayload(2, exact)
    const exactPayment = paymentOf(exact, exactPayload.payload)
    expect(await facilitator.verify(exactPayment, exact)).toMatchObject({ isValid: true, payer })
    expect(await facilitator.settle(exactPayment, exact)).toMatchObject({ success: true })
    expect(await chain.balanceOf(payee)).toBe(10_000n)

    const upto = offer('upto', payee, '50000', { facilitatorAddress: sender })
    const uptoPayload = await new UptoClient(signer).createPaymentPayload(2, upto)
    const uptoPayment = paymentOf(upto, uptoPayload.payload)
    expect(await facilitator.verify(uptoPayment, upto)).toMatchObject({ isValid: true, payer })
    const charged = { ...upto, amount: '12345' }
    expect(await facilitator.settle(uptoPayment, charged)).toMatchObject({ success: true })
    expect(await chain.balanceOf(payee)).toBe(22_345n)
  },
)

test(
  'a stock upto payment to our settler is settled for the amount the enclave signed',
  needsAnvil,
  async () => {
    const chain = await openOperatorChain()
    await approvePermit2(chain)
    const { payee, settler } = chain.addresses
    const accepted = offer('upto', payee, '50000', { facilitatorAddress: settler })
    const signed = await new UptoClient(createStockSigner(chain)).createPaymentPayload(2, accepted)
    const { signature, permit2Authorization: permission } = readUptoPayload(signed.payload)
    const { permitted, nonce, deadline, witness } = permission
    const amount = 777n
    const message = { payer, token: permitted.token, payee, nonce: BigInt(nonce), amount } as const
    const charge = await chain.enclave.signTypedData({
      domain: createUptoSettlerDomain(84_532, settler),
      types: uptoChargeTypes,
      primaryType: 'UptoCharge',
      message,
    })
    const digest = await chain.reader.readContract({
      address: settler,
      abi: uptoSettlerAbi,
      functionName: 'getChargeDigest',
      args: [payer, permitted.token, payee, BigInt(nonce), amount],
    })
    expect(await recoverAddress({ hash: digest, signature: charge })).toBe(chain.enclave.address)
    const settle = (charged: bigint) => {
      const permit = {
        permitted: { token: permitted.token, amount: BigInt(permitted.amount) },
        nonce: BigInt(nonce),
        deadline: BigInt(deadline),
      }
      const words = { ...witness, validAfter: BigInt(witness.validAfter) }
      return chain.mined(
        chain.wallet.writeContract({
          address: settler,
          abi: uptoSettlerAbi,
          functionName: 'settle',
          args: [permit, charged, payer, words, signature, charge],
        }),
      )
    }
    await expect(settle(amount + 1n)).rejects.toThrow('UntrustedCharge')
    await settle(amount)
    expect(await chain.balanceOf(payee)).toBe(amount)
    await expect(settle(amount)).rejects.toThrow('0x756688fe') // Permit2: InvalidNonce
  },
)

test.for(['eip3009', 'permit2'])(
  'a stock client opens a channel by %s, pays, is claimed from and refunded, with our authorizer',
  needsAnvil,
  async (assetTransferMethod) => {
    const channel = await openStockChannel(assetTransferMethod)
    const { chain, settleLater, channelConfig, voucher } = channel
    const { channelId } = voucher

    // The first call was metered at 1,234 of the 50,000 that the voucher allows.
    expect(await claim(channel, '1234', 1235n)).toMatchObject({ success: false })
    expect(await claim(channel, '1234', 1234n)).toMatchObject({ success: true })

    const { payee } = chain.addresses
    const sweep = { type: 'settle', receiver: payee, token: baseSepoliaUsdc.address }
    expect(await settleLater(sweep)).toMatchObject({ success: true, amount: '1234' })
    expect(await chain.balanceOf(payee)).toBe(1234n)

    // The key rotates; the channel does not notice.
    const nextEnclave = privateKeyToAccount(generatePrivateKey())
    await chain.registerKey(nextEnclave.address)
    const refundAuthorizerSignature = await nextEnclave.signTypedData({
      domain: batchDomain,
      types: refundTypes,
      primaryType: 'Refund',
      message: { channelId, nonce: 0n, amount: 498_766n },
    })
    const refund = {
      type: 'refund',
      channelConfig,
      voucher,
      amount: '498766',
      refundNonce: '0',
      claims: [],
      refundAuthorizerSignature,
    }
    expect(await settleLater(refund)).toMatchObject({ success: true, amount: '498766' })
    expect(await chain.balanceOf(payer)).toBe(5_000_000n - 1234n)
    expect(await chain.balanceOf(batch.address)).toBe(0n)

    const forward = { address: payee, abi: gatewayPayeeAbi, functionName: 'forward' } as const
    await chain.mined(chain.wallet.writeContract({ ...forward, args: [usdc.address] }))
    expect(await chain.balanceOf(payeeOwner)).toBe(1234n)
  },
)

type StockChannel = Awaited<ReturnType<typeof openStockChannel>>

/** A channel of 500,000 with a first voucher of 50,000, deposited by the stock facilitator. */
async function openStockChannel(assetTransferMethod: string) {
  const chain = await openOperatorChain()
  await approvePermit2(chain)
  const facilitator = createStockFacilitator(chain)
  const { payee, authorizer } = chain.addresses
  const accepted = offer('batch-settlement', payee, '50000', {
    receiverAuthorizer: authorizer,
    withdrawDelay: 900,
    minDeposit: '500000',
    assetTransferMethod,
  })
  const client = new BatchClient(createStockSigner(chain))
  const created = await client.createPaymentPayload(2, accepted)
  const { channelConfig, voucher } = readDepositPayload(created.payload)
  const payment = paymentOf(accepted, created.payload)
  expect(await facilitator.verify(payment, accepted)).toMatchObject({ isValid: true })
  const deposited = await facilitator.settle(payment, accepted)
  expect(deposited).toMatchObject({ success: true, amount: '500000' })
  const call = { ...batch, functionName: 'getChannelId', args: [channelConfig] } as const
  expect(await chain.reader.readContract(call)).toBe(voucher.channelId)
  expect(channelConfig).toMatchObject({ payer, payerAuthorizer: payer, salt: zeroSalt })
  const afterwards = { ...accepted, amount: '0', maxTimeoutSeconds: 0 }
  const settleLater = (payload: Record<string, unknown>) =>
    facilitator.settle(paymentOf(afterwards, payload), afterwards)
  return { chain, channelConfig, voucher, settleLater }
}

/** Claims one total under the enclave's signature over another, which must be the same. */
async function claim(channel: StockChannel, totalClaimed: string, signedTotal: bigint) {
  const { chain, channelConfig, voucher, settleLater } = channel
  const { channelId, maxClaimableAmount, signature } = voucher
  const entry = { channelId, maxClaimableAmount: BigInt(maxClaimableAmount) }
  const claimAuthorizerSignature = await chain.enclave.signTypedData({
    domain: batchDomain,
    types: claimBatchTypes,
    primaryType: 'ClaimBatch',
    message: { claims: [{ ...entry, totalClaimed: signedTotal }] },
  })
  const row = { voucher: { channel: channelConfig, maxClaimableAmount }, signature, totalClaimed }
  return settleLater({ type: 'claim', claims: [row], claimAuthorizerSignature })
}

function readUptoPayload(payload: unknown): UptoPermit2Payload {
  const given: Record<string, unknown> = Object(payload)
  if (!isUptoPermit2Payload(given)) throw new Error('no upto payload')
  return given
}

function readDepositPayload(payload: unknown): BatchSettlementDepositPayload {
  if (!isBatchSettlementDepositPayload(payload)) throw new Error('no deposit')
  return payload
}

async function approvePermit2({ mined, walletOf }: OperatorChain): Promise<void> {
  const args = [baseSepoliaX402.permit2, maxUint256] as const
  await mined(walletOf(payerKey).writeContract({ ...usdc, functionName: 'approve', args }))
}
