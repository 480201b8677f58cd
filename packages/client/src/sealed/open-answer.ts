/** Opens a sealed answer piece by piece (spec/sealed.md SE4). */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { createResponseReader, type ResponseReader } from '@countersign/protocol/sealed/binary-http'
import { createFrameReader } from '@countersign/protocol/sealed/chunk-frames'
import { responseNonceBytes, type ChunkCipher } from '@countersign/protocol/sealed/response-cipher'
import { ClientError } from '../errors.ts'
import type { SealedRequest } from './seal-request.ts'

const withoutBody = new Set([204, 205, 304])

type Opened = ReturnType<ResponseReader['push']>

/**
 * The answer inside, as soon as its head is there. Its body errs with `sealed-answer-broken` when the outer answer was
 * changed or cut: what was read before was genuine, and is not all.
 *
 * @throws ClientError `sealed-answer-broken`.
 */
export async function openAnswer(answer: Response, sealed: SealedRequest): Promise<Response> {
  const opened = openPieces(answer, sealed)
  const first = await opened.next()
  if (first.done === true || first.value.head === undefined) throw broken()
  const { head, content } = first.value
  const response = {
    status: head.status,
    headers: new Headers(head.fields.map(([n, v]) => [n, v])),
  }
  if (withoutBody.has(head.status)) return new Response(null, response)
  let begun: Uint8Array | undefined = content
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const bytes = begun ?? (await nextContent(opened))
      begun = undefined
      if (bytes === undefined) controller.close()
      else controller.enqueue(bytes)
    },
    cancel: async () => {
      await opened.return()
    },
  })
  return new Response(body, response)
}

async function nextContent(opened: AsyncGenerator<Opened, void>): Promise<Uint8Array | undefined> {
  const next = await opened.next()
  return next.done === true ? undefined : next.value.content
}

/** Head and content as they come; the first one has the head. Ends only after the last chunk was opened. */
async function* openPieces(answer: Response, sealed: SealedRequest): AsyncGenerator<Opened, void> {
  const reader = answer.body?.getReader()
  if (reader === undefined) throw broken()
  try {
    yield* readPieces(reader, sealed)
  } catch (cause) {
    throw cause instanceof ClientError ? cause : broken(cause)
  } finally {
    // Whoever stops early reads no more of it.
    await reader.cancel().catch(() => undefined)
  }
}

async function* readPieces(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  sealed: SealedRequest,
): AsyncGenerator<Opened, void> {
  const frames = createFrameReader()
  const message = createResponseReader()
  // Owned here: what came before the nonce was whole, then its cipher; whether the head was given.
  let early: Uint8Array = new Uint8Array(0)
  let cipher: ChunkCipher | undefined
  let hasHead = false
  const take = async (chunk: Uint8Array, isLast: boolean): Promise<Opened | undefined> => {
    if (cipher === undefined) throw broken()
    const opened = message.push(await cipher.open(chunk, isLast))
    hasHead ||= opened.head !== undefined
    const isWorth = opened.head !== undefined || (hasHead && opened.content.length > 0)
    return isWorth ? opened : undefined
  }
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    let piece = value
    if (cipher === undefined) {
      early = concatBytes(early, piece)
      if (early.length < responseNonceBytes) continue
      cipher = await sealed.createCipher(early.subarray(0, responseNonceBytes))
      piece = new Uint8Array(early.subarray(responseNonceBytes))
    }
    for (const chunk of frames.push(piece)) {
      const opened = await take(chunk, false)
      if (opened !== undefined) yield opened
    }
  }
  const opened = await take(frames.end(), true)
  message.end()
  if (opened !== undefined) yield opened
}

function broken(cause?: unknown): ClientError {
  return new ClientError('sealed-answer-broken', { cause })
}
