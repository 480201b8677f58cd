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
  return [
    { name: 'openai', kind: 'openai', baseUrl: url, ...authority, models },
    { name: 'anthropic', kind: 'anthropic', baseUrl: url, ...authority, models },
    {
      name: 'google',
      kind: 'google',
      baseUrl: url.replace(/\/v1$/, '/v1beta'),
      ...authority,
      models,
    },
  ]
}

const messages = [{ role: 'user', content: question }]
const contents = [{ role: 'user', parts: [{ text: question }] }]

type Shape = (model: string) => {
  readonly path: string
  readonly body: object
  readonly headers?: WireCall['headers']
}

const google =
  (method: string, body: object): Shape =>
  (model) => ({ path: `/v1beta/models/${model}:${method}`, body })

const shapes: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ['chat', (model) => ({ path: '/v1/chat/completions', body: { model, messages } })],
  ['responses', (model) => ({ path: '/v1/responses', body: { model, input: question } })],
  ['completions', (model) => ({ path: '/v1/completions', body: { model, prompt: question } })],
  ['embeddings', (model) => ({ path: '/v1/embeddings', body: { model, input: [question, 'a'] } })],
  ['moderations', (model) => ({ path: '/v1/moderations', body: { model, input: question } })],
  ['images', (model) => ({ path: '/v1/images/generations', body: { model, prompt: question } })],
  ['speech', (model) => ({ path: '/v1/audio/speech', body: { model, input: question } })],
  [
    'messages',
    (model) => ({
      path: '/v1/messages?beta=true',
      body: { model, max_tokens: 100, messages },
      headers: version,
    }),
  ],
  [
    'count-tokens',
    (model) => ({
      path: '/v1/messages/count_tokens',
      body: { model, messages },
      headers: version,
    }),
  ],
  ['generate', google('generateContent', { contents })],
  ['stream-generate', google('streamGenerateContent?alt=sse', { contents })],
  ['stream-array', google('streamGenerateContent', { contents })],
  ['google-count', google('countTokens', { contents })],
  ['embed', google('embedContent', { content: contents[0] })],
  ['batch-embed', google('batchEmbedContents', { requests: contents })],
])

/** A call of a wire by its name; `more` are further members of its body. */
export function createWireCall(wire: string, model: string, more: object = {}): WireCall {
  const shape = shapes.get(wire)
  if (shape === undefined) throw new Error(`There is no wire ${wire}.`)
  const { path, body, headers = json } = shape(model)
  return { path, headers, body: Buffer.from(JSON.stringify({ ...body, ...more })) }
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
