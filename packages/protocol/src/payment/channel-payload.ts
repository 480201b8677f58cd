/** `batch-settlement`: its offer, and the payload of a payment for it (spec/payment.md PA18, PA19). */
import type { JsonMap, JsonValue } from '../bytes/json-decode.ts'
import { channelAmountBits, type BatchDomain, type ChannelConfig } from './channel.ts'
import { readDeposit, type Deposit } from './channel-deposit.ts'
import { parseEvmSignature, type EvmSignature } from './evm-signature.ts'
import { parseAddress, zeroAddress, type Hex } from './evm-word.ts'
import {
  checkMembers,
  malformed,
  readAddress,
  readDecimal,
  readObject,
  readWord,
} from './json-members.ts'
import { createRequirements, type MeteredOffer, type MeteredTerms } from './metered-offer.ts'
import { PaymentError, type PaymentCode } from './payment-code.ts'

/** The terms of `batch-settlement`. */
export type ChannelTerms = MeteredTerms & {
  readonly receiverAuthorizer: string
  readonly withdrawDelaySeconds: number
  readonly minDepositAtomic: bigint
  /** Calls that may run at once on a channel with unique ceilings. */
  readonly maxRunningCalls: number
  readonly erc3009Collector: string
  readonly permit2Collector: string
}

/** A signed cumulative ceiling. */
export type Voucher = {
  readonly channelId: Hex
  readonly maxClaimableAtomic: bigint
  readonly signature: EvmSignature
}

/** A payment that fits the terms. Signatures have the right form; who made them is not judged yet. */
export type ChannelPayment = {
  readonly config: ChannelConfig
  readonly voucher: Voucher
  readonly action:
    | { readonly kind: 'voucher' }
    | { readonly kind: 'deposit'; readonly deposit: Deposit }
    | { readonly kind: 'refund'; readonly amountAtomic: bigint | 'all' }
}

/** The offer for a request whose ceiling is this amount. */
export function createChannelOffer(
  terms: ChannelTerms,
  amountAtomic: bigint,
  resourceUrl: string,
): MeteredOffer {
  const extra = {
    receiverAuthorizer: terms.receiverAuthorizer,
    withdrawDelay: terms.withdrawDelaySeconds,
    minDeposit: `${terms.minDepositAtomic}`,
    concurrency: { mode: 'unique-ceiling', max: terms.maxRunningCalls },
  }
  return {
    amountAtomic,
    resourceUrl,
    requirements: createRequirements(terms, 'batch-settlement', amountAtomic, extra),
  }
}

/**
 * Reads `payload` against the terms. That the config hashes to the id is `checkChannelId`: a caller who knows the
 * channel compares the configs instead.
 *
 * @throws PaymentError in the order of PA18.2.
 */
export function parseChannelPayload(payload: JsonMap, terms: ChannelTerms): ChannelPayment {
  const type = payload.get('type')
  const extraMember = type === 'deposit' ? ['deposit'] : []
  const amountMember = type === 'refund' && payload.has('amount') ? ['amount'] : []
  checkMembers(payload, ['type', 'channelConfig', 'voucher', ...extraMember, ...amountMember])
  const config = readChannelConfig(payload, 'channelConfig')
  const voucher = readVoucher(payload)
  checkConfig(config, terms)
  return { config, voucher, action: readAction(payload, type, terms, config, voucher) }
}

/** @throws PaymentError `channel-id-mismatch` when the id is not the digest of the config. */
export function checkChannelId(domain: BatchDomain, { config, voucher }: ChannelPayment): void {
  if (domain.hashChannelId(config) !== voucher.channelId) {
    throw new PaymentError('channel-id-mismatch', 'The channel id is not that of the config.')
  }
}

function readAction(
  payload: JsonMap,
  type: JsonValue | undefined,
  terms: ChannelTerms,
  config: ChannelConfig,
  voucher: Voucher,
): ChannelPayment['action'] {
  if (type === 'voucher') return { kind: type }
  if (type === 'deposit') {
    return { kind: type, deposit: readDeposit(payload, terms, config.payer, voucher.channelId) }
  }
  if (type !== 'refund') throw malformed('The type is not voucher, deposit or refund.')
  if (!payload.has('amount')) return { kind: type, amountAtomic: 'all' }
  const amountAtomic = readDecimal(payload, 'amount', channelAmountBits)
  if (amountAtomic === 0n) throw new PaymentError('refund-amount-invalid', 'A refund of 0.')
  return { kind: type, amountAtomic }
}

/** The config of a channel at this name. @throws PaymentError `payment-malformed`. */
export function readChannelConfig(payload: JsonMap, name: string): ChannelConfig {
  const members = readObject(payload, name, [
    'payer',
    'payerAuthorizer',
    'receiver',
    'receiverAuthorizer',
    'token',
    'withdrawDelay',
    'salt',
  ])
  const delay = members.get('withdrawDelay')
  if (typeof delay !== 'number' || delay < 0 || delay >= 2 ** 40) {
    throw malformed('The member withdrawDelay is malformed.')
  }
  return {
    payer: readAddress(members, 'payer'),
    payerAuthorizer: readAddress(members, 'payerAuthorizer'),
    receiver: readAddress(members, 'receiver'),
    receiverAuthorizer: readAddress(members, 'receiverAuthorizer'),
    token: readAddress(members, 'token'),
    withdrawDelaySeconds: BigInt(delay),
    salt: readWord(members, 'salt'),
  }
}

function readVoucher(payload: JsonMap): Voucher {
  const members = readObject(payload, 'voucher', ['channelId', 'maxClaimableAmount', 'signature'])
  return {
    channelId: readWord(members, 'channelId'),
    maxClaimableAtomic: readDecimal(members, 'maxClaimableAmount', channelAmountBits),
    signature: parseEvmSignature(members.get('signature')),
  }
}

function checkConfig(config: ChannelConfig, terms: ChannelTerms): void {
  expectAddress(config.token, terms.asset, 'payment-asset-mismatch')
  expectAddress(config.receiver, terms.payTo, 'payment-payee-mismatch')
  expectAddress(config.receiverAuthorizer, terms.receiverAuthorizer, 'channel-authorizer-mismatch')
  if (config.withdrawDelaySeconds !== BigInt(terms.withdrawDelaySeconds)) {
    throw new PaymentError('channel-delay-mismatch', 'The withdraw delay is not the one offered.')
  }
  if (config.payerAuthorizer === zeroAddress) {
    throw new PaymentError('channel-payer-is-contract', 'A key must sign the vouchers.')
  }
}

function expectAddress(given: Hex, offered: string, code: PaymentCode): void {
  if (given !== parseAddress(offered)) {
    throw new PaymentError(code, 'An address is not the one of the offer.')
  }
}
