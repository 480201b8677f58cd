/** The authorization that fills a channel (spec/payment.md PA19). */
import type { JsonMap } from '../bytes/json-decode.ts'
import { channelAmountBits } from './channel.ts'
import { parseEvmSignature, type EvmSignature } from './evm-signature.ts'
import { parseAddress, type Hex } from './evm-word.ts'
import {
  isJsonMap,
  malformed,
  readAddress,
  readDecimal,
  readObject,
  readWord,
} from './json-members.ts'
import { PaymentError } from './payment-code.ts'
import type { Permit2Transfer } from './permit2.ts'
import { createDepositNonce, type TokenAuthorization } from './token-authorization.ts'

/** Money that enters a channel. Its signature has the right form; who made it is not judged yet. */
export type Deposit = {
  readonly amountAtomic: bigint
  readonly signature: EvmSignature
  readonly authorization:
    | {
        readonly kind: 'erc3009'
        /** What the contract takes; the nonce is made of it and the channel id. */
        readonly salt: Hex
        readonly transfer: TokenAuthorization
      }
    | { readonly kind: 'permit2'; readonly permit: Permit2Transfer }
}

/** What of the terms a deposit must fit. */
export type DepositTerms = {
  readonly asset: string
  readonly minDepositAtomic: bigint
  readonly erc3009Collector: string
  readonly permit2Collector: string
}

/**
 * Reads the member `deposit` of a payload.
 *
 * @throws PaymentError `payment-malformed`, `deposit-below-minimum` or the code of what differs.
 */
export function readDeposit(
  payload: JsonMap,
  terms: DepositTerms,
  payer: Hex,
  channelId: Hex,
): Deposit {
  const members = readObject(payload, 'deposit', ['amount', 'authorization'])
  const amountAtomic = readDecimal(members, 'amount', channelAmountBits)
  const authorization = members.get('authorization')
  if (!isJsonMap(authorization) || authorization.size !== 1) {
    throw malformed('The deposit has not one authorization.')
  }
  if (amountAtomic < terms.minDepositAtomic) {
    throw new PaymentError('deposit-below-minimum', 'The deposit is smaller than the offer allows.')
  }
  const read = authorization.has('permit2Authorization') ? readPermit2 : readErc3009
  return read(authorization, terms, { amountAtomic, payer, channelId })
}

type Expected = { readonly amountAtomic: bigint; readonly payer: Hex; readonly channelId: Hex }

function readErc3009(
  members: JsonMap,
  terms: DepositTerms,
  { amountAtomic, payer, channelId }: Expected,
): Deposit {
  const given = readObject(members, 'erc3009Authorization', [
    'validAfter',
    'validBefore',
    'salt',
    'signature',
  ])
  const salt = readWord(given, 'salt')
  const transfer = {
    from: payer,
    to: lower(terms.erc3009Collector),
    valueAtomic: amountAtomic,
    validAfterSeconds: readDecimal(given, 'validAfter'),
    validBeforeSeconds: readDecimal(given, 'validBefore'),
    nonce: createDepositNonce(channelId, salt),
  }
  const signature = parseEvmSignature(given.get('signature'))
  return { amountAtomic, signature, authorization: { kind: 'erc3009', salt, transfer } }
}

function readPermit2(
  members: JsonMap,
  terms: DepositTerms,
  { amountAtomic, payer, channelId }: Expected,
): Deposit {
  const given = readObject(members, 'permit2Authorization', [
    'from',
    'permitted',
    'spender',
    'nonce',
    'deadline',
    'witness',
    'signature',
  ])
  const permitted = readObject(given, 'permitted', ['token', 'amount'])
  const witness = readObject(given, 'witness', ['channelId'])
  const permit = {
    token: readAddress(permitted, 'token'),
    amountAtomic: readDecimal(permitted, 'amount'),
    spender: readAddress(given, 'spender'),
    nonce: readDecimal(given, 'nonce'),
    deadlineSeconds: readDecimal(given, 'deadline'),
  }
  const fits = readAddress(given, 'from') === payer && readWord(witness, 'channelId') === channelId
  if (!fits) throw new PaymentError('channel-id-mismatch', 'The deposit is for another channel.')
  if (permit.token !== lower(terms.asset)) {
    throw new PaymentError('payment-asset-mismatch', 'The deposit is in another asset.')
  }
  if (permit.amountAtomic !== amountAtomic) {
    throw new PaymentError('payment-amount-mismatch', 'The deposit permits another amount.')
  }
  if (permit.spender !== lower(terms.permit2Collector)) {
    throw new PaymentError('payment-spender-mismatch', 'The deposit is for another collector.')
  }
  const signature = parseEvmSignature(given.get('signature'))
  return { amountAtomic, signature, authorization: { kind: 'permit2', permit } }
}

/** @throws RangeError for terms without an address: the caller's own mistake. */
function lower(address: string): Hex {
  const parsed = parseAddress(address)
  if (parsed === undefined) throw new RangeError('the terms hold no address')
  return parsed
}
