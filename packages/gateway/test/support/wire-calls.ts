/** Calls on every wire, as the clients of each provider make them. */
import { callRaw, type RawCall, type RawResult } from '../../../../test/provider/raw-client.ts'
import type { UpstreamProvider } from './start-gateway.ts'

/** One call of a wire. */
export interface WireCall {
  readonly path: string
  readonly body: Buffer
  readonly headers: Readonly<Record<string, string>>
}

const question = 'Why is the sky blue?'
const json = { 'content-type': 'application/json' }
const version = { ...json, 'anthropic-version': '2023-06-01' }

/** The upstreams of a gateway that serves the loopback provider on all wires, each for every model. */
export function everyUpstream({ url, caFile }: UpstreamProvider): readonly object[] {
  const authority = caFile === undefined ? {} : { caFile }
  const models = [{ id: '*', priceAtomic: '7' }]
  const google = url.replace(/\/v1$/, '/v1beta')
  return [
    { name: 'openai', kind: 'openai', baseUrl: url, ...authority, models },
    { name: 'anthropic', kind: 'anthropic', baseUrl: url, ...authority, models },
    { name: 'google', kind: 'google', baseUrl: google, ...authority, models },
  ]
}

/** A call of a wire by its name. */
export function createWireCall(wire: string, model: string, more: object = {}): WireCall {
  const post = (path: string, body: object, headers: WireCall['headers'] = json): WireCall => ({
    path,
    headers,
    body: Buffer.from(JSON.stringify({ ...body, ...more })),
  })
  const messages = [{ role: 'user', content: question }]
  const contents = [{ role: 'user', parts: [{ text: question }] }]
  switch (wire) {
    case 'responses':
      return post('/v1/responses', { model, input: question })
    case 'completions':
      return post('/v1/completions', { model, prompt: question })
    case 'embeddings':
      return post('/v1/embeddings', { model, input: [question, 'and'] })
    case 'moderations':
      return post('/v1/moderations', { model, input: question })
    case 'images':
      return post('/v1/images/generations', { model, prompt: question })
    case 'speech':
      return post('/v1/audio/speech', { model, input: question, voice: 'alloy' })
    case 'messages':
      return post('/v1/messages?beta=true', { model, max_tokens: 100, messages }, version)
    case 'count-tokens':
      return post('/v1/messages/count_tokens', { model, messages }, version)
    case 'generate':
      return post(`/v1beta/models/${model}:generateContent`, { contents })
    case 'stream-generate':
      return post(`/v1beta/models/${model}:streamGenerateContent?alt=sse`, { contents })
    case 'stream-array':
      return post(`/v1beta/models/${model}:streamGenerateContent`, { contents })
    case 'google-count':
      return post(`/v1beta/models/${model}:countTokens`, { contents })
    case 'embed':
      return post(`/v1beta/models/${model}:embedContent`, { content: contents[0] })
    case 'batch-embed':
      return post(`/v1beta/models/${model}:batchEmbedContents`, { requests: contents })
    default:
      return post('/v1/chat/completions', { model, messages })
  }
}

/** Sends a call. */
export async function sendWireCall(
  origin: string,
  { path, body, headers }: WireCall,
  more: Partial<RawCall> = {},
): Promise<RawResult> {
  return callRaw({
    url: origin + path,
    method: 'POST',
    body,
    ...more,
    headers: { ...headers, ...more.headers },
  })
}

/** A part of a form. */
export interface FormField {
  readonly name: string
  readonly content: string | Buffer
  readonly filename?: string
}

/** A form of parts. */
export function createForm(fields: readonly FormField[], boundary = 'frontier7'): Buffer {
  const pieces = fields.flatMap(({ name, content, filename }) => [
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`,
    filename === undefined ? '' : `; filename="${filename}"\r\nContent-Type: audio/mpeg`,
    '\r\n\r\n',
    content,
    '\r\n',
  ])
  return Buffer.concat([...pieces, `--${boundary}--\r\n`].map((piece) => Buffer.from(piece)))
}

/** Posts a form. */
export async function sendForm(
  origin: string,
  path: string,
  body: Buffer,
  boundary = 'frontier7',
): Promise<RawResult> {
  const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` }
  return callRaw({ url: origin + path, method: 'POST', body, headers })
}
