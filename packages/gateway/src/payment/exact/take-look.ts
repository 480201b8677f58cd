/** A payment of `exact` is looked up on the chain within the budget for that (spec/payment.md PA30). */
import type { Address } from 'viem'
import type { ChainLook, PermittedLook } from '../../limits/read-budget.ts'
import type { ExactContext } from './context.ts'
import { PaymentRefused } from './refused.ts'

/** Who pays, and the network that the payment was presented from. */
export type Presenter = { readonly payer: Address; readonly caller: string }

/** A look that was taken. */
export type Look = Pick<PermittedLook, 'proven' | 'giveBack'>

const freeLook: Look = { proven: () => undefined, giveBack: () => undefined }

/**
 * Addresses and signatures cost nothing, and each payment makes us ask the chain.
 *
 * @throws PaymentRefused `unknown-payer-limited`
 */
export function takeLook(
  { reads }: Pick<ExactContext, 'reads'>,
  { payer, caller }: Presenter,
  more: Pick<ChainLook, 'isKnown' | 'count'> = {},
): Look {
  const permit = reads?.take({ payer: payer.toLowerCase(), caller, ...more })
  if (permit === undefined) return freeLook
  if (permit.kind === 'permitted') return permit
  const { code, detail, headers } = permit.limited
  throw new PaymentRefused(code, detail, { headers })
}
