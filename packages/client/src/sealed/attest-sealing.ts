/** Finds the key that calls are sealed to, and judges what stands behind it. */
import type { AttestationVerdict } from '@countersign/protocol/verify/verify-attestation'
import { askAttestation, type AskSettings } from '../attested/ask-attestation.ts'
import { ClientError } from '../errors.ts'

/** A key that evidence stands behind. */
export type SealingKey = {
  readonly publicKey: Uint8Array
  readonly useUntilMs: number
  readonly verdict: AttestationVerdict
}

/**
 * Asks an origin and judges its answer. The gateway shows that it holds the key: only it can compute the MAC.
 *
 * @throws ClientError `attestation-unavailable`, `attestation-refused`, `sealed-unsupported`.
 */
export async function attestSealing(origin: string, settings: AskSettings): Promise<SealingKey> {
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
  const question = { nonce, exchange: { share, agree } }
  const { keyset, verdict } = await askAttestation(origin, question, settings)
  if (keyset.hpkeKey === undefined) throw new ClientError('sealed-unsupported', { detail: origin })
  return { publicKey: keyset.hpkeKey, useUntilMs: keyset.notAfterMs, verdict }
}

const x25519 = { name: 'X25519' } as const
