/** What identifies a payment of `exact`. */
import type { Address, Hex } from 'viem'

/** A payment is identified by its payer and its EIP-3009 nonce; network and asset are those of the ledger. */
export type PaymentKey = { readonly payer: Address; readonly nonce: Hex }
