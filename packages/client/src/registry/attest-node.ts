/** One gateway as an entry of the registry: nothing stands in it that its attestation does not stand behind. */
import { createPublicKey } from 'node:crypto'
import { bytesToHex, keccak256, type Hex } from 'viem'
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import type { AttestationVerdict } from '@countersign/protocol/verify/verify-attestation'
import { createAttestedFetch, type AttestedFetchOptions } from '../attested/attested-fetch.ts'
import { openTls } from '../attested/open-tls.ts'
import { ClientError } from '../errors.ts'
import { isJsonMap } from '../pay/base64-json.ts'
import { readBounded } from '../read-bounded.ts'

/** An attested gateway. */
export type RegistryNode = {
  readonly endpoint: string
  /** keccak-256 of the next (OG1.2). */
  readonly teeId: Hex
  /** SubjectPublicKeyInfo of the key of the profile. */
  readonly publicKey: Hex
  /** DER, with the TLS key of the attested keyset. */
  readonly tlsCertificate: Hex
  readonly buildDigest: Hex
  readonly payee: Hex
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly attestedAtMs: number
}

/** How gateways are judged. */
export type NodeSettings = Pick<AttestedFetchOptions, 'policy' | 'judgeEvidence'> & {
  readonly now: () => number
  readonly timeoutMs: number
}

const maxAnswerBytes = 65_536
const nobody: Hex = `0x${'0'.repeat(40)}`

/**
 * Attests a gateway, and reads its key of the profile over a connection to the attested TLS key.
 *
 * @throws ClientError `gateway-unreachable`, `attestation-unavailable`, `attestation-refused`, `tls-key-not-attested`.
 */
export async function attestNode(origin: string, settings: NodeSettings): Promise<RegistryNode> {
  // Owned here: what the connection of the question was opened on.
  let verdict: AttestationVerdict | undefined
  const fetch = createAttestedFetch({
    ...settings,
    onAttestation: (judged) => {
      verdict = judged
    },
  })
  try {
    const answer = await fetch(`${origin}/signing-key`, {
      signal: AbortSignal.timeout(settings.timeoutMs),
    })
    const publicKey = await readKey(answer, origin)
    const keyset = verdict?.keyset
    if (keyset?.tlsSpki === undefined) throw new ClientError('tls-key-not-attested')
    return {
      endpoint: origin,
      teeId: keccak256(publicKey),
      publicKey: bytesToHex(publicKey),
      tlsCertificate: await readCertificate(origin, keyset.tlsSpki, settings.timeoutMs),
      buildDigest: bytesToHex(keyset.buildDigest),
      payee: toPayee(keyset.payees?.[0]?.address),
      notBeforeMs: keyset.notBeforeMs,
      notAfterMs: keyset.notAfterMs,
      attestedAtMs: settings.now(),
    }
  } finally {
    fetch.close()
  }
}

async function readKey(answer: Response, origin: string): Promise<Uint8Array> {
  const body = await readBounded(answer, maxAnswerBytes)
  try {
    if (answer.status !== 200 || body === undefined) throw new Error('no key')
    const value = decodeJson(body)
    const pem = isJsonMap(value) ? value.get('public_key') : undefined
    if (typeof pem !== 'string') throw new Error('no key')
    return createPublicKey(pem).export({ type: 'spki', format: 'der' })
  } catch (cause) {
    const detail = `${origin}/signing-key: is profiles.openGradient switched on?`
    throw new ClientError('attestation-unavailable', { detail, cause })
  }
}

/** Of the key that was attested, whatever key answers now: an epoch may have ended in between. */
async function readCertificate(origin: string, key: Uint8Array, timeoutMs: number): Promise<Hex> {
  const { socket, spki, certificate } = await openTls(origin, timeoutMs)
  socket.destroy()
  if (Buffer.compare(spki, key) === 0) return bytesToHex(certificate)
  throw new ClientError('tls-key-not-attested', { detail: origin })
}

function toPayee(address: string | undefined): Hex {
  return address !== undefined && /^0x[0-9a-fA-F]{40}$/.test(address)
    ? `0x${address.slice(2)}`
    : nobody
}
