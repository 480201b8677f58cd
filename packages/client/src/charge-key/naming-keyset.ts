/** The keyset of a gateway that names a charge key: only such a key is registered (spec/contracts.md CO3.1). */
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { parseKeyset, type Keyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import {
  maxAttestationBytes,
  verifyAttestation,
} from '@countersign/protocol/verify/verify-attestation'
import { ClientError } from '../errors.ts'
import { isJsonMap } from '../pay/base64-json.ts'
import { readBounded } from '../read-bounded.ts'

const timeoutMs = 60_000

/**
 * Asks a gateway for its attestation. The statement is judged, the hardware is not: an operator knows its own machine.
 *
 * @returns SHA-256 of the keyset statement.
 * @throws ClientError `charge-key-refused` when the keyset does not name the key or these terms;
 * `attestation-unavailable`, `attestation-refused`.
 */
export async function findNamingKeyset(
  gatewayUrl: string,
  key: Hex,
  termsDocument: Uint8Array,
  nowMs: number,
): Promise<Hex> {
  const nonce = crypto.getRandomValues(new Uint8Array(32))
  const answer = await ask(`${gatewayUrl.replace(/\/$/, '')}/v1/attestation?nonce=${toHex(nonce)}`)
  const { level } = await verifyAttestation(answer, defaultPolicy, nowMs, { nonce })
  const { statement, keyset } = readKeyset(answer)
  if (level === 'none') {
    throw new ClientError('attestation-refused', { detail: 'the keyset statement is not good' })
  }
  const { settlementAddress, otherChargeKeys = [], termsDigest } = keyset
  if (termsDigest === undefined || !equalBytes(termsDigest, sha256(termsDocument))) {
    throw new ClientError('charge-key-refused', { detail: 'the gateway announces other terms' })
  }
  const named = [settlementAddress, ...otherChargeKeys].map((address) => address?.toLowerCase())
  if (!named.includes(key)) {
    const detail = `no keyset of the gateway names ${key} yet: reload it with the key in its file`
    throw new ClientError('charge-key-refused', { detail })
  }
  return `0x${toHex(sha256(statement))}`
}

async function ask(url: string): Promise<Uint8Array> {
  const init = { redirect: 'error', signal: AbortSignal.timeout(timeoutMs) } as const
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw new ClientError('attestation-unavailable', { detail: url, cause })
  })
  const body = await readBounded(response, maxAttestationBytes)
  if (response.status === 200 && body !== undefined) return body
  throw new ClientError('attestation-unavailable', { detail: `status ${response.status}` })
}

function readKeyset(answer: Uint8Array): {
  readonly statement: Uint8Array
  readonly keyset: Keyset
} {
  const json = decodeJson(answer)
  const text = isJsonMap(json) ? json.get('keyset') : undefined
  const statement = typeof text === 'string' ? fromBase64url(text) : undefined
  try {
    const payload = parseStatement(statement ?? new Uint8Array(0)).payload
    if (statement !== undefined && payload.type === 'keyset') {
      return { statement, keyset: parseKeyset(payload.document) }
    }
  } catch (cause) {
    throw new ClientError('attestation-refused', { detail: 'no keyset', cause })
  }
  throw new ClientError('attestation-refused', { detail: 'no keyset' })
}
