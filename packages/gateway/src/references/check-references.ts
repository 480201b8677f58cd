/** Whether what a request refers to was made by an earlier call of the same payer. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { refuse } from '../call/call-refused.ts'
import type { Origin, OwnerStore } from './owner-store.ts'

/** Who asks: the payer, where its scheme knows one, and the headers with perhaps the token of the earlier call. */
export type Asker = { readonly owner: string | null; readonly headers: IncomingHttpHeaders }

/**
 * The call that made this id, when the asker made that call.
 *
 * @throws CallRefused `reference-not-found`, the same for ids that are another's and for ids that nobody has.
 */
export function findOwn(store: OwnerStore, id: string, asker: Asker): Origin {
  const origin = store.get(id)
  if (origin === undefined || !isMadeBy(origin, asker)) throw refuse('reference-not-found')
  return origin
}

/**
 * Checks, before anything is paid, that somebody here made each of these.
 *
 * @throws CallRefused `reference-not-found`.
 */
export function requireKnown(store: OwnerStore, references: readonly string[]): void {
  for (const id of references) {
    if (store.get(id) === undefined) throw refuse('reference-not-found')
  }
}

/**
 * Checks every reference of a request that goes to this upstream.
 *
 * @throws CallRefused `reference-not-found`.
 */
export function requireOwn(
  store: OwnerStore,
  references: readonly string[],
  upstream: string,
  asker: Asker,
): void {
  for (const id of references) {
    if (findOwn(store, id, asker).upstream !== upstream) throw refuse('reference-not-found')
  }
}

function isMadeBy({ owner, tokenDigest }: Origin, asker: Asker): boolean {
  if (owner !== null && owner === asker.owner) return true
  const token = asker.headers['x-receipt-token']
  return typeof token === 'string' && timingSafeEqual(hash('sha256', token, 'buffer'), tokenDigest)
}
