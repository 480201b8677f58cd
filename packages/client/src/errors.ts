/** Every error of this package: one closed table. The docs list it in docs/guides/client.md. */

/** What to do about an error. `fix`: change your code or options. `later`: try again. `stop`: trust or pay no further. */
export type ClientErrorFamily = 'fix' | 'later' | 'stop'

const table = {
  'allowance-missing': ['fix', 'the payer has not approved Permit2 for this amount'],
  'amount-above-limit': ['stop', 'the price is above maxAmountAtomic'],
  'asset-not-allowed': ['stop', 'the offer asks for an asset that is not in assets'],
  'attestation-refused': ['stop', 'the policy does not take the attestation of the gateway'],
  'attestation-unavailable': ['later', 'the gateway gave no attestation'],
  'budget-exhausted': ['stop', 'paying would exceed budgetAtomic'],
  'body-unsupported': ['fix', 'the request body cannot be read'],
  'chain-mismatch': ['stop', 'the node serves another chain than the payment is for'],
  'chain-unreachable': ['later', 'the chain does not answer, or not as such a contract would'],
  'channel-busy': ['later', 'too many calls wait for the channel'],
  'channel-correction-false': ['stop', 'the gateway says of the channel what cannot be true'],
  'channel-overcharged': ['stop', 'the gateway charged the channel more than it may'],
  'channel-stopped': ['stop', 'nothing is signed for this channel any more; withdraw what is left'],
  'channel-too-small': ['later', 'the call does not fit into the channel'],
  'channel-withdrawing': ['fix', 'money is being withdrawn from the channel'],
  'day-limit-reached': ['stop', 'paying would exceed a limit of this day'],
  'deposit-above-limit': ['stop', 'a deposit would lock more than maxLockedAtomic'],
  'charge-key-refused': ['fix', 'this cannot be done with the charge key'],
  'collateral-malformed': ['stop', 'a service gave no collateral of the form that it publishes'],
  'collateral-unavailable': ['later', 'a service of a vendor does not give its collateral'],
  'collateral-unsupported': ['fix', 'no service has collateral for this evidence'],
  'file-unreadable': ['fix', 'a file cannot be read'],
  'file-unwritable': ['fix', 'a file cannot be written'],
  'gateway-unreachable': ['later', 'the gateway does not answer'],
  'host-not-allowed': ['stop', 'the request goes to a host that is not in hosts'],
  'keystore-malformed': ['fix', 'the keystore is not Web3 Secret Storage of version 3'],
  'keystore-password': ['fix', 'the password of the keystore is missing or another one'],
  'network-not-allowed': ['stop', 'the offer is for a network that is not in networks'],
  'network-not-running': ['fix', 'no network runs here; start one with: countersign up'],
  'network-running': ['fix', 'a network runs already with this folder'],
  'offer-lifetime-too-long': ['stop', 'the offer wants a payment that stays valid too long'],
  'options-invalid': ['fix', 'the options are not usable'],
  'payee-foreign': ['stop', 'the offer pays a contract that is not what the terms give'],
  'payee-not-allowed': ['stop', 'the offer pays an address that is not in payTo'],
  'payee-not-attested': ['stop', 'the attested keyset of the gateway does not name the payee'],
  'payment-required-malformed': [
    'stop',
    'the PAYMENT-REQUIRED header is not a strict x402 v2 offer',
  ],
  'price-above-sheet': ['stop', 'the offer asks for more than the price list of the gateway'],
  'price-not-advertised': ['stop', 'the price list of the gateway does not hold this model'],
  'price-unavailable': ['later', 'the price list of the gateway could not be had'],
  'program-failed': ['later', 'a program of the network ended'],
  'program-missing': ['fix', 'a program of the network is not installed'],
  'receipt-bill-wrong': ['stop', 'the charge is not what the stated use costs by the stated rates'],
  'receipt-call-mismatch': ['stop', 'the receipt states another path, query, method or status'],
  'receipt-id-mismatch': ['stop', 'the receipt is for another call'],
  'receipt-missing': ['stop', 'the answer names no receipt'],
  'receipt-payment-mismatch': ['stop', 'the receipt charges something else than what was paid'],
  'receipt-too-large': ['stop', 'the receipt is larger than the limit'],
  'receipt-unavailable': ['later', 'the receipt could not be fetched'],
  'receipt-unreadable': ['stop', 'the receipt is no bundle with a statement about a call'],
  'redirect-refused': ['stop', 'the gateway answered with a redirect; payments do not follow one'],
  'registry-changed': ['stop', 'the key registry is not as announced, or about to be changed'],
  'scheme-not-supported': ['fix', 'no offer is of a scheme that can be paid here'],
  'sealed-answer-broken': ['stop', 'the sealed answer was changed, or ends before its end'],
  'sealed-refused': ['later', 'the gateway did not open the sealed call'],
  'sealed-unsupported': ['fix', 'the keyset of the gateway has no key for sealed calls'],
  'signer-failed': ['fix', 'the account did not sign'],
  'state-in-use': ['fix', 'another process uses this state file'],
  'state-malformed': ['fix', 'a file is not as this program wrote it'],
  'tls-key-not-attested': ['stop', 'the TLS key of the peer is not in the attested keyset'],
  'terms-not-attested': ['stop', 'the attested keyset of the gateway does not name these terms'],
  'terms-refused': ['stop', 'the policy of the payer does not take the terms of the operator'],
  'terms-unavailable': ['later', 'the gateway announces no terms of its operator'],
  'token-domain-mismatch': ['stop', 'the offer names another EIP-712 domain than the asset has'],
  'transaction-failed': ['later', 'a transaction of the payer failed, or would'],
  'withdraw-delay-too-long': [
    'stop',
    'a key could be registered and claim before a withdrawal ends',
  ],
} as const

/** All codes of this package. */
export type ClientErrorCode = keyof typeof table

/** Every code, in the order of the table. */
export const clientErrorCodes: ReadonlySet<string> = new Set(Object.keys(table))

/** What a code means in one sentence. */
export function describeClientError(code: ClientErrorCode): {
  readonly family: ClientErrorFamily
  readonly message: string
} {
  const [family, message] = table[code]
  return { family, message }
}

/** The only error that this package throws for what it was given or met. */
export class ClientError extends Error {
  readonly code: ClientErrorCode
  readonly family: ClientErrorFamily

  /** `detail` is shown to people and never holds a secret. */
  constructor(
    code: ClientErrorCode,
    options: { readonly detail?: string; readonly cause?: unknown } = {},
  ) {
    const { family, message } = describeClientError(code)
    const detail = options.detail === undefined ? '' : ` (${options.detail})`
    super(`${code}: ${message}${detail}`, 'cause' in options ? { cause: options.cause } : {})
    this.name = 'ClientError'
    this.code = code
    this.family = family
  }
}

/** A receipt that does not belong to its call. `bundle` is the evidence: keep it. */
export class ReceiptError extends ClientError {
  readonly bundle: Uint8Array

  constructor(
    code: ClientErrorCode,
    bundle: Uint8Array,
    options: { readonly detail?: string; readonly cause?: unknown } = {},
  ) {
    super(code, options)
    this.name = 'ReceiptError'
    this.bundle = bundle
  }
}
