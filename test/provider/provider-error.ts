/** Error bodies as the OpenAI API words them. Pure data; nothing is sent here. */

/** One refusal: status, OpenAI `error` object, and extra response headers. */
export interface ProviderError {
  readonly status: number
  readonly type: string
  readonly code: string | null
  readonly param: string | null
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
}

/** The JSON body for an error, pretty-printed with two spaces as the real API does. */
export function toErrorBody(error: ProviderError): Buffer {
  const { message, type, param, code } = error
  return Buffer.from(`${JSON.stringify({ error: { message, type, param, code } }, null, 2)}\n`)
}

/** A 400 for a request field, or for the whole body when `param` is null. */
export function invalidRequest(
  message: string,
  param: string | null = null,
  code: string | null = null,
): ProviderError {
  return { status: 400, type: 'invalid_request_error', code, param, message, headers: {} }
}

/** The 404 for a model name that selects nothing. */
export function modelNotFound(model: string): ProviderError {
  const message = `The model \`${model}\` does not exist or you do not have access to it.`
  return { ...invalidRequest(message, 'model', 'model_not_found'), status: 404 }
}

/** The 404 for a path that is not served. */
export function unknownUrl(method: string, path: string): ProviderError {
  return { ...invalidRequest(`Invalid URL (${method} ${path})`), status: 404 }
}

/**
 * The 401 for a wrong key. Like the real one it quotes part of the key it was given, so a gateway
 * that passes it on would leak part of its operator's credential.
 */
export function wrongApiKey(authorization: string | undefined): ProviderError {
  const key = (authorization ?? '').replace(/^Bearer /i, '')
  const quoted = key === '' ? '(none)' : `${key.slice(0, 8)}********${key.slice(-4)}`
  const message = `Incorrect API key provided: ${quoted}. You can find your API key in your account.`
  return { ...invalidRequest(message, null, 'invalid_api_key'), status: 401 }
}

const retryHeaders = { 'retry-after': '2', 'retry-after-ms': '1500', 'x-should-retry': 'true' }

const statusErrors: ReadonlyMap<number, Omit<ProviderError, 'status' | 'param'>> = new Map([
  [400, row('invalid_request_error', 'unsupported_parameter', "Unsupported parameter: 'seed'.")],
  [403, row('permission_error', 'unsupported_country_region_territory', 'Country not supported.')],
  [404, row('invalid_request_error', 'model_not_found', 'The model does not exist.')],
  [408, row('timeout_error', 'request_timeout', 'The request took too long.')],
  [409, row('invalid_request_error', 'conflict', 'Another request changed the resource.')],
  [413, row('invalid_request_error', 'request_too_large', 'The request body is too large.')],
  [422, row('invalid_request_error', 'unprocessable', 'The request could not be processed.')],
  [
    429,
    row('requests', 'rate_limit_exceeded', 'Rate limit reached for requests.', {
      ...retryHeaders,
      'x-ratelimit-remaining-requests': '0',
    }),
  ],
  [500, row('server_error', null, 'The server had an error while processing your request.')],
  [502, row('server_error', null, 'Bad gateway.')],
  [503, row('server_error', 'overloaded', 'The engine is currently overloaded.', retryHeaders)],
  [529, row('server_error', 'overloaded', 'The service is overloaded.', retryHeaders)],
])

/**
 * The error of `hostile-status-<code>`; a status that is not in the table gets the row of 500. 401
 * quotes part of `authorization`, as the real API does.
 */
export function errorForStatus(status: number, authorization: string | undefined): ProviderError {
  if (status === 401) return wrongApiKey(authorization)
  const fallback = row('server_error', null, 'Unspecified failure.')
  return { ...(statusErrors.get(status) ?? fallback), status, param: null }
}

function row(
  type: string,
  code: string | null,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Omit<ProviderError, 'status' | 'param'> {
  return { type, code, message, headers }
}
