/** What payers of metered schemes are told: the words for the codes of spec/payment.md PA23. */
import type { PaymentCode } from '@countersign/protocol/payment/payment-code'

const newPayment = 'Sign a new payment from the offer in PAYMENT-REQUIRED.'
const otherOffer = 'The payment was made for another offer.'
const resync = 'Take the state of the channel from the offer in PAYMENT-REQUIRED and sign again.'
const wait = 'Try again after the time in Retry-After; nothing was charged.'

/** Title and hint of each code. */
export const paymentErrorTexts: Readonly<Record<PaymentCode, readonly [string, string]>> = {
  'chain-nodes-disagree': ['The nodes of the chain do not say the same.', wait],
  'chain-unreachable': ['The chain does not answer.', wait],
  'channel-authorizer-mismatch': ['The channel has another authorizer than the offer.', newPayment],
  'channel-balance-exceeded': [
    'The channel holds too little for this call.',
    'Deposit more into the channel.',
  ],
  'channel-busy': [
    'As many calls run on this channel as it may have.',
    'Wait for the end of a call, or use the extension countersign-concurrency.',
  ],
  'channel-ceiling-mismatch': ['The voucher is not for what was charged and this call.', resync],
  'channel-ceiling-too-low': ['The voucher does not cover this call and those that run.', resync],
  'channel-ceiling-used': ['This ceiling has bought a call already.', resync],
  'channel-chain-stale': ['The chain was not read for too long.', wait],
  'channel-delay-mismatch': ['The channel has another withdraw delay than the offer.', newPayment],
  'channel-frozen': [
    'The channel was claimed by somebody else, or its claim was refused.',
    'Withdraw what the channel holds, and open another.',
  ],
  'channel-id-mismatch': ['The channel id is not that of its config.', newPayment],
  'channel-payer-is-contract': [
    'Vouchers of contract wallets are not taken.',
    'Name a key as payerAuthorizer.',
  ],
  'channel-unknown': ['The channel holds nothing yet.', 'Send a deposit first.'],
  'channel-withdrawing': [
    'A withdrawal or a refund of this channel is under way.',
    'Wait for its end, or open another channel.',
  ],
  'charge-key-untrusted': ['The key registry trusts no charge key of this gateway now.', wait],
  'deposit-below-minimum': ['The deposit is smaller than the offer allows.', newPayment],
  'deposit-pending': [
    'The deposit is not deep enough in the chain yet.',
    'Send the same payment again: it is not deposited twice.',
  ],
  'deposit-refused': [
    'The contract refuses the deposit.',
    'Check the balance and the authorization, then sign a new payment.',
  ],
  'payer-exposure-exceeded': [
    'This payer owes as much as it may.',
    'Wait until earlier calls are settled.',
  ],
  'payer-funds-exceeded': [
    'The balance, or what Permit2 may take of it, is too small for this call and those before.',
    'Add funds, or approve Permit2.',
  ],
  'payment-already-used': ['This payment has bought a call already.', newPayment],
  'payment-amount-mismatch': [otherOffer, newPayment],
  'payment-asset-mismatch': [otherOffer, newPayment],
  'payment-expired': ['The payment expires before it could be settled.', newPayment],
  'payment-extension-mismatch': [otherOffer, 'Echo the extensions as they were offered.'],
  'payment-facilitator-mismatch': [otherOffer, newPayment],
  'payment-in-progress': [
    'The call that this payment buys has not ended yet.',
    'Wait for the first call, or sign a new payment.',
  ],
  'payment-malformed': [
    'The PAYMENT-SIGNATURE header cannot be read.',
    'Send one x402 v2 payment payload in base64.',
  ],
  'payment-network-mismatch': [otherOffer, newPayment],
  'payment-not-yet-valid': ['The payment is not valid yet.', 'Compare the clocks.'],
  'payment-offer-mismatch': [otherOffer, newPayment],
  'payment-payee-mismatch': [otherOffer, newPayment],
  'payment-request-mismatch': [
    'The payment is bound to another request.',
    'Sign a new payment for this request.',
  ],
  'payment-resource-mismatch': [otherOffer, newPayment],
  'payment-scheme-mismatch': [otherOffer, newPayment],
  'payment-signature-invalid': ['Another key made the signature.', newPayment],
  'payment-signature-malformed': ['The signature is in no form that can be settled.', newPayment],
  'payment-spender-mismatch': [otherOffer, newPayment],
  'payment-version-unsupported': ['Only x402 version 2 is spoken here.', newPayment],
  'refund-nonce-mismatch': [
    'The refund is signed for another nonce than the channel has.',
    'Sign the refund again.',
  ],
  'refund-signature-required': [
    'The voucher of this refund may be known to others.',
    'Sign the refund in the extension countersign-refund.',
  ],
  'refund-amount-invalid': ['The channel has not so much to give back.', 'Ask for less.'],
}
