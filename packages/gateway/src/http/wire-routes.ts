/**
 * The notarised paths: which wire each of them speaks, who serves it, and what of a request is read for it. One table.
 * Bytes pass as they are; a row says only how the gateway finds what it acts on.
 */

/** How a provider is spoken to: its credential, its headers, its way of counting. */
export type UpstreamKind = 'openai' | 'anthropic' | 'google' | 'xai'

/** In whose form errors and lists are written. */
export type Dialect = 'openai' | 'anthropic' | 'google'

/** The protocols that pass. */
export type Wire =
  | 'openai-chat'
  | 'openai-responses'
  | 'openai-stored-response'
  | 'openai-completions'
  | 'openai-embeddings'
  | 'openai-images'
  | 'openai-audio'
  | 'openai-moderations'
  | 'anthropic-messages'
  | 'anthropic-count-tokens'
  | 'google-generate'
  | 'google-stream'
  | 'google-count'
  | 'google-embed'

/** One row. */
export type WireRoute = {
  readonly wire: Wire
  readonly dialect: Dialect
  readonly method: 'POST' | 'GET' | 'DELETE'
  /** What upstreams see instead of this beginning stands in their `baseUrl`. */
  readonly prefix: '/v1' | '/v1beta'
  /** `member`: a member or form field of that name; `path`; `stored`: that of the call which made the response. */
  readonly model: 'member' | 'path' | 'stored'
  readonly body: 'json' | 'form' | 'json-or-form' | 'none'
  /** `any`: audio and text beside JSON. */
  readonly answer: 'json' | 'any'
  /** The queries that pass, whole; null when none does. */
  readonly query: RegExp | null
}

/** A row, with what its path names: a model, or a stored response. */
export type MatchedRoute = { readonly route: WireRoute; readonly name: string }

const openAi = {
  dialect: 'openai',
  method: 'POST',
  prefix: '/v1',
  model: 'member',
  body: 'json',
  answer: 'json',
  query: null,
} as const
const stored = {
  ...openAi,
  wire: 'openai-stored-response',
  method: 'GET',
  model: 'stored',
  body: 'none',
} as const
const anthropic = { ...openAi, dialect: 'anthropic', query: /^beta=true$/ } as const
const google = {
  ...openAi,
  dialect: 'google',
  model: 'path',
  query: /^alt=json$/,
} as const

const fixedPaths: ReadonlyMap<string, WireRoute> = new Map<string, WireRoute>([
  ['/v1/chat/completions', { ...openAi, wire: 'openai-chat' }],
  ['/v1/responses', { ...openAi, wire: 'openai-responses' }],
  ['/v1/completions', { ...openAi, wire: 'openai-completions' }],
  ['/v1/embeddings', { ...openAi, wire: 'openai-embeddings' }],
  ['/v1/moderations', { ...openAi, wire: 'openai-moderations' }],
  ['/v1/images/generations', { ...openAi, wire: 'openai-images' }],
  ['/v1/images/edits', { ...openAi, wire: 'openai-images', body: 'json-or-form' }],
  ['/v1/images/variations', { ...openAi, wire: 'openai-images', body: 'form' }],
  ['/v1/audio/speech', { ...openAi, wire: 'openai-audio', answer: 'any' }],
  ['/v1/audio/transcriptions', { ...openAi, wire: 'openai-audio', body: 'form', answer: 'any' }],
  ['/v1/audio/translations', { ...openAi, wire: 'openai-audio', body: 'form', answer: 'any' }],
  ['/v1/messages', { ...anthropic, wire: 'anthropic-messages' }],
  ['/v1/messages/count_tokens', { ...anthropic, wire: 'anthropic-count-tokens' }],
])
const fixedMatches: ReadonlyMap<string, MatchedRoute> = new Map(
  Array.from(fixedPaths, ([path, route]) => [path, { route, name: '' }]),
)

function googleMethods(prefix: WireRoute['prefix']): ReadonlyMap<string, WireRoute> {
  const base = { ...google, prefix }
  return new Map<string, WireRoute>([
    ['generateContent', { ...base, wire: 'google-generate' }],
    [
      'streamGenerateContent',
      // Without alt=sse the stream is one JSON array.
      { ...base, wire: 'google-stream', query: /^alt=(?:sse|json)$/ },
    ],
    ['countTokens', { ...base, wire: 'google-count' }],
    ['embedContent', { ...base, wire: 'google-embed' }],
    ['batchEmbedContents', { ...base, wire: 'google-embed' }],
  ])
}
// Google's own client names v1 since its third version, others v1beta.
const googleVersions = { v1: googleMethods('/v1'), v1beta: googleMethods('/v1beta') } as const
const googlePath = /^\/(v1|v1beta)\/models\/([A-Za-z0-9._:/@+-]{1,128}):([A-Za-z]{1,32})$/
// What an upstream could leave out when it reads the path: it would run another model than the one that was priced.
const oddSegment = /(?:^|\/)\.?(?:\/|$)|\.\./

const storedResponse = /^\/v1\/responses\/([A-Za-z0-9_-]{1,128})(|\/cancel|\/input_items)$/
const itemQuery =
  /^(?:(?:limit=[0-9]{1,3}|order=(?:asc|desc)|after=[A-Za-z0-9_-]{1,128})(?:&(?!$)|$)){1,3}$/
const storedRoutes: ReadonlyMap<string, readonly WireRoute[]> = new Map<
  string,
  readonly WireRoute[]
>([
  ['', [stored, { ...stored, method: 'DELETE' }]],
  ['/cancel', [{ ...stored, method: 'POST' }]],
  ['/input_items', [{ ...stored, query: itemQuery }]],
])

/** The row of a path, whatever its method is; `undefined` for paths that are not notarised. */
export function findWireRoutes(path: string): readonly MatchedRoute[] {
  const fixed = fixedMatches.get(path)
  if (fixed !== undefined) return [fixed]
  if (isGooglePath(path)) {
    const [, version = '', name = '', method = ''] = googlePath.exec(path) ?? []
    const route = googleVersions[version === 'v1' ? 'v1' : 'v1beta'].get(method)
    return route === undefined || oddSegment.test(name) ? [] : [{ route, name }]
  }
  const [, name = '', action = '?'] = storedResponse.exec(path) ?? []
  return (storedRoutes.get(action) ?? []).map((route) => ({ route, name }))
}

/** The row of a call; `undefined` for another method or path. */
export function findWireRoute(method: string, path: string): MatchedRoute | undefined {
  const fixed = fixedMatches.get(path)
  if (fixed !== undefined) return fixed.route.method === method ? fixed : undefined
  return findWireRoutes(path).find(({ route }) => route.method === method)
}

/** In whose form a path is answered, also one that is not served. */
export function dialectOfPath(path: string): Dialect {
  if (isGooglePath(path)) return 'google'
  return path === '/v1/messages' || path.startsWith('/v1/messages/') ? 'anthropic' : 'openai'
}

/** Below `/v1/models/` the method tells Google's paths from a model's own entry. */
export function isGooglePath(path: string): boolean {
  if (path.startsWith('/v1beta/')) return true
  return (
    path.startsWith('/v1/models/') && googleVersions.v1.has(path.slice(path.lastIndexOf(':') + 1))
  )
}

/** In whose form an upstream speaks. */
export function dialectOfKind(kind: UpstreamKind): Dialect {
  return kind === 'xai' ? 'openai' : kind
}
