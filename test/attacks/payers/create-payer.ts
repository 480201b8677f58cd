/** The payer of a scheme. */
import type { Hex } from 'viem'
import type { Payer, Scheme } from '../attack.ts'
import { createLastingChannelPayer } from './channel-payer.ts'
import { createExactPayer, createUptoPayer } from './single-payers.ts'

/** What a channel is opened with. */
export const depositAtomic = 90_000n

/** Pays from this account. */
export function createPayer(scheme: Scheme, key: Hex): Payer {
  if (scheme === 'exact') return createExactPayer(key)
  return scheme === 'upto' ? createUptoPayer(key) : createLastingChannelPayer(key, depositAtomic)
}
