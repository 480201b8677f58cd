/** A payer of channels: signs deposits, vouchers and refund requests as x402 has them. */
import {
  createBatchDomain,
  decodeChannelId,
  type ChannelConfig,
} from '@countersign/protocol/payment/channel'
import {
  createChannelOffer,
  type ChannelTerms,
} from '@countersign/protocol/payment/channel-payload'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import type { MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import {
  parsePaymentHeader,
  type PresentedPayment,
} from '@countersign/protocol/payment/presented-payment'
import {
  createDepositNonce,
  createReceiveHasher,
} from '@countersign/protocol/payment/token-authorization'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { privateKeyToAddress } from 'viem/accounts'
import { loadEvmCurve } from '../../src/payment/evm-curve.ts'

/** A payer with one channel to one gateway. */
export type ChannelPayer = {
  readonly config: ChannelConfig
  readonly channelId: Hex
  voucher(offer: MeteredOffer, ceilingAtomic: bigint, unique?: boolean): PresentedPayment
  deposit(offer: MeteredOffer, ceilingAtomic: bigint, amountAtomic: bigint): PresentedPayment
  /** The payload of a deposit. */
  depositOf(ceilingAtomic: bigint, amountAtomic: bigint): Record<string, unknown>
  permit2Deposit(
    offer: MeteredOffer,
    ceilingAtomic: bigint,
    amountAtomic: bigint,
    nonce: bigint,
    lifetimeSeconds?: number,
  ): PresentedPayment
  refund(offer: MeteredOffer, chargedAtomic: bigint, amountAtomic?: bigint): PresentedPayment
  /** A refund with a signature of its own. */
  signedRefund(
    offer: MeteredOffer,
    chargedAtomic: bigint,
    amountAtomic: bigint,
    nonce: bigint,
  ): PresentedPayment
  /** The payload as it goes into a header, for changing. */
  payloadOf(type: 'voucher' | 'refund', ceilingAtomic: bigint): Record<string, unknown>
  present(offer: MeteredOffer, payload: unknown, extensions?: object): PresentedPayment
}

const curve = await loadEvmCurve()
const resourceUrl = 'http://127.0.0.1/v1/chat/completions'
const domain = createBatchDomain(84_532n, lower(baseSepoliaX402.batchSettlement))
const permit2Domain = createPermit2Domain(84_532n, lower(baseSepoliaX402.permit2))
const hashReceive = createReceiveHasher({
  name: baseSepoliaUsdc.eip712Name,
  version: baseSepoliaUsdc.eip712Version,
  chainId: 84_532n,
  verifyingContract: lower(baseSepoliaUsdc.address),
})

const uniqueCeilings = { 'countersign-concurrency': { info: { mode: 'unique-ceiling' } } }

/** The offer of a call whose ceiling is this amount. */
export function offerOf(terms: ChannelTerms, amountAtomic: bigint): MeteredOffer {
  return createChannelOffer(terms, amountAtomic, resourceUrl)
}

/** A payer by its key; another `channel` is another channel of the same payer. */
export function createChannelPayer(key: Hex, terms: ChannelTerms, channel = 0): ChannelPayer {
  const payer = lower(privateKeyToAddress(key))
  const privateKey = Buffer.from(key.slice(2), 'hex')
  const sign = (digest: Uint8Array): Hex => encodeEvmSignature(curve.sign(digest, privateKey))
  const config: ChannelConfig = {
    payer,
    payerAuthorizer: payer,
    receiver: lower(terms.payTo),
    receiverAuthorizer: lower(terms.receiverAuthorizer),
    token: lower(terms.asset),
    withdrawDelaySeconds: BigInt(terms.withdrawDelaySeconds),
    salt: `0x${channel.toString(16).padStart(64, '0')}`,
  }
  const channelId = domain.hashChannelId(config)
  const { withdrawDelaySeconds, ...members } = config
  const payloadOf = (type: string, ceilingAtomic: bigint): Record<string, unknown> => ({
    type,
    channelConfig: { ...members, withdrawDelay: Number(withdrawDelaySeconds) },
    voucher: {
      channelId,
      maxClaimableAmount: `${ceilingAtomic}`,
      signature: sign(domain.hashVoucher(decodeChannelId(channelId), ceilingAtomic)),
    },
  })
  const depositOf = (ceilingAtomic: bigint, amountAtomic: bigint): Record<string, unknown> => ({
    ...payloadOf('deposit', ceilingAtomic),
    deposit: {
      amount: `${amountAtomic}`,
      authorization: {
        erc3009Authorization: authorize(sign, terms, { payer, channelId, amountAtomic }),
      },
    },
  })
  return {
    config,
    channelId,
    depositOf,
    payloadOf,
    present,
    voucher: (offer, ceilingAtomic, unique) =>
      present(offer, payloadOf('voucher', ceilingAtomic), unique === true ? uniqueCeilings : {}),
    signedRefund: (offer, chargedAtomic, amountAtomic, nonce) => {
      const signature = sign(domain.hashRefund(channelId, nonce, amountAtomic))
      const info = { version: 1, nonce: `${nonce}`, signature }
      const payload = { ...payloadOf('refund', chargedAtomic), amount: `${amountAtomic}` }
      return present(offer, payload, { 'countersign-refund': { info } })
    },
    refund: (offer, chargedAtomic, amountAtomic) =>
      present(offer, {
        ...payloadOf('refund', chargedAtomic),
        ...(amountAtomic === undefined ? {} : { amount: `${amountAtomic}` }),
      }),
    permit2Deposit: (offer, ceilingAtomic, amountAtomic, nonce, lifetimeSeconds = 600) => {
      const permit = {
        token: lower(terms.asset),
        amountAtomic,
        spender: lower(terms.permit2Collector),
        nonce,
        deadlineSeconds: BigInt(Math.floor(Date.now() / 1000) + lifetimeSeconds),
      }
      const permit2Authorization = {
        from: payer,
        permitted: { token: permit.token, amount: `${amountAtomic}` },
        spender: permit.spender,
        nonce: `${nonce}`,
        deadline: `${permit.deadlineSeconds}`,
        witness: { channelId },
        signature: sign(permit2Domain.hashDeposit(permit, channelId)),
      }
      return present(offer, {
        ...payloadOf('deposit', ceilingAtomic),
        deposit: { amount: `${amountAtomic}`, authorization: { permit2Authorization } },
      })
    },
    deposit: (offer, ceilingAtomic, amountAtomic) =>
      present(offer, depositOf(ceilingAtomic, amountAtomic)),
  }
}

/** The authorization of a deposit; another one of the same amount would be the same one. */
function authorize(
  sign: (digest: Uint8Array) => Hex,
  terms: ChannelTerms,
  deposit: { readonly payer: Hex; readonly channelId: Hex; readonly amountAtomic: bigint },
): Record<string, string> {
  const { payer, channelId, amountAtomic } = deposit
  const salt: Hex = `0x${amountAtomic.toString(16).padStart(64, '0')}`
  const validBeforeSeconds = BigInt(Math.floor(Date.now() / 1000) + 600)
  const digest = hashReceive({
    from: payer,
    to: lower(terms.erc3009Collector),
    valueAtomic: amountAtomic,
    validAfterSeconds: 0n,
    validBeforeSeconds,
    nonce: createDepositNonce(channelId, salt),
  })
  return { validAfter: '0', validBefore: `${validBeforeSeconds}`, salt, signature: sign(digest) }
}

/** The payment as it is read from its header. */
function present(offer: MeteredOffer, payload: unknown, extensions: object = {}): PresentedPayment {
  const payment = { x402Version: 2, accepted: offer.requirements, payload, extensions }
  return parsePaymentHeader(Buffer.from(JSON.stringify(payment)).toString('base64'))
}

/** 0x and 40 lower-case hex digits. */
export function lower(text: string): Hex {
  const address = parseAddress(text)
  if (address === undefined) throw new Error(`no address: ${text}`)
  return address
}
