/**
 * The attested keysets of gateways, for whoever wants them judged before the first payment: they name the payees, and
 * the digest of the operator's terms.
 */
import type { Keyset } from '@countersign/protocol/receipt/keyset'
import type { UnderlyingFetch } from '../fetch-options.ts'
import { choosePolicy } from '../receipt/choose-policy.ts'
import { askAttestation, type AskSettings } from './ask-attestation.ts'
import type { AttestKeyset } from './attest-keyset.ts'

/** Options of `createKeysetAttester`. */
export type KeysetAttesterOptions = Partial<
  Pick<AskSettings, 'policy' | 'judgeEvidence' | 'now'>
> & {
  readonly fetch?: UnderlyingFetch
  /** How long a keyset is believed; default ten minutes. */
  readonly maxAgeMs?: number
}

const defaultMaxAgeMs = 600_000

/**
 * Makes the function, for `attestKeyset` of `countersignFetch` and of `createAnnouncedPayeeCheck`. It resolves with
 * `undefined` when even a keyset that was attested just now does not fit.
 *
 * @example
 * const attestKeyset = createKeysetAttester({ policy, judgeEvidence })
 * const paidFetch = countersignFetch({ baseUrl, account, maxAmountAtomic, budgetAtomic, attestKeyset })
 */
export function createKeysetAttester(options: KeysetAttesterOptions = {}): AttestKeyset {
  const { maxAgeMs = defaultMaxAgeMs, now = Date.now } = options
  const settings: AskSettings = {
    policy: choosePolicy(options.policy, options.judgeEvidence),
    judgeEvidence: options.judgeEvidence,
    fetch: options.fetch ?? ((url, init) => globalThis.fetch(url, init)),
    now,
  }
  // Owned here: the last keyset of each origin.
  const known = new Map<string, { readonly keyset: Keyset; readonly untilMs: number }>()
  return async (origin, fits) => {
    const last = known.get(origin)
    if (last !== undefined && now() < last.untilMs && fits(last.keyset)) return last.keyset
    const nonce = crypto.getRandomValues(new Uint8Array(32))
    const { keyset } = await askAttestation(origin, { nonce }, settings)
    known.set(origin, { keyset, untilMs: Math.min(keyset.notAfterMs, now() + maxAgeMs) })
    return fits(keyset) ? keyset : undefined
  }
}
