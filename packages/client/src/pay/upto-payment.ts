/** Signs the maximum of an `upto` payment by Permit2, bound to one request (spec/payment.md PA17). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { x402On } from '@countersign/contracts/addresses'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { checkChain, type ChainReader } from '../chain/chain-reader.ts'
import { readWord } from '../chain/contract-call.ts'
import { ClientError } from '../errors.ts'
import { jsonMap } from './base64-json.ts'
import {
  createBoundNonce,
  encodePaymentHeader,
  requestMembers,
  type PaymentBinding,
  type PaymentTerms,
} from './payment-header.ts'
import type { UptoOffer } from './payment-required.ts'
import { readChainId, readSigner, signTypedData, type PaymentSigner } from './sign-typed-data.ts'
import type { SignedTransfer } from './transfer-authorization.ts'

// The gateway asks for the time of the call and 6 seconds; clocks differ.
const slackSeconds = 60

const uptoTypes = {
  PermitWitnessTransferFrom: [
    { name: 'permitted', type: 'TokenPermissions' },
    { name: 'spender', type: 'address' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
    { name: 'witness', type: 'Witness' },
  ],
  TokenPermissions: [
    { name: 'token', type: 'address' },
    { name: 'amount', type: 'uint256' },
  ],
  Witness: [
    { name: 'to', type: 'address' },
    { name: 'facilitator', type: 'address' },
    { name: 'validAfter', type: 'uint256' },
  ],
} as const

/**
 * Signs the maximum. What is taken of it the settler says; nothing but this payee, once, until the deadline.
 *
 * @throws ClientError `signer-failed`, `options-invalid`, `network-not-allowed` for a chain without known contracts.
 */
export async function signUpto(
  signer: PaymentSigner,
  terms: PaymentTerms<UptoOffer>,
  binding: PaymentBinding,
  nowMs: number,
): Promise<SignedTransfer> {
  const { offer } = terms
  const { permit2, uptoProxy, chainId } = contractsOf(offer)
  const paymentId = createBoundNonce(binding)
  const from = readSigner(signer)
  const deadline = Math.floor(nowMs / 1000) + offer.maxTimeoutSeconds + slackSeconds
  const nonce = BigInt(`0x${toHex(paymentId)}`)
  const signature = await signTypedData(signer, {
    domain: { name: 'Permit2', chainId, verifyingContract: permit2 },
    types: uptoTypes,
    primaryType: 'PermitWitnessTransferFrom',
    message: {
      permitted: { token: offer.asset, amount: offer.amountAtomic },
      spender: uptoProxy,
      nonce,
      deadline: BigInt(deadline),
      witness: { to: offer.payTo, facilitator: offer.facilitator, validAfter: 0n },
    },
  })
  const payload = jsonMap({
    signature,
    permit2Authorization: jsonMap({
      from,
      permitted: jsonMap({ token: offer.asset, amount: `${offer.amountAtomic}` }),
      spender: uptoProxy,
      nonce: `${nonce}`,
      deadline: `${deadline}`,
      witness: jsonMap({ to: offer.payTo, facilitator: offer.facilitator, validAfter: '0' }),
    }),
  })
  return { header: encodePaymentHeader(terms, payload, requestMembers(binding)), paymentId }
}

/**
 * Makes sure that Permit2 may move the maximum. It takes one transaction of the payer, ever, which is not made here.
 *
 * @throws ClientError `allowance-missing`, `chain-mismatch`, `chain-unreachable`.
 */
export async function checkAllowance(
  reader: ChainReader,
  signer: PaymentSigner,
  offer: UptoOffer,
): Promise<void> {
  const { permit2, chainId } = contractsOf(offer)
  await checkChain(reader, BigInt(chainId))
  const owner = readSigner(signer)
  const words = [owner, permit2]
  const allowance = await readWord(reader, offer.asset, 'allowance(address,address)', words)
  if (allowance < offer.amountAtomic) {
    const detail = `${allowance} of ${offer.amountAtomic}; run: countersign wallet approve`
    throw new ClientError('allowance-missing', { detail })
  }
}

function contractsOf({ network }: UptoOffer): {
  readonly chainId: number
  readonly permit2: Hex
  readonly uptoProxy: Hex
} {
  const chainId = readChainId(network)
  const x402 = x402On(chainId)
  const permit2 = parseAddress(x402?.permit2)
  const uptoProxy = parseAddress(x402?.uptoPermit2Proxy)
  if (permit2 === undefined || uptoProxy === undefined) {
    throw new ClientError('network-not-allowed', { detail: `no contracts known on ${network}` })
  }
  return { chainId, permit2, uptoProxy }
}
