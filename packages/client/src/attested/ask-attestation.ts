/** Asks a gateway over `fetch` what stands behind its keys, and judges the answer. */
import type { Keyset } from '@countersign/protocol/receipt/keyset'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import {
  maxAttestationBytes,
  verifyAttestation,
  type AttestationQuestion,
  type AttestationVerdict,
} from '@countersign/protocol/verify/verify-attestation'
import { ClientError } from '../errors.ts'
import type { UnderlyingFetch } from '../fetch-options.ts'
import { readBounded } from '../read-bounded.ts'

/** What an attestation is asked and judged by. */
export type AskSettings = {
  readonly policy: Uint8Array
  readonly judgeEvidence: EvidenceVerifier | undefined
  readonly fetch: UnderlyingFetch
  readonly now: () => number
}

/** A keyset that evidence stands behind. */
export type AttestedKeyset = { readonly keyset: Keyset; readonly verdict: AttestationVerdict }

/**
 * Asks an origin and judges its answer.
 *
 * @throws ClientError `attestation-unavailable`, `attestation-refused`.
 */
export async function askAttestation(
  origin: string,
  question: AttestationQuestion,
  { policy, judgeEvidence, fetch, now }: AskSettings,
): Promise<AttestedKeyset> {
  const { nonce, exchange } = question
  const share = exchange === undefined ? '' : `&share=${toHex(exchange.share)}`
  const url = `${origin}/v1/attestation?nonce=${toHex(nonce)}${share}`
  const answer = await ask(url, origin, fetch)
  const verdict = await verifyAttestation(answer, policy, now(), question, judgeEvidence)
  const { keyset } = verdict
  if (keyset === undefined) {
    const failed = verdict.checks.flatMap((check) =>
      check.status === 'failed' ? [`${check.id}: ${check.code}`] : [],
    )
    throw new ClientError('attestation-refused', { detail: failed.join(', ') || verdict.verdict })
  }
  return { keyset, verdict }
}

async function ask(url: string, origin: string, fetch: UnderlyingFetch): Promise<Uint8Array> {
  const response = await fetch(url, { redirect: 'error' }).catch((cause: unknown) => {
    throw unavailable(origin, cause)
  })
  const body = await readBounded(response, maxAttestationBytes).catch((cause: unknown) => {
    throw unavailable(origin, cause)
  })
  if (response.status !== 200 || body === undefined) throw unavailable(`status ${response.status}`)
  return body
}

function unavailable(detail: string, cause?: unknown): ClientError {
  return new ClientError('attestation-unavailable', { detail, cause })
}
