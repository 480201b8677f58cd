/** Completions, embeddings, moderations, images and audio of the loopback provider. */
import { createHash } from 'node:crypto'
import { createMessage, doneEvent, toDataEvent, type Answer } from '../answer.ts'
import type { ChatRequest, ParsedChatRequest } from '../chat-request.ts'
import {
  readObject,
  refuse,
  textsOf,
  toChat,
  toJsonAnswer,
  toLimit,
  toNamedEvent,
  toStreamAnswer,
  type ProviderWire,
  type WireRequest,
} from './wire.ts'

const failure = toDataEvent({ error: { message: 'It failed.', type: 'server_error', code: null } })
// The smallest PNG there is, and a frame of silence.
const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII='
const silence = Buffer.concat([Buffer.from([0xff, 0xf3, 0x18, 0xc4]), Buffer.alloc(140)])

/** Legacy completions. */
export const completionsWire = createWire(({ model, stream, ...chat }, { body }, nowMs) => {
  const id = `cmpl-${digest(body)}`
  const message = createMessage({ model, stream, ...chat }, id)
  const head = { id, object: 'text_completion', created: Math.floor(nowMs / 1000), model }
  const choice = { index: 0, logprobs: null }
  const usage = {
    prompt_tokens: chat.promptTokens,
    completion_tokens: message.completionTokens,
    total_tokens: chat.promptTokens + message.completionTokens,
  }
  const pieces = message.content ?? []
  if (!stream) {
    const choices = [{ text: pieces.join(''), ...choice, finish_reason: message.finishReason }]
    return toJsonAnswer({ ...head, choices, usage })
  }
  return toStreamAnswer([
    ...pieces.map((text) =>
      toDataEvent({ ...head, choices: [{ text, ...choice, finish_reason: null }] }),
    ),
    toDataEvent({
      ...head,
      choices: [{ text: '', ...choice, finish_reason: message.finishReason }],
    }),
    toDataEvent({ ...head, choices: [], usage }),
    doneEvent,
  ])
})

/** Embeddings: one short vector for each input. */
export const embeddingsWire = createWire((chat, { body }) => {
  const input = readObject(body)?.['input']
  const count = Array.isArray(input) ? input.length : 1
  return toJsonAnswer({
    object: 'list',
    data: Array.from({ length: count }, (_, index) => ({
      object: 'embedding',
      index,
      embedding: [0.0057293195, -0.0122, 1e-7],
    })),
    model: chat.model,
    usage: { prompt_tokens: chat.promptTokens, total_tokens: chat.promptTokens },
  })
})

/** Moderations: nothing is ever flagged. */
export const moderationsWire = createWire((chat, { body }) =>
  toJsonAnswer({
    id: `modr-${digest(body)}`,
    model: chat.model,
    results: [
      { flagged: false, categories: { violence: false }, category_scores: { violence: 0 } },
    ],
  }),
)

/** Images: the same pixel always. */
export const imagesWire = createWire((chat, _, nowMs) => {
  const created = Math.floor(nowMs / 1000)
  const usage = {
    total_tokens: chat.promptTokens + 272,
    input_tokens: chat.promptTokens,
    output_tokens: 272,
    input_tokens_details: { text_tokens: chat.promptTokens, image_tokens: 0 },
  }
  if (!chat.stream) return toJsonAnswer({ created, data: [{ b64_json: png }], usage })
  const image = { b64_json: png, created_at: created, size: '1024x1024', output_format: 'png' }
  return toStreamAnswer([
    toNamedEvent({ type: 'image_generation.partial_image', partial_image_index: 0, ...image }),
    toNamedEvent({ type: 'image_generation.completed', ...image, usage }),
  ])
})

/** Speech: silence. */
export const speechWire = createWire((chat) => {
  if (!chat.stream) return { contentType: 'audio/mpeg', frames: [silence, silence] }
  const audio = silence.toString('base64')
  const usage = { input_tokens: chat.promptTokens, output_tokens: 101, total_tokens: 0 }
  return toStreamAnswer([
    toDataEvent({ type: 'speech.audio.delta', audio }),
    toDataEvent({
      type: 'speech.audio.done',
      usage: { ...usage, total_tokens: chat.promptTokens + 101 },
    }),
  ])
})

/** Transcriptions and translations: what was said is the number of bytes. */
export const transcriptionsWire = createWire((chat, { body }) => {
  const text = `This is the loopback provider: it heard ${body.length} bytes.`
  if (/name="response_format"\r\n\r\ntext\r\n/.test(body.toString('latin1'))) {
    return { contentType: 'text/plain; charset=utf-8', frames: [Buffer.from(`${text}\n`)] }
  }
  const usage = { type: 'duration', seconds: 37 }
  if (!chat.stream) return toJsonAnswer({ text, usage })
  return toStreamAnswer([
    toDataEvent({ type: 'transcript.text.delta', delta: text }),
    toDataEvent({ type: 'transcript.text.done', text, usage }),
  ])
})

function createWire(
  createAnswer: (chat: ChatRequest, request: WireRequest, nowMs: number) => Answer,
): ProviderWire {
  return { parse, createAnswer, failure }
}

function parse({ contentType, body }: WireRequest): ParsedChatRequest {
  if (contentType.startsWith('multipart/form-data')) {
    return toChat({ stream: readField(body, 'stream') === 'true' }, fromForm(body))
  }
  const root = readObject(body)
  if (root === undefined) return refuse('We could not parse the JSON body of your request.')
  const prompt = textsOf(root['prompt'] ?? root['input']).at(-1) ?? ''
  return toChat(root, { prompt, maxTokens: toLimit(root['max_tokens']) })
}

function fromForm(body: Buffer): Partial<ChatRequest> {
  const model = readField(body, 'model')
  const prompt = readField(body, 'prompt') ?? ''
  return model === undefined ? { prompt } : { model, prompt }
}

/** A text field of a form; good enough for well-formed ones. */
function readField(body: Buffer, name: string): string | undefined {
  const text = body.toString('utf8')
  const head = `name="${name}"\r\n\r\n`
  const start = text.indexOf(head)
  return start < 0 ? undefined : text.slice(start + head.length).split('\r\n', 1)[0]
}

function digest(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('base64url').slice(0, 24)
}
