/** Asks a gateway for its attestation, and judges whether the very connection ends at an attested key. */
import { createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { bytesToHex, recoverMessageAddress } from 'viem'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import {
  maxAttestationBytes,
  verifyAttestation,
  type AttestationQuestion,
  type AttestationVerdict,
} from '@countersign/protocol/verify/verify-attestation'
import { ClientError } from '../errors.ts'
import { openTls } from './open-tls.ts'

/** A key that evidence stands behind. */
export type AttestedTls = {
  readonly spki: Uint8Array
  readonly notAfterMs: number
  readonly verdict: AttestationVerdict
}

/** What an attestation is judged by. */
export type AttestationSettings = {
  readonly policy: Uint8Array
  readonly judgeEvidence: EvidenceVerifier | undefined
  readonly now: () => number
  readonly timeoutMs: number
}

const x25519SpkiPrefix = Buffer.from('302a300506032b656e032100', 'hex')
const keyBytes = 32

/**
 * Attests an origin over a connection of its own: its nonce is fresh, so an answer that somebody passes on from the
 * real gateway does not list the key of who passes it on.
 *
 * @throws ClientError `gateway-unreachable`, `attestation-unavailable`, `attestation-refused`, `tls-key-not-attested`.
 */
export async function attestTls(
  origin: string,
  { policy, judgeEvidence, now, timeoutMs }: AttestationSettings,
): Promise<AttestedTls> {
  const { socket, spki } = await openTls(origin, timeoutMs)
  try {
    const question = createQuestion()
    const answer = await ask(socket, origin, question, timeoutMs)
    const verdict = await verifyAttestation(answer, policy, now(), question, judgeEvidence)
    const { keyset } = verdict
    if (keyset === undefined) {
      throw new ClientError('attestation-refused', { detail: describe(verdict) })
    }
    if (keyset.tlsSpki === undefined || Buffer.compare(keyset.tlsSpki, spki) !== 0) {
      throw new ClientError('tls-key-not-attested', { detail: origin })
    }
    return { spki, notAfterMs: keyset.notAfterMs, verdict }
  } finally {
    socket.destroy()
  }
}

type FullQuestion = AttestationQuestion & Required<Pick<AttestationQuestion, 'exchange'>>

function createQuestion(): FullQuestion {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return {
    nonce: Uint8Array.from(randomBytes(32)),
    exchange: {
      share: Uint8Array.from(publicKey.export({ type: 'spki', format: 'der' }).subarray(-keyBytes)),
      agree: async (key) => {
        const der = Buffer.concat([x25519SpkiPrefix, key])
        try {
          const peer = createPublicKey({ key: der, format: 'der', type: 'spki' })
          return diffieHellman({ privateKey, publicKey: peer })
        } catch {
          // A point of low order makes no secret.
          return undefined
        }
      },
    },
    signedByAddress: async (address, message, signature) => {
      if (signature.length !== 65) return false
      try {
        const recovered = await recoverMessageAddress({
          message: { raw: message },
          signature: bytesToHex(signature),
        })
        return recovered.toLowerCase() === address.toLowerCase()
      } catch {
        // Bytes that are no signature were signed by nobody.
        return false
      }
    },
  }
}

function ask(
  socket: TLSSocket,
  origin: string,
  { nonce, exchange }: FullQuestion,
  timeoutMs: number,
): Promise<Uint8Array> {
  const path = `/v1/attestation?nonce=${toHex(nonce)}&share=${toHex(exchange.share)}`
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      reject(new ClientError('attestation-unavailable', { detail: origin, cause }))
    }
    const sent = httpRequest({
      path,
      headers: { host: new URL(origin).host, accept: 'application/json' },
      createConnection: () => socket,
      signal: AbortSignal.timeout(timeoutMs),
    })
    sent.once('error', fail)
    sent.once('response', (answer) => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      answer.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > maxAttestationBytes) answer.destroy(new Error('too large'))
        else chunks.push(chunk)
      })
      answer.once('error', fail)
      answer.once('end', () => {
        if (answer.statusCode === 200) resolve(new Uint8Array(Buffer.concat(chunks)))
        else fail(new Error(`status ${String(answer.statusCode)}`))
      })
    })
    sent.end()
  })
}

function describe({ verdict, checks }: AttestationVerdict): string {
  const failed = checks.flatMap((check) =>
    check.status === 'failed' ? [`${check.id}: ${check.code}`] : [],
  )
  return failed.length === 0 ? verdict : failed.join(', ')
}
