/** Takes the few things that the gateway acts on out of a body. The body itself is never re-written here. */
import { isAscii, isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { MatchedRoute, WireRoute } from '../http/wire-routes.ts'
import { nativeSha256 } from '../keys/native-sha256.ts'
import { findReferences } from '../references/shared-resources.ts'
import { refuse } from './call-refused.ts'
import { parseForm, readBoundary, type FormPart } from './form-parts.ts'
import { once } from './once.ts'
import { scanTopLevel, type MemberSpan } from './scan-json.ts'

/** A call as it was received. */
export type CallRequest = {
  readonly route: WireRoute
  readonly body: Buffer
  /** SHA-256 of the body, computed when it is first asked for. */
  readonly bodyDigest: () => Uint8Array
  /** As the caller asked. Of a stored response: its id. */
  readonly model: string
  /** Where the name of the model stands in the body; `undefined` when the path has it. */
  readonly modelSpan: MemberSpan | undefined
  /** Where the values of all top-level members stand in a JSON body. */
  readonly members: ReadonlyMap<string, MemberSpan>
  /** Scalar top-level members, each as its JSON token was sent. */
  readonly parameters: ReadonlyMap<string, string>
  /** Ids that must be the payer's own. */
  readonly references: readonly string[]
  /** Parts of a form, each with its hash. */
  readonly parts: readonly FormPart[]
}

const modelName = /^[A-Za-z0-9._:/@+-]{1,128}$/
const charset = /;\s*charset\*?\s*=\s*"?([^";\s]*)/gi
const unicode: ReadonlySet<string> = new Set(['utf-8', 'utf8', 'us-ascii'])
// What old clients write by default: the same bytes as UTF-8 as long as they are ASCII.
const latin: ReadonlySet<string> = new Set(['iso-8859-1', 'windows-1252'])
const maxParameters = 32
const maxParameterBytes = 256
const noParameters: ReadonlyMap<string, string> = new Map()
const noMembers: ReadonlyMap<string, MemberSpan> = new Map()

/**
 * Parses the body of a call on its route.
 *
 * @throws CallRefused `request-malformed`, `shared-account`.
 */
export function parseCallRequest(
  { route, name }: MatchedRoute,
  headers: IncomingHttpHeaders,
  body: Buffer,
): CallRequest {
  if (route.body === 'none') {
    if (body.length > 0) throw refuse('request-malformed', 'This call takes no body.')
    return { ...emptyRequest, route, body, bodyDigest: once(() => nativeSha256(body)), model: name }
  }
  const contentType = headers['content-type']
  const [mediaType = ''] = (contentType ?? '').split(';')
  switch (mediaType.trim().toLowerCase()) {
    case 'multipart/form-data':
      if (route.body === 'json') break
      return parseFormCall(route, body, contentType ?? '')
    case '':
    case 'application/json':
    // What fetch calls a text; no provider reads it as a form.
    case 'text/plain':
      if (route.body === 'form') break
      if (!isUnicode(contentType ?? '', body)) break
      return parseJsonCall(route, name, body)
    default:
  }
  // A provider could read a body of another type in another way than we do.
  const expected = route.body === 'json' ? 'application/json in UTF-8' : 'multipart/form-data'
  throw refuse('request-malformed', `The Content-Type of this path is ${expected}.`)
}

/** In UTF-7, say, a provider that follows the parameter would read other members than we do. */
function isUnicode(contentType: string, body: Buffer): boolean {
  return Array.from(contentType.matchAll(charset), ([, name = '']) => name.toLowerCase()).every(
    (name) => unicode.has(name) || (latin.has(name) && isAscii(body)),
  )
}

const emptyRequest = {
  modelSpan: undefined,
  members: noMembers,
  parameters: noParameters,
  references: [],
  parts: [],
} as const

function parseJsonCall(route: WireRoute, name: string, body: Buffer): CallRequest {
  const members = scanTopLevel(body)
  if (typeof members === 'string')
    throw refuse('request-malformed', `The body is refused: ${members}.`)
  for (const member of members.keys()) refuseLookalike(member)
  const modelSpan = route.model === 'member' ? members.get('model') : undefined
  const model = route.model === 'member' ? parseString(tokenOf(body, modelSpan)) : name
  if (route.model === 'path') expectSameModel(tokenOf(body, members.get('model')), name)
  const stream = tokenOf(body, members.get('stream')) ?? 'false'
  if (stream !== 'true' && stream !== 'false' && stream !== 'null') {
    throw refuse('request-malformed', 'The member "stream" must be true or false.')
  }
  return {
    route,
    body,
    bodyDigest: once(() => nativeSha256(body)),
    model: checkModel(model),
    modelSpan,
    members,
    parameters: collectParameters(body, members),
    references: findReferences(route.wire, route.dialect, body, members),
    parts: [],
  }
}

