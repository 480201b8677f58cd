/** The paths of the gateway, and what is said about others. */
import type { Refusal } from '../payment/admission.ts'

/** The one path that is notarised in this version. */
export const chatPath = '/v1/chat/completions'

const readable = new Set(['/v1/models', '/v1/attestation', '/healthz', '/readyz', '/metrics'])

/** Why a request to this path, or with this method, has no answer. */
export function refusalOfPath(path: string): Refusal {
  if (path === chatPath)
    return { code: 'method-not-allowed', detail: '', headers: { allow: 'POST' } }
  if (readable.has(path) || path.startsWith('/v1/receipts/')) {
    return { code: 'method-not-allowed', detail: '', headers: { allow: 'GET' } }
  }
  const detail = path.startsWith('/v1/v1/') ? 'The base URL of the client has /v1 twice.' : ''
  return { code: 'path-not-found', detail, headers: {} }
}
