/**
 * Judges who is paid by the terms that the gateway announces, and those by a policy of the payer: nothing is believed
 * because the operator says so (spec/contracts.md CO7.5).
 */
import { planRegistry } from '@countersign/contracts/operator'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  maxOperatorTermsBytes,
  parseOperatorTerms,
  type OperatorTerms,
} from '@countersign/protocol/payment/operator-terms'
import type { AttestKeyset } from '../attested/attest-keyset.ts'
import { ClientError } from '../errors.ts'
import type { UnderlyingFetch } from '../fetch-options.ts'
import type { Payee, PayeeCheck } from '../pay/channel-book.ts'
import { readBounded } from '../read-bounded.ts'
import { checkOperatorPolicy, judgeTerms, type OperatorPolicy } from './operator-policy.ts'
import { createPayeeCheck, x402Of, type PayeeCheckOptions } from './payee-check.ts'

/** What the check works with. */
export type AnnouncedPayeeCheckOptions = Pick<
  PayeeCheckOptions,
  'readers' | 'uptoAgeMs' | 'now'
> & {
  readonly policy: OperatorPolicy
  /** The terms must stand in the attested keyset, too: `createKeysetAttester`. */
  readonly attestKeyset?: AttestKeyset
  readonly fetch?: UnderlyingFetch
}

/** Terms that were found right, and the check that follows from them. */
type Judged = { readonly check: PayeeCheck; readonly atMs: number }

const defaultUptoAgeMs = 60_000
const timeoutMs = 10_000
const maxJudged = 256

/**
 * Makes the check. Terms are asked for before each deposit; for `upto` a judgement holds for `uptoAgeMs`.
 *
 * @example
 * const checkPayee = createAnnouncedPayeeCheck({
 *   policy: { minDelaySeconds: 172_800 },
 *   readers: { 'eip155:8453': createChainReader(url) },
 *   attestKeyset: createKeysetAttester({ policy }),
 * })
 *
 * @throws ClientError `options-invalid` for a policy that would trust whoever announces something.
 */
export function createAnnouncedPayeeCheck(options: AnnouncedPayeeCheckOptions): PayeeCheck {
  const { readers, attestKeyset, uptoAgeMs = defaultUptoAgeMs, now = Date.now } = options
  const fetch = options.fetch ?? ((url: string, init: RequestInit) => globalThis.fetch(url, init))
  const policy = checkOperatorPolicy(options.policy)
  // Owned here: the last judgement of each origin and network.
  const judged = new Map<string, Judged>()

  async function judge({ origin, network }: Payee): Promise<Judged> {
    const bytes = await fetchTerms(origin, fetch)
    const terms = readTerms(bytes)
    if (terms.network !== network) {
      throw new ClientError('terms-refused', { detail: `terms for ${terms.network}` })
    }
    judgeTerms(terms, policy)
    if (attestKeyset !== undefined) await judgeAttested(attestKeyset, origin, bytes)
    judgeRegistryAddress(terms)
    const operator = {
      ...terms,
      fromBlock: BigInt(terms.fromBlock),
      trustsProposers: policy.trustsProposers ?? false,
    }
    return {
      check: createPayeeCheck({ operators: [operator], readers, uptoAgeMs, now }),
      atMs: now(),
    }
  }

  return async (payee) => {
    const key = `${payee.origin} ${payee.network}`
    const last = judged.get(key)
    const isKept =
      last !== undefined && payee.contract.kind === 'upto' && now() - last.atMs < uptoAgeMs
    if (isKept) return last.check(payee)
    const fresh = await judge(payee)
    if (judged.size >= maxJudged) judged.clear()
    judged.set(key, fresh)
    return fresh.check(payee)
  }
}

async function fetchTerms(origin: string, fetch: UnderlyingFetch): Promise<Uint8Array> {
  const url = `${origin}/v1/terms`
  const signal = AbortSignal.timeout(timeoutMs)
  let response: Response
  let bytes: Uint8Array | undefined
  try {
    response = await fetch(url, { redirect: 'error', signal })
    bytes = await readBounded(response, maxOperatorTermsBytes)
  } catch (cause) {
    throw new ClientError('terms-unavailable', { detail: url, cause })
  }
  const { status } = response
  if (status !== 200) throw new ClientError('terms-unavailable', { detail: `${url}: ${status}` })
  if (bytes === undefined) throw new ClientError('terms-refused', { detail: 'too long' })
  return bytes
}

function readTerms(bytes: Uint8Array): OperatorTerms {
  try {
    return parseOperatorTerms(bytes)
  } catch (cause) {
    throw new ClientError('terms-refused', { detail: 'terms-malformed', cause })
  }
}

/** CO7.3. */
async function judgeAttested(
  attestKeyset: AttestKeyset,
  origin: string,
  bytes: Uint8Array,
): Promise<void> {
  const digest = sha256(bytes)
  const keyset = await attestKeyset(
    origin,
    ({ termsDigest }) => termsDigest !== undefined && equalBytes(termsDigest, digest),
  )
  if (keyset === undefined) throw new ClientError('terms-not-attested', { detail: origin })
}

/** What stands at another address is no registry of ours, whatever its roles are called. */
function judgeRegistryAddress(terms: OperatorTerms): void {
  const x402 = x402Of(terms.network)
  const { registry } = planRegistry({ ...terms, x402 })
  if (registry.address.toLowerCase() === terms.registry) return
  const detail = `registry ${terms.registry}, not ${registry.address.toLowerCase()}`
  throw new ClientError('payee-foreign', { detail })
}
