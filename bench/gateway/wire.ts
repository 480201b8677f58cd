/** The bodies that the benchmark sends and gets: an OpenAI chat call, its answer of 1.1 KB, and its stream. */

/** Which answer a request wants of the mock upstream. */
export type Shape = 'json' | 'burst' | 'paced'

/** Name of the only model. */
export const model = 'bench-model'

/** Events with a stamp in one stream; the usage event and [DONE] come after them. */
export const eventsPerStream = 100

/** Milliseconds between two events of a paced stream. */
export const paceMs = 10

/** Digits of a stamp: microseconds of the monotonic clock, which all processes share. */
export const stampDigits = 16

/** Stands before each stamp in an event. */
export const stampMark = '"sentUs":'

const prompt = 'What does a receipt of a notary prove, and what does it leave open? '.repeat(4)
const answer =
  'It proves which bytes were asked for and which were answered, under which key. '.repeat(9)

/** A request body of about 0.4 KB; the upstream tells the shape from its bytes. */
export function createRequestBody(shape: Shape, modelName: string = model): string {
  return JSON.stringify({
    model: modelName,
    messages: [{ role: 'user', content: prompt }],
    max_tokens: 512,
    temperature: 0.7,
    stream: shape !== 'json',
    user: shape,
  })
}

/** What a request asks for. */
export function readShape(body: string): Shape {
  if (body.includes('"user":"paced"')) return 'paced'
  return body.includes('"user":"burst"') ? 'burst' : 'json'
}

/** The answer to a `json` request, about 1.1 KB. */
export const jsonAnswer: string = JSON.stringify({
  id: 'chatcmpl-bench00000000000000000000',
  object: 'chat.completion',
  created: 1_790_000_000,
  model: 'bench-model-2026-11-01',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: answer },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: {
    prompt_tokens: 70,
    completion_tokens: 150,
    total_tokens: 220,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  },
  service_tier: 'default',
  system_fingerprint: 'fp_bench',
})

/** One event of a stream, stamped. */
export function createEvent(sentUs: number): string {
  const stamp = String(sentUs).padStart(stampDigits, '0')
  return `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench-model-2026-11-01",${stampMark}"${stamp}","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}\n\n`
}

/** The events that end a stream. */
export const lastEvents: string =
  'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench-model-2026-11-01","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n' +
  'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench-model-2026-11-01","choices":[],"usage":{"prompt_tokens":70,"completion_tokens":100,"total_tokens":170}}\n\n' +
  'data: [DONE]\n\n'

/** Microseconds of the monotonic clock of the machine. */
export function nowUs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000)
}
