/**
 * `fetch` that encrypts whole calls to a key of an attested keyset, for browsers and Node: who ends TLS in front of the
 * gateway sees sizes and times, and nothing else (spec/sealed.md).
 */
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import type { AttestationVerdict } from '@countersign/protocol/verify/verify-attestation'
import { sealedTypes } from '@countersign/protocol/sealed/request-head'
import { ClientError } from '../errors.ts'
import type { UnderlyingFetch } from '../fetch-options.ts'
import { readBounded } from '../read-bounded.ts'
import { choosePolicy } from '../receipt/choose-policy.ts'
import { attestSealing, type SealingKey } from './attest-sealing.ts'
import { openAnswer } from './open-answer.ts'
import { sealRequest } from './seal-request.ts'

/** Options of `createSealedFetch`. */
export type SealedFetchOptions = {
  /**
   * Bytes of a policy of receipts. Default: `productionPolicy` where `judgeEvidence` is given, else `defaultPolicy`, which
   * accepts SIMULATED evidence.
   */
  readonly policy?: Uint8Array
  /** Judges evidence of hardware (`createEvidenceVerifier`). */
  readonly judgeEvidence?: EvidenceVerifier
  /** Called with each verdict that calls are sealed on. */
  readonly onAttestation?: (verdict: AttestationVerdict, origin: string) => void
  /** What carries the sealed calls. */
  readonly fetch?: UnderlyingFetch
  readonly now?: () => number
}

/**
 * Makes the function: pass it to `countersignFetch` as `fetch`. Method, path, headers, payment and body of every request
 * are sealed, and the answer is opened as it comes; a changed, cut or repeated answer ends in an error.
 *
 * @example
 * const paidFetch = countersignFetch({ baseUrl, apiKey, fetch: createSealedFetch({ policy }) })
 */
export function createSealedFetch(options: SealedFetchOptions = {}): UnderlyingFetch {
  const settings = {
    policy: choosePolicy(options.policy, options.judgeEvidence),
    judgeEvidence: options.judgeEvidence,
    fetch: options.fetch ?? ((url: string, init: RequestInit) => globalThis.fetch(url, init)),
    now: options.now ?? Date.now,
  }
  // Owned here: one key, or the attestation under way, for each origin.
  const keys = new Map<string, Promise<SealingKey>>()

  async function keyOf(origin: string): Promise<SealingKey> {
    const known = await keys.get(origin)?.catch(() => undefined)
    if (known !== undefined && known.useUntilMs > settings.now()) return known
    return await renew(origin)
  }

  function renew(origin: string): Promise<SealingKey> {
    const asked = attestSealing(origin, settings).then((key) => {
      options.onAttestation?.(key.verdict, origin)
      return key
    })
    keys.set(origin, asked)
    return asked
  }

  async function send(url: URL, request: Request, body: Uint8Array, key: SealingKey) {
    const sealed = await sealRequest({ url, request, body, nowMs: settings.now() }, key.publicKey)
    const answer = await settings.fetch(`${url.origin}/v1/sealed`, {
      method: 'POST',
      headers: { 'content-type': sealedTypes.request },
      body: sealed.bytes,
      signal: request.signal,
      redirect: 'error',
    })
    return { answer, sealed }
  }

  return async (input, init) => {
    const request = new Request(input, { ...init, redirect: 'manual' })
    const url = new URL(request.url)
    const body = new Uint8Array(await request.arrayBuffer())
    const key = await keyOf(url.origin)
    let sent = await send(url, request, body, key)
    if (sent.answer.status === 422) {
      const next = await renew(url.origin)
      // Anybody on the way can say that a key is unknown, and hope for a second call: only new keys make it true.
      if (!equalBytes(next.publicKey, key.publicKey)) {
        await sent.answer.body?.cancel()
        sent = await send(url, request, body, next)
      }
    }
    const { answer, sealed } = sent
    if (answer.status !== 200 || answer.headers.get('content-type') !== sealedTypes.response) {
      throw new ClientError('sealed-refused', { detail: await describe(answer) })
    }
    return await openAnswer(answer, sealed)
  }
}

const maxProblemBytes = 16_384

async function describe(answer: Response): Promise<string> {
  const bytes = (await readBounded(answer, maxProblemBytes)) ?? new Uint8Array(0)
  const code = /"code":"([a-z-]{1,64})"/.exec(new TextDecoder().decode(bytes))?.[1]
  return `status ${answer.status}${code === undefined ? '' : `, ${code}`}`
}
