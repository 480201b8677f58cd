/** Payers by one signature a call: `exact` (EIP-3009) and `upto` (Permit2). */
import { randomBytes } from 'node:crypto'
import { privateKeyToAccount } from 'viem/accounts'
import type { Hex } from 'viem'
import type { Payer, SignChanges } from '../attack.ts'
import type { Offer, Payment, Quote } from '../wire.ts'
import {
  chainIdOf,
  contracts,
  fields,
  hex,
  signable,
  signTyped,
  strangerKey,
} from './sign-typed.ts'

const transfer = {
  TransferWithAuthorization: fields(
    'address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce',
  ),
}

const permit = {
  PermitWitnessTransferFrom: fields(
    'TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,Witness witness',
  ),
  TokenPermissions: fields('address token,uint256 amount'),
  Witness: fields('address to,address facilitator,uint256 validAfter'),
}

/** Pays fixed prices. */
export function createExactPayer(key: Hex): Payer {
  const { address } = privateKeyToAccount(key)
  return {
    address,
    sign: (quote, changes = {}) => signExact(key, address, quote, changes),
    hear: () => undefined,
  }
}

/** Signs maxima. */
export function createUptoPayer(key: Hex): Payer {
  const { address } = privateKeyToAccount(key)
  return {
    address,
    sign: (quote, changes = {}) => signUpto(key, address, quote, changes),
    hear: () => undefined,
  }
}

/** The offer of a scheme in a quote. */
export function offerIn(quote: Quote, scheme: string): Offer {
  const offer = quote.accepts.find((each) => each.scheme === scheme)
  if (offer === undefined) throw new Error(`the 402 offers no ${scheme}`)
  return offer
}

/** The payment of a payload. */
export function present(
  quote: Quote,
  accepted: Offer,
  payload: Record<string, unknown>,
  changes: SignChanges,
): Payment {
  // Extensions of the offer are echoed, as stock clients do.
  const extensions = { ...echoed(quote), ...changes.extensions }
  return { x402Version: 2, resource: quote.resource, accepted, payload, extensions }
}

// Extensions that only somebody who means them sends.
const meant = new Set(['countersign-concurrency', 'countersign-refund'])

function echoed({ extensions = {} }: Quote): Record<string, unknown> {
  return Object.fromEntries(Object.entries(extensions).filter(([name]) => !meant.has(name)))
}

async function signExact(
  key: Hex,
  from: Hex,
  quote: Quote,
  changes: SignChanges,
): Promise<Payment> {
  const offer = offerIn(quote, 'exact')
  const authorization = {
    from,
    to: changes.payTo ?? offer.payTo,
    value: changes.amount ?? offer.amount,
    validAfter: '0',
    validBefore: deadline(offer),
    nonce: changes.nonce ?? `0x${randomBytes(32).toString('hex')}`,
  }
  const domain = {
    name: offer.extra['name'],
    version: offer.extra['version'],
    chainId: changes.chainId ?? chainIdOf(offer.network),
    verifyingContract: hex(changes.verifyingContract ?? offer.asset),
  }
  const signature = await signTyped(
    changes.forged === true ? strangerKey : key,
    domain,
    transfer,
    'TransferWithAuthorization',
    { ...authorization, value: signable(changes.amount, BigInt(offer.amount)) },
  )
  return present(quote, offer, { signature, authorization }, changes)
}

async function signUpto(key: Hex, from: Hex, quote: Quote, changes: SignChanges): Promise<Payment> {
  const offer = offerIn(quote, 'upto')
  const facilitator = String(offer.extra['facilitatorAddress'])
  const permit2Authorization = {
    from,
    permitted: { token: offer.asset, amount: changes.amount ?? offer.amount },
    spender: contracts.uptoProxy,
    nonce: BigInt(changes.nonce ?? `0x${randomBytes(32).toString('hex')}`).toString(),
    deadline: deadline(offer),
    witness: { to: changes.payTo ?? offer.payTo, facilitator, validAfter: '0' },
  }
  const domain = {
    name: 'Permit2',
    chainId: changes.chainId ?? chainIdOf(offer.network),
    verifyingContract: hex(changes.verifyingContract ?? contracts.permit2),
  }
  const amount = signable(changes.amount, BigInt(offer.amount))
  const signature = await signTyped(
    changes.forged === true ? strangerKey : key,
    domain,
    permit,
    'PermitWitnessTransferFrom',
    { ...permit2Authorization, permitted: { token: offer.asset, amount } },
  )
  return present(quote, offer, { signature, permit2Authorization }, changes)
}

function deadline({ maxTimeoutSeconds }: Offer): string {
  return String(Math.floor(Date.now() / 1000) + maxTimeoutSeconds)
}
