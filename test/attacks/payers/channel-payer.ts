/** A payer of `batch-settlement`: one channel, opened by its first payment. */
import { randomBytes } from 'node:crypto'
import { encodeAbiParameters, hashTypedData, keccak256, type Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import type { RawResult } from '../../provider/raw-client.ts'
import type { Payer, SignChanges } from '../attack.ts'
import { memberOf, quoteIn, settledIn, type Offer, type Payment, type Quote } from '../wire.ts'
import {
  chainIdOf,
  contracts,
  fields,
  hex,
  signable,
  signTyped,
  strangerKey,
} from './sign-typed.ts'
import { offerIn, present } from './single-payers.ts'

/** Knows its channel. */
export type ChannelPayer = Payer & {
  /** Of an offer: what identifies the channel on chain. */
  channelOf(offer: Offer): { readonly id: Hex; readonly config: ChannelConfig }
  /** A request for money back. */
  signRefund(quote: Quote, amountAtomic: bigint, refundNonce: bigint): Promise<Payment>
  /** Charged in all, as last heard. */
  chargedAtomic(): bigint
  /** What the channel held, as last heard. */
  balanceAtomic(): bigint | undefined
  /** The next payment brings a deposit of its own. */
  refill(): void
}

type ChannelBelief = {
  open: boolean
  chargedAtomic: bigint
  balanceAtomic: bigint | undefined
}

/** The fields of a channel, as x402 has them on the wire. */
export type ChannelConfig = {
  readonly payer: Hex
  readonly payerAuthorizer: Hex
  readonly receiver: Hex
  readonly receiverAuthorizer: Hex
  readonly token: Hex
  readonly withdrawDelay: number
  readonly salt: Hex
}

const config = {
  ChannelConfig: fields(
    'address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt',
  ),
}
const voucher = { Voucher: fields('bytes32 channelId,uint128 maxClaimableAmount') }
const refund = { Refund: fields('bytes32 channelId,uint256 nonce,uint128 amount') }
const receive = {
  ReceiveWithAuthorization: fields(
    'address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce',
  ),
}

/** What is deposited: so much, or what the offer wants at least. */
export function depositFor(offer: Offer, atomic: bigint): bigint {
  const { minDeposit } = offer.extra
  const least = typeof minDeposit === 'string' && /^\d+$/.test(minDeposit) ? BigInt(minDeposit) : 0n
  return least > atomic ? least : atomic
}

/** Opens a channel with a deposit of this amount, or the least that is taken; another salt is another channel. */
export function createChannelPayer(key: Hex, depositAtomic: bigint, salt = 0n): ChannelPayer {
  const { address } = privateKeyToAccount(key)
  // Owned by this payer: what it believes about its channel.
  const state: ChannelBelief = { open: false, chargedAtomic: 0n, balanceAtomic: undefined }

  async function signVoucher(
    type: 'deposit' | 'voucher' | 'refund',
    offer: Offer,
    changes: SignChanges,
    ceilingAtomic: bigint,
  ): Promise<Record<string, unknown>> {
    const channel = channelFor(address, offer, salt)
    const signature = await signTyped(
      changes.forged === true ? strangerKey : key,
      batchDomain(offer, changes),
      voucher,
      'Voucher',
      { channelId: channel.id, maxClaimableAmount: ceilingAtomic },
    )
    const channelConfig = { ...channel.config, receiver: changes.payTo ?? channel.config.receiver }
    return {
      type,
      channelConfig,
      voucher: {
        channelId: channel.id,
        maxClaimableAmount: changes.amount ?? `${ceilingAtomic}`,
        signature,
      },
    }
  }

  return {
    address,
    channelOf: (offer) => channelFor(address, offer, salt),
    chargedAtomic: () => state.chargedAtomic,
    refill: () => {
      state.open = false
    },
    balanceAtomic: () => state.balanceAtomic,
    sign: async (quote, changes = {}) => {
      const offer = offerIn(quote, 'batch-settlement')
      const next = state.chargedAtomic + BigInt(offer.amount)
      const ceiling = changes.ceilingAtomic ?? signable(changes.amount, next)
      const type = state.open ? 'voucher' : 'deposit'
      const payload = await signVoucher(type, offer, changes, ceiling)
      if (state.open) return present(quote, offer, payload, changes)
      const amount = depositFor(offer, depositAtomic)
      const deposit = await signDeposit(key, offer, amount, salt)
      return present(quote, offer, { ...payload, deposit }, changes)
    },
    signRefund: async (quote, amountAtomic, refundNonce) => {
      const offer = offerIn(quote, 'batch-settlement')
      const payload = await signVoucher('refund', offer, {}, state.chargedAtomic)
      const { id } = channelFor(address, offer, salt)
      const signature = await signTyped(key, batchDomain(offer, {}), refund, 'Refund', {
        channelId: id,
        nonce: refundNonce,
        amount: amountAtomic,
      })
      const info = { version: 1, nonce: `${refundNonce}`, signature }
      // Stock servers know no signature of a refund's own (spec/payment.md PA19.2).
      const names = Object.keys(quote.extensions ?? {})
      const isSigned = names.some((name) => name.startsWith('countersign-'))
      const extensions = isSigned ? { 'countersign-refund': { info } } : {}
      return present(quote, offer, { ...payload, amount: `${amountAtomic}` }, { extensions })
    },
    hear: (answer) => {
      const charged = channelAmountIn(answer, 'chargedCumulativeAmount')
      if (charged === undefined) return
      state.open = true
      state.balanceAtomic = channelAmountIn(answer, 'balance')
      if (charged > state.chargedAtomic) state.chargedAtomic = charged
    },
  }
}

/** Opens such a channel, and fills it again whenever the next call would not fit into it. */
export function createLastingChannelPayer(key: Hex, depositAtomic: bigint): ChannelPayer {
  const payer = createChannelPayer(key, depositAtomic)
  return {
    ...payer,
    sign: (quote, changes) => {
      const { amount } = offerIn(quote, 'batch-settlement')
      const balance = payer.balanceAtomic()
      if (balance !== undefined && payer.chargedAtomic() + BigInt(amount) > balance) payer.refill()
      return payer.sign(quote, changes)
    },
  }
}

/** C or B as an answer names it: in PAYMENT-RESPONSE, or in the offer of a corrective 402. */
function channelAmountIn(
  answer: RawResult,
  name: 'chargedCumulativeAmount' | 'balance',
): bigint | undefined {
  const correction = quoteIn(answer)?.accepts.find((each) => each.scheme === 'batch-settlement')
  const state = settledIn(answer)?.extra?.['channelState'] ?? correction?.extra['channelState']
  const total = memberOf(state, name)
  return typeof total === 'string' && /^\d+$/.test(total) ? BigInt(total) : undefined
}

function batchDomain(offer: Offer, changes: SignChanges): Record<string, unknown> {
  return {
    name: 'x402 Batch Settlement',
    version: '1',
    chainId: changes.chainId ?? chainIdOf(offer.network),
    verifyingContract: hex(changes.verifyingContract ?? contracts.batch),
  }
}

function channelFor(
  payer: Hex,
  offer: Offer,
  salt: bigint,
): { readonly id: Hex; readonly config: ChannelConfig } {
  const channel: ChannelConfig = {
    payer,
    payerAuthorizer: payer,
    receiver: hex(offer.payTo),
    receiverAuthorizer: hex(offer.extra['receiverAuthorizer']),
    token: hex(offer.asset),
    withdrawDelay: Number(offer.extra['withdrawDelay']),
    salt: `0x${salt.toString(16).padStart(64, '0')}`,
  }
  const id = hashTypedData({
    domain: batchDomain(offer, {}),
    types: { ChannelConfig: [...config.ChannelConfig] },
    primaryType: 'ChannelConfig',
    message: channel,
  })
  return { id, config: channel }
}

async function signDeposit(
  key: Hex,
  offer: Offer,
  amountAtomic: bigint,
  channelSalt: bigint,
): Promise<Record<string, unknown>> {
  const { address } = privateKeyToAccount(key)
  const { id } = channelFor(address, offer, channelSalt)
  const validBefore = BigInt(Math.floor(Date.now() / 1000) + 600)
  // Another for each: a channel may have deposits of an earlier run.
  const salt = randomBytes(32).toString('hex')
  const words = [{ type: 'bytes32' }, { type: 'uint256' }] as const
  const signature = await signTyped(
    key,
    {
      name: offer.extra['name'],
      version: offer.extra['version'],
      chainId: chainIdOf(offer.network),
      verifyingContract: hex(offer.asset),
    },
    receive,
    'ReceiveWithAuthorization',
    {
      from: address,
      to: contracts.erc3009Collector,
      value: amountAtomic,
      validAfter: 0n,
      validBefore,
      nonce: keccak256(encodeAbiParameters(words, [id, BigInt(`0x${salt}`)])),
    },
  )
  const erc3009Authorization = {
    validAfter: '0',
    validBefore: `${validBefore}`,
    salt: `0x${salt}`,
    signature,
  }
  return { amount: `${amountAtomic}`, authorization: { erc3009Authorization } }
}
