/** Behaviours that are hostile below or at the level of HTTP: sockets, lengths, heads. */
import { answerNormally, toAnswer, writeFrames } from './behaviour.ts'
import type { Behaviour, BehaviourContext } from './behaviour.ts'
import type { Exchange } from './exchange.ts'

/** Half of the answer, then a TCP reset. */
export const resetMidway: Behaviour = async (exchange, context) => {
  await sendFirstHalf(exchange, context)
  exchange.cut('reset')
}

/** A TCP reset instead of a response. */
export const resetBefore: Behaviour = async (exchange) => {
  exchange.cut('reset')
}

/** Half of the answer, then the orderly end of the body. */
export const endMidway: Behaviour = async (exchange, context) => {
  await sendFirstHalf(exchange, context)
  await exchange.finish()
}

/** All but the last piece ([DONE] in a stream), then the orderly end of the body. */
export const endWithoutLastPiece: Behaviour = async (exchange, context) => {
  const { contentType, frames } = toAnswer(context)
  exchange.start(200, { 'content-type': contentType })
  await writeFrames(exchange, context, frames.slice(0, -1))
  await exchange.finish()
}

/** Response head and first piece, then silence until the client leaves. */
export const stallMidway: Behaviour = async (exchange, context) => {
  const { contentType, frames } = toAnswer(context)
  exchange.start(200, { 'content-type': contentType })
  await writeFrames(exchange, context, frames.slice(0, 1))
  await exchange.untilClosed()
}

/** Silence until the client leaves. */
export const stallBefore: Behaviour = async (exchange) => {
  await exchange.untilClosed()
}

/** A content-length 100 bytes larger than the body, then an orderly close. */
export const announceTooMuch: Behaviour = async (exchange, context) => {
  const { contentType, frames } = toAnswer(context)
  const body = Buffer.concat(frames)
  const headers = { 'content-length': String(body.length + 100), connection: 'close' }
  exchange.start(200, { 'content-type': contentType, ...headers })
  await exchange.write(body)
  exchange.cut('close')
}

/** A complete response and, in the same breath, a second one that nobody asked for. */
export const respondTwice: Behaviour = async (exchange, context) => {
  const { contentType, frames } = toAnswer(context)
  const body = Buffer.concat(frames)
  const smuggled = Buffer.from('{"choices":[],"smuggled":true}')
  await exchange.writeRaw(
    Buffer.concat([
      toRawHead(contentType, body.length),
      body,
      toRawHead('application/json', smuggled.length),
      smuggled,
    ]),
  )
  await exchange.untilClosed()
}

/** A header value with a bare CR and text that looks like another header. */
export const splitHeader: Behaviour = async (exchange) => {
  await exchange.writeRaw(
    Buffer.from(
      'HTTP/1.1 200 OK\r\nx-request-id: a\rx-receipt-id: forged\r\ncontent-length: 2\r\n\r\n{}',
    ),
  )
  await exchange.untilClosed()
}

/** Bytes that are not HTTP at all. */
export const speakNoHttp: Behaviour = async (exchange) => {
  await exchange.writeRaw(Buffer.from('220 loopback ESMTP ready\r\n\r\n'))
  await exchange.untilClosed()
}

/** 102 and 103 before the normal answer. */
export const informFirst: Behaviour = async (exchange, context) => {
  exchange.response.writeProcessing()
  exchange.response.writeEarlyHints({ link: '</style.css>; rel=preload', 'x-hint': 'ignored' })
  await answerNormally(exchange, context)
}

/** A status without a body. */
export function answerWithoutBody(status: number): Behaviour {
  return async (exchange) => {
    exchange.start(status, {})
    await exchange.finish()
  }
}

/** 302 to a path of this provider; who follows it is seen in the log. */
export const redirect: Behaviour = async (exchange) => {
  const body = Buffer.from('{"moved":true}')
  const headers = { location: '/v1/redirect-target', 'content-type': 'application/json' }
  await exchange.answer(302, headers, body)
}

async function sendFirstHalf(exchange: Exchange, context: BehaviourContext): Promise<void> {
  const { contentType, frames } = toAnswer(context)
  exchange.start(200, { 'content-type': contentType })
  await writeFrames(exchange, context, frames.slice(0, Math.ceil(frames.length / 2)))
}

function toRawHead(contentType: string, lengthBytes: number): Buffer {
  const lines = [
    'HTTP/1.1 200 OK',
    `content-type: ${contentType}`,
    `content-length: ${lengthBytes}`,
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
}
