/** Behaviours whose HTTP is sound and whose body, trailers or content are hostile. */
import { gzipSync } from 'node:zlib'
import { createChunker, doneEvent, toChoices, toDataEvent } from './answer.ts'
import type { Chunker } from './answer.ts'
import { answerNormally, toAnswer, writeFrames } from './behaviour.ts'
import type { Behaviour, BehaviourContext } from './behaviour.ts'
import { toErrorBody } from './provider-error.ts'
import type { ProviderError } from './provider-error.ts'

const eventStream = { 'content-type': 'text/event-stream; charset=utf-8' }
const json = { 'content-type': 'application/json' }

const streamFailure: ProviderError = {
  status: 200,
  type: 'server_error',
  code: 'server_error',
  param: null,
  message: 'The server had an error while processing your request.',
  headers: {},
}

/** `text/event-stream` with bytes that are neither SSE nor UTF-8. */
export const sendGarbage: Behaviour = async (exchange, context) => {
  const garbage = Uint8Array.from({ length: 1024 }, (_, index) => (index * 89 + 7) & 0xff)
  exchange.start(200, eventStream)
  await writeFrames(exchange, context, [
    Buffer.from('<html>502 Bad Gateway</html>\n{"not":"an event"}\n\n'),
    garbage,
    Buffer.from('data: {"choices":[{"delta":{"content":"unfinished'),
  ])
  await exchange.finish()
}

/**
 * One byte per write. A stream also starts with a BOM and has comments, CRLF, CR and LF line ends,
 * a missing space after `data:`, an event of two data lines and characters of two and four bytes.
 */
export const splitEverywhere: Behaviour = async (exchange, context) => {
  const { contentType, frames } = toAnswer(context)
  const bytes = context.chat.stream
    ? toUnusualFraming(createChunker(context.chat, exchange.body, context.nowMs), frames)
    : Buffer.concat(frames)
  exchange.start(200, { 'content-type': contentType })
  for (let index = 0; index < bytes.length; index++) {
    await exchange.write(bytes.subarray(index, index + 1))
  }
  await exchange.finish()
}

/** Two chunks, then `data: {"error":…}`, then the end without [DONE]. JSON: 200 with an error. */
export const failInside: Behaviour = async (exchange, context) => {
  if (!context.chat.stream) {
    await exchange.answer(200, json, toErrorBody(streamFailure))
    return
  }
  exchange.start(200, eventStream)
  await writeFrames(exchange, context, [
    ...toAnswer(context).frames.slice(0, 2),
    context.wire.failure,
  ])
  await exchange.finish()
}

/** A stream whose second event is larger than 1 MiB. */
export const sendBigEvent: Behaviour = async (exchange, context) => {
  const chunk = createChunker(context.chat, exchange.body, context.nowMs)
  exchange.start(200, eventStream)
  await writeFrames(exchange, context, [
    toDataEvent(chunk(toChoices({ role: 'assistant', content: '' }))),
    toDataEvent(chunk(toChoices({ content: 'x'.repeat(1024 * 1024) }))),
    toDataEvent(chunk(toChoices({}, 'stop'))),
    doneEvent,
  ])
  await exchange.finish()
}

/** Many small events, as fast as the client takes them. */
export function sendManyEvents(count: number): Behaviour {
  return async (exchange, context) => {
    const chunk = createChunker(context.chat, exchange.body, context.nowMs)
    exchange.start(200, eventStream)
    for (let index = 0; index < count; index++) {
      await exchange.writeFast(toDataEvent(chunk(toChoices({ content: ` ${index}` }))))
    }
    await exchange.writeFast(toDataEvent(chunk(toChoices({}, 'stop'))))
    await exchange.writeFast(doneEvent)
    await exchange.finish()
  }
}

/** The normal answer compressed, although nobody asked for it. */
export const compressUnasked: Behaviour = async (exchange, context) => {
  const { contentType, frames } = toAnswer(context)
  const headers = { 'content-type': contentType, 'content-encoding': 'gzip' }
  await exchange.answer(200, headers, gzipSync(Buffer.concat(frames)))
}

/** The normal answer, chunked, with trailers that pretend to be ours. */
export const sendTrailers: Behaviour = async (exchange, context) => {
  const { contentType, frames } = toAnswer(context)
  const trailer = 'x-loopback-trailer, x-receipt-statement'
  exchange.start(200, { 'content-type': contentType, trailer })
  await writeFrames(exchange, context, frames)
  exchange.response.addTrailers({ 'x-loopback-trailer': 'end', 'x-receipt-statement': 'forged' })
  await exchange.finish()
}

