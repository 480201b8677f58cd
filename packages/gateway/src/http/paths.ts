/** The paths of the gateway, and what is said about others. */
import type { Refusal } from '../payment/admission.ts'
import { findWireRoutes } from './wire-routes.ts'

const readable = new Set([
  '/v1/models',
  '/v1beta/models',
  '/v1/attestation',
  '/v1/terms',
  '/healthz',
  '/readyz',
  '/metrics',
])
// Behind a colon Google's paths have a method.
const modelPath = /^\/v1(?:\/models\/[^/]|beta\/models\/[^/:][^:]*$)/
// Providers have these; what is kept there could be read by all callers of the operator's account.
const sharedPaths =
  /^\/v1(?:beta)?\/(?:files|uploads|batches|vector_stores|containers|conversations|assistants|threads|fine_tuning|cachedContents|interactions|realtime)(?:\/|$)/

/** Whether a path names one model. */
export function isModelPath(path: string): boolean {
  return modelPath.test(path)
}

/** Whether calls to this path have a statement. Every POST has one, a refusal at least. */
export function isNotarised(method: string, path: string): boolean {
  if (method === 'POST') return path.startsWith('/v1/') || path.startsWith('/v1beta/')
  return findWireRoutes(path).length > 0
}

/** Why a request to this path, or with this method, has no answer. */
export function refusalOfPath(path: string): Refusal {
  const routes = findWireRoutes(path)
  if (routes.length > 0) {
    const allow = routes.map(({ route }) => route.method).join(', ')
    return { code: 'method-not-allowed', detail: '', headers: { allow } }
  }
  if (readable.has(path) || path.startsWith('/v1/receipts/') || isModelPath(path)) {
    return { code: 'method-not-allowed', detail: '', headers: { allow: 'GET' } }
  }
  return { code: 'path-not-found', detail: hintAt(path), headers: {} }
}

function hintAt(path: string): string {
  if (path.startsWith('/v1/v1/')) return 'The base URL of the client has /v1 twice.'
  if (path.startsWith('/v1beta/v1beta/')) return 'The base URL of the client has /v1beta twice.'
  if (path.startsWith('/v1/v1beta/') || path.startsWith('/v1beta/v1/')) {
    return 'The base URL of this client ends before the version of the API.'
  }
  if (sharedPaths.test(path)) {
    return 'All callers share the account of the operator: what could be kept there is not offered.'
  }
  return ''
}