function parseFormCall(route: WireRoute, body: Buffer, contentType: string): CallRequest {
  const boundary = readBoundary(contentType)
  const parts = boundary === undefined ? 'no-boundary' : parseForm(body, boundary)
  if (typeof parts === 'string') throw refuse('request-malformed', `The form is refused: ${parts}.`)
  for (const { name } of parts) refuseLookalike(name)
  const model = onlyField(body, parts, 'model')
  // Answers are judged by their own type; but of two of these the provider could read either.
  onlyField(body, parts, 'stream')
  return {
    route,
    body,
    bodyDigest: once(() => nativeSha256(body)),
    model: checkModel(model?.text),
    modelSpan: model?.span,
    members: noMembers,
    parameters: collectFields(body, parts),
    references: [],
    parts,
  }
}

function checkModel(model: string | undefined): string {
  if (model !== undefined && modelName.test(model) && !model.includes('..')) return model
  throw refuse('request-malformed', 'The member "model" must be the name of a model.')
}

/** Of a path and a body that name two models the provider could run either. */
function expectSameModel(token: string | undefined, name: string): void {
  const named = parseString(token)
  const isOther = named !== undefined && named !== name && named !== `models/${name}`
  if (isOther) throw refuse('request-malformed', 'The body names another model than the path.')
}

/** Some providers (Go's encoding/json) read "Model" as "model": what we priced would not be what they run. */
function refuseLookalike(name: string): void {
  const upper = name.length > 6 ? '' : name.toUpperCase()
  const isLookalike =
    (upper === 'MODEL' && name !== 'model') || (upper === 'STREAM' && name !== 'stream')
  if (isLookalike) {
    throw refuse('request-malformed', 'The members "model" and "stream" are written in lower case.')
  }
}

function collectParameters(
  body: Buffer,
  members: ReadonlyMap<string, MemberSpan>,
): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const [name, span] of members) {
    const isScalar = body[span.start] !== 0x7b && body[span.start] !== 0x5b
    const fits = span.end - span.start <= maxParameterBytes && name.length <= 64
    if (isScalar && fits && name.isWellFormed() && parameters.size < maxParameters) {
      parameters.set(name, body.toString('utf8', span.start, span.end))
    }
  }
  return parameters
}

type Field = { readonly text: string; readonly span: MemberSpan }

/** A field that the gateway acts on stands once: the provider could read the other one. */
function onlyField(body: Buffer, parts: readonly FormPart[], name: string): Field | undefined {
  const fields = parts.filter((part) => part.name === name)
  const [field] = fields
  if (field === undefined) return undefined
  if (fields.length > 1 || field.isFile) {
    throw refuse('request-malformed', `The field "${name}" stands once, as text.`)
  }
  const { start, end } = field.span
  return { text: body.toString('utf8', start, Math.min(end, start + 1024)), span: field.span }
}

/** Fields that stand once, as JSON strings. Their bound is that of members: escapes count, or the claim could not be made. */
function collectFields(body: Buffer, parts: readonly FormPart[]): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const { name, isFile, span } of parts) {
    const isOnly = parts.every((other) => other.name !== name || other.span === span)
    if (isFile || !isOnly || span.end - span.start > maxParameterBytes) continue
    const bytes = body.subarray(span.start, span.end)
    const token = JSON.stringify(bytes.toString('utf8'))
    const fits = Buffer.byteLength(token) <= maxParameterBytes && parameters.size < maxParameters
    if (fits && isUtf8(bytes)) parameters.set(name, token)
  }
  return parameters
}

function tokenOf(body: Buffer, span: MemberSpan | undefined): string | undefined {
  if (span === undefined || span.end - span.start > 1024) return undefined
  return body.toString('utf8', span.start, span.end)
}

function parseString(token: string | undefined): string | undefined {
  if (token?.startsWith('"') !== true) return undefined
  try {
    const value: unknown = JSON.parse(token)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
