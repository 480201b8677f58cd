/**
 * Evidence of AWS Nitro Enclaves. The security module answers to ioctl alone, which Node has not: a helper inside the
 * enclave passes on its answers. It takes `POST /attest` with {"user_data": base64url, "nonce": null,
 * "public_key": null} and answers with the bytes of the document.
 */
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { AttestationError } from './attestation-error.ts'
import type { EvidenceSource } from './evidence-source.ts'
import { readHttp } from './read-http.ts'

const maxDocumentBytes = 16_384

/** The source behind a helper's socket. */
export function createNitroEnclaveSource(socketPath: string, timeoutMs: number): EvidenceSource {
  return {
    kind: 'aws-nitro',
    attest: async (reportData) => {
      const { body } = await readHttp(
        { kind: 'socket', socketPath, path: '/attest' },
        JSON.stringify({ user_data: toBase64url(reportData), nonce: null, public_key: null }),
        'application/json',
        { maxBytes: maxDocumentBytes, timeoutMs },
      )
      if (body.length === 0) throw new AttestationError('attester-malformed', 'empty document')
      return { raw: body, collateral: new Map() }
    },
  }
}
