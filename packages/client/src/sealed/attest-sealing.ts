/** Finds the key that calls are sealed to, and judges what stands behind it. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import {
  maxAttestationBytes,
  verifyAttestation,
  type AttestationVerdict,
} from '@countersign/protocol/verify/verify-attestation'
import { ClientError } from '../errors.ts'
import type { UnderlyingFetch } from '../fetch-options.ts'
import { readBounded } from '../read-bounded.ts'

/** A key that evidence stands behind. */
export type SealingKey = {
  readonly publicKey: Uint8Array
  readonly useUntilMs: number
  readonly verdict: AttestationVerdict
}

/** What an attestation is asked and judged by. */
export type SealingSettings = {
  readonly policy: Uint8Array
  readonly judgeEvidence: EvidenceVerifier | undefined
  readonly fetch: UnderlyingFetch
  readonly now: () => number
}

/**
 * Asks an origin and judges its answer. The gateway shows that it holds the key: only it can compute the MAC.
 *
 * @throws ClientError `attestation-unavailable`, `attestation-refused`, `sealed-unsupported`.
 */
export async function attestSealing(
  origin: string,
  { policy, judgeEvidence, fetch, now }: SealingSettings,
): Promise<SealingKey> {
  const nonce = crypto.getRandomValues(new Uint8Array(32))
  const pair = await crypto.subtle.generateKey(x25519, false, ['deriveBits'])
  if (!('privateKey' in pair)) throw new ClientError('sealed-unsupported', { detail: 'no X25519' })
  const share = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  const agree = async (bytes: Uint8Array): Promise<Uint8Array | undefined> => {
    try {
      const peer = await crypto.subtle.importKey('raw', new Uint8Array(bytes), x25519, false, [])
      const derivation = { name: 'X25519', public: peer }
      return new Uint8Array(await crypto.subtle.deriveBits(derivation, pair.privateKey, 256))
    } catch {
      // A point of low order makes no secret.
      return undefined
    }
  }
  const url = `${origin}/v1/attestation?nonce=${toHex(nonce)}&share=${toHex(share)}`
  const answer = await ask(url, origin, fetch)
  const question = { nonce, exchange: { share, agree } }
  const verdict = await verifyAttestation(answer, policy, now(), question, judgeEvidence)
  const { keyset } = verdict
  if (keyset === undefined) {
    const failed = verdict.checks.flatMap((check) =>
      check.status === 'failed' ? [`${check.id}: ${check.code}`] : [],
    )
    throw new ClientError('attestation-refused', { detail: failed.join(', ') || verdict.verdict })
  }
  if (keyset.hpkeKey === undefined) throw new ClientError('sealed-unsupported', { detail: origin })
  return { publicKey: keyset.hpkeKey, useUntilMs: keyset.notAfterMs, verdict }
}

const x25519 = { name: 'X25519' } as const

async function ask(url: string, origin: string, fetch: UnderlyingFetch): Promise<Uint8Array> {
  const response = await fetch(url, { redirect: 'error' }).catch((cause: unknown) => {
    throw unavailable(origin, cause)
  })
  const body = await readBounded(response, maxAttestationBytes)
  if (response.status !== 200 || body === undefined) throw unavailable(`status ${response.status}`)
  return body
}

function unavailable(detail: string, cause?: unknown): ClientError {
  return new ClientError('attestation-unavailable', { detail, cause })
}
