/** `upto`: its offer, and the payload of a payment for it (spec/payment.md PA17). */
import type { JsonMap } from '../bytes/json-decode.ts'
import { parseEvmSignature, type EvmSignature } from './evm-signature.ts'
import { parseAddress, type Hex } from './evm-word.ts'
import { checkMembers, readAddress, readDecimal, readObject } from './json-members.ts'
import { createRequirements, type MeteredOffer, type MeteredTerms } from './metered-offer.ts'
import { PaymentError, type PaymentCode } from './payment-code.ts'
import type { Permit2Transfer, UptoWitness } from './permit2.ts'

/** The terms of `upto`. `facilitator` is the only account that may settle. */
export type UptoTerms = MeteredTerms & {
  readonly facilitator: string
  /** The upto proxy, which is the spender of the permit. */
  readonly uptoProxy: string
}

/** A payment that fits its offer. Its signature has the right form; who made it is not judged yet. */
export type UptoPayment = {
  readonly payer: Hex
  readonly permit: Permit2Transfer
  readonly witness: UptoWitness
  readonly signature: EvmSignature
}

/** Time that a settlement takes at most, beyond that of the call. */
const settlementSeconds = 6n

/** The offer for a request whose ceiling is this amount. */
export function createUptoOffer(
  terms: UptoTerms,
  amountAtomic: bigint,
  resourceUrl: string,
): MeteredOffer {
  const extra = { assetTransferMethod: 'permit2', facilitatorAddress: terms.facilitator }
  return {
    amountAtomic,
    resourceUrl,
    requirements: createRequirements(terms, 'upto', amountAtomic, extra),
  }
}

/**
 * Reads `payload` against the terms and the ceiling of this request.
 *
 * @throws PaymentError in the order of PA17.2.
 */
export function parseUptoPayload(
  payload: JsonMap,
  terms: UptoTerms,
  amountAtomic: bigint,
  nowSeconds: bigint,
): UptoPayment {
  const payment = readUptoPayload(payload)
  const { permit, witness } = payment
  expectAddress(permit.token, terms.asset, 'payment-asset-mismatch')
  if (permit.amountAtomic !== amountAtomic) {
    throw new PaymentError(
      'payment-amount-mismatch',
      'The permitted amount is not the one offered.',
    )
  }
  expectAddress(witness.to, terms.payTo, 'payment-payee-mismatch')
  expectAddress(permit.spender, terms.uptoProxy, 'payment-spender-mismatch')
  expectAddress(witness.facilitator, terms.facilitator, 'payment-facilitator-mismatch')
  if (witness.validAfterSeconds > nowSeconds) {
    throw new PaymentError('payment-not-yet-valid', 'validAfter lies in the future.')
  }
  // Stock clients sign for maxTimeoutSeconds: the first half is for presenting, the second one for the call.
  const endSeconds = nowSeconds + settlementSeconds + BigInt(terms.maxTimeoutSeconds) / 2n
  if (permit.deadlineSeconds < endSeconds) {
    throw new PaymentError('payment-expired', 'The deadline may pass before the settlement.')
  }
  return payment
}

/** Reads `payload` alone, for who has to know its times first. @throws PaymentError `payment-malformed` */
export function readUptoPayload(payload: JsonMap): UptoPayment {
  checkMembers(payload, ['signature', 'permit2Authorization'])
  const authorization = readObject(payload, 'permit2Authorization', [
    'from',
    'permitted',
    'spender',
    'nonce',
    'deadline',
    'witness',
  ])
  const permitted = readObject(authorization, 'permitted', ['token', 'amount'])
  const witness = readObject(authorization, 'witness', ['to', 'facilitator', 'validAfter'])
  return {
    payer: readAddress(authorization, 'from'),
    permit: {
      token: readAddress(permitted, 'token'),
      amountAtomic: readDecimal(permitted, 'amount'),
      spender: readAddress(authorization, 'spender'),
      nonce: readDecimal(authorization, 'nonce'),
      deadlineSeconds: readDecimal(authorization, 'deadline'),
    },
    witness: {
      to: readAddress(witness, 'to'),
      facilitator: readAddress(witness, 'facilitator'),
      validAfterSeconds: readDecimal(witness, 'validAfter'),
    },
    signature: parseEvmSignature(payload.get('signature')),
  }
}

function expectAddress(given: Hex, offered: string, code: PaymentCode): void {
  if (given !== parseAddress(offered)) {
    throw new PaymentError(code, 'An address is not the one of the offer.')
  }
}
