/** A payment that somebody else sent to the chain before the gateway had it (spec/payment.md PA9.8). */
import { keepLatest } from '../../limits/keep-latest.ts'
import type { ExactContext } from './context.ts'
import { findSettled, type Settled } from './find-settled.ts'
import type { Authorization } from './presented-payment.ts'
import { PaymentRefused } from './refused.ts'
import { takeLook, type Look, type Presenter } from './take-look.ts'

/** What the search needs. */
export type ObservedContext = Pick<
  ExactContext,
  'chain' | 'terms' | 'confirmations' | 'notOurs' | 'clock' | 'reads'
> & { readonly ledger: Pick<ExactContext['ledger'], 'birthBlock'> }

const lookAgainMs = 10_000
/** What a search of the events of so many blocks counts for. */
const looksOfSearch = 5
/** Each has cost its payer a transaction. */
const maxNotOurs = 10_000

/**
 * PA9.8: an observer sent the authorization before we had it. It paid us, and has bought nothing here: what did stands in
 * this ledger, or is older than it.
 */
export async function findObserved(
  context: ObservedContext,
  authorization: Authorization,
  presenter: Presenter,
  first: Look,
): Promise<Settled & { readonly kind: 'settled' }> {
  const { chain, terms, ledger, confirmations, notOurs, clock } = context
  const place = `${authorization.from}:${authorization.nonce}`
  const fromBlock = ledger.birthBlock()
  if (fromBlock === undefined || (notOurs.get(place) ?? 0) > clock()) {
    throw new PaymentRefused('payment-already-used')
  }
  first.giveBack()
  const permit = takeLook(context, presenter, { count: looksOfSearch })
  const found = await findSettled(chain, terms, authorization, { fromBlock, confirmations })
  if (found.kind === 'shallow') {
    throw new PaymentRefused('payment-in-progress', 'Its settlement by somebody else is too new.')
  }
  if (found.kind !== 'settled') {
    // What was used otherwise stays so: it is looked for once. What is not found may be, by a node that is not behind.
    const untilMs = found.kind === 'otherwise' ? Infinity : clock() + lookAgainMs
    keepLatest(notOurs, place, untilMs, maxNotOurs)
    throw new PaymentRefused('payment-already-used')
  }
  permit.proven()
  return found
}
