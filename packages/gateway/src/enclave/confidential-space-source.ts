/** Evidence from Google Confidential Space: a token of the launcher on its socket. */
import { confidentialSpaceAudience } from '@countersign/protocol/attestation/token/confidential-space'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { nativeSha256 } from '../keys/native-sha256.ts'
import { AttestationError } from './attestation-error.ts'
import type { EvidenceSource } from './evidence-source.ts'
import { readHttp } from './read-http.ts'

/** Where the launcher listens. */
export const confidentialSpaceSocket = '/run/container_launcher/teeserver.sock'

const maxTokenBytes = 65_536
const tokenForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/**
 * The source behind the socket. The key set of the service is collateral that the machine does not have: whoever
 * judges the token adds it, or the operator by `collateralDir`.
 */
export function createConfidentialSpaceSource(
  socketPath: string,
  timeoutMs: number,
): EvidenceSource {
  return {
    kind: 'google-confidential-space',
    attest: async (reportData) => {
      const asked = {
        audience: confidentialSpaceAudience,
        nonces: [toBase64url(nativeSha256(reportData))],
        token_type: 'OIDC',
      }
      const { body } = await readHttp(
        { kind: 'socket', socketPath, path: '/v1/token' },
        JSON.stringify(asked),
        'application/json',
        { maxBytes: maxTokenBytes, timeoutMs },
      )
      // A bare token, called text/html.
      const token = body.toString('latin1').trim()
      if (!tokenForm.test(token)) {
        throw new AttestationError('attester-malformed', 'token of Confidential Space')
      }
      return { raw: Buffer.from(token), collateral: new Map() }
    },
  }
}