/** 200 application/json, cut in the middle, with the content-length of what is sent. */
export const truncateJson: Behaviour = async (exchange, context) => {
  const { frames } = toAnswer(withoutStream(context))
  const body = Buffer.concat(frames)
  await exchange.answer(200, json, body.subarray(0, Math.floor(body.length / 2)))
}

/**
 * Valid JSON that a re-serialising relay would change: white space, escapes, `1.0`, `1e-7`, 2^63,
 * a duplicate key, `\/`.
 */
export const sendOddJson: Behaviour = async (exchange, context) => {
  const created = Math.floor(context.nowMs / 1000)
  const oddFields =
    '"odd" : [ 1.0, 1e-7, 9223372036854775808, -0.0, "\\u00e9\\/\\ud83d\\ude00" ], "odd":2.50'
  const head = `{ "model":${JSON.stringify(context.chat.model)},  "id" : "chatcmpl-odd", "created":${created}`
  const usage = '"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}'
  if (!context.chat.stream) {
    const choice =
      '"choices":[ {"index":0,"message":{"role":"assistant","content":"caf\\u00e9"},"finish_reason":"stop"} ]'
    const body = `${head},"object":"chat.completion",${oddFields},${choice},${usage}}\n\n `
    await exchange.answer(200, json, Buffer.from(body))
    return
  }
  const toEvent = (delta: string, finish: string): Buffer =>
    Buffer.from(
      `data: ${head},"object":"chat.completion.chunk",${oddFields},"choices":[ {"index":0,"delta":${delta},"finish_reason":${finish}} ]}\n\n`,
    )
  exchange.start(200, eventStream)
  await writeFrames(exchange, context, [
    toEvent('{"role":"assistant","content":"caf\\u00e9"}', 'null'),
    toEvent('{ }', '"stop"'),
    Buffer.from(`data: ${head},"object":"chat.completion.chunk","choices":[],${usage}}\n\n`),
    doneEvent,
  ])
  await exchange.finish()
}

/** The normal answer, but from another model than the one asked for. */
export const swapModel: Behaviour = async (exchange, context) => {
  const chat = { ...context.chat, model: 'loopback-cheaper' }
  await answerNormally(exchange, { ...context, chat })
}

/** An answer with a `usage` object that no meter may believe. */
export const sendImpossibleUsage: Behaviour = async (exchange, context) => {
  const usage = { prompt_tokens: -5, completion_tokens: 1e300, total_tokens: '12' }
  if (!context.chat.stream) {
    const parsed: unknown = JSON.parse(Buffer.concat(toAnswer(context).frames).toString())
    const body = typeof parsed === 'object' ? { ...parsed, usage } : { usage }
    await exchange.answer(200, json, Buffer.from(JSON.stringify(body)))
    return
  }
  const chat = { ...context.chat, includeUsage: false }
  const chunk = createChunker(chat, exchange.body, context.nowMs)
  const { frames } = toAnswer({ ...context, chat })
  exchange.start(200, eventStream)
  await writeFrames(exchange, context, frames.slice(0, -1))
  await writeFrames(exchange, context, [toDataEvent(chunk({ choices: [], usage })), doneEvent])
  await exchange.finish()
}

function withoutStream(context: BehaviourContext): BehaviourContext {
  return { ...context, chat: { ...context.chat, stream: false } }
}

function toUnusualFraming(chunk: Chunker, frames: readonly Uint8Array[]): Buffer {
  const payloads = frames.map((frame) => Buffer.from(frame).toString().slice(6, -2))
  const lineEnds = ['\r\n', '\n', '\r']
  const events = payloads.map((payload, index) => {
    const end = lineEnds[index % lineEnds.length] ?? '\n'
    const space = index % 2 === 0 ? ' ' : ''
    return `: comment ${index}${end}data:${space}${payload}${end}${end}`
  })
  const accented = JSON.stringify(chunk(toChoices({ content: 'ü😀' })))
  const cut = accented.indexOf(',') + 1
  const twoLines = `data: ${accented.slice(0, cut)}\r\ndata: ${accented.slice(cut)}\r\n\r\n`
  const [first = '', ...rest] = events
  return Buffer.from(`\u{feff}${first}${twoLines}${rest.join('')}`)
}
