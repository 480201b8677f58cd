/** Hands a response on as it arrives, untouched, and keeps a copy of what passed for verification. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { readElements } from '@countersign/protocol/receipt/event-chain'

/** What passed. `prefix`: the events that were complete when the stream broke off or the caller left. */
export type ObservedBody =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  | { readonly kind: 'prefix'; readonly bytes: Uint8Array }
  | { readonly kind: 'none' }

type Ending = 'whole' | 'early'

const tailBytes = 32
const drainMs = 2000
const eventStream = /^text\/event-stream\s*(?:;|$)/i
const doneEvent = /(?:^|[\r\n])data: ?\[DONE\](?:\r\n|\r|\n)*$/

/**
 * The same response, its body passing chunk by chunk through this function.
 *
 * @param signal - the caller's: when it fires the body has ended for us, read or not.
 * @returns `ended` resolves when the body has ended, broken off, or been cancelled; it does not reject.
 */
export function observeBody(
  response: Response,
  limitBytes: number,
  signal: AbortSignal | undefined,
): { readonly response: Response; readonly ended: Promise<ObservedBody> } {
  const { body } = response
  const isStream = eventStream.test(response.headers.get('content-type') ?? '')
  const recorder = createRecorder(limitBytes, isStream)
  if (body === null) return { response, ended: Promise.resolve(recorder.take('whole')) }
  const { piped, ending } = pipe(body, recorder, signal)
  return { response: rebuild(response, piped), ended: ending.then((how) => recorder.take(how)) }
}

function pipe(
  from: ReadableStream<Uint8Array>,
  recorder: Recorder,
  signal: AbortSignal | undefined,
): { readonly piped: ReadableStream<Uint8Array>; readonly ending: Promise<Ending> } {
  const source = from.getReader()
  const end = createEnding(signal)
  const piped = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await source.read()
          if (done) {
            end.settle('whole')
            controller.close()
            return
          }
          recorder.push(value)
          controller.enqueue(value)
        } catch (error) {
          end.settle('early')
          controller.error(error)
        }
      },
      cancel: async (reason) => {
        if (recorder.saysDone()) {
          void drain(source, recorder).then(end.settle)
          return
        }
        end.settle('early')
        await source.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  return { piped, ending: end.ending }
}

/** How a body ended: the first word counts, and an abort is a word too, whether anybody reads or not. */
function createEnding(signal: AbortSignal | undefined): {
  readonly ending: Promise<Ending>
  readonly settle: (ending: Ending) => void
} {
  let settle: (ending: Ending) => void = ignoreEnding
  const ending = new Promise<Ending>((resolve) => {
    const abort = (): void => settle('early')
    settle = (how) => {
      signal?.removeEventListener('abort', abort)
      resolve(how)
    }
    signal?.addEventListener('abort', abort)
    if (signal?.aborted === true) abort()
  })
  return { ending, settle }
}

function ignoreEnding(): void {}

type Recorder = {
  push(chunk: Uint8Array): void
  /** Whether the body so far ends with the event that ends a chat stream. */
  saysDone(): boolean
  take(ending: Ending): ObservedBody
}

function createRecorder(limitBytes: number, isStream: boolean): Recorder {
  // Owned here. A copy, because the caller may do with its chunks what it likes; one piece of memory, because a list of
  // chunks of one byte takes a hundred times as much.
  let room = new Uint8Array(0)
  let length = 0
  let overflowed = false
  let tail: Uint8Array = new Uint8Array(0)
  return {
    push: (chunk) => {
      tail = concatBytes(tail, chunk.subarray(-tailBytes)).slice(-tailBytes)
      overflowed ||= length + chunk.length > limitBytes
      if (overflowed) return
      if (length + chunk.length > room.length) {
        const larger = new Uint8Array(Math.max(length + chunk.length, 2 * room.length))
        larger.set(room)
        room = larger
      }
      room.set(chunk, length)
      length += chunk.length
    },
    saysDone: () => isStream && doneEvent.test(new TextDecoder().decode(tail)),
    take: (ending) => {
      const bytes = room.subarray(0, length)
      if (ending === 'whole' && !overflowed) return { kind: 'whole', bytes }
      if (!isStream) return { kind: 'none' }
      return { kind: 'prefix', bytes: bytes.subarray(0, lengthOfEvents(bytes)) }
    },
  }
}

function lengthOfEvents(body: Uint8Array): number {
  let length = 0
  for (const { bytes, isEvent } of readElements(body)) if (isEvent) length += bytes.length
  return length
}

// Clients of the OpenAI wire stop reading after [DONE]. The end of the body is then a moment away: read it, so that
// the whole response is held and the gateway does not see a caller that left.
async function drain(
  source: ReadableStreamDefaultReader<Uint8Array>,
  recorder: Recorder,
): Promise<Ending> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    source.cancel().catch(() => undefined)
  }, drainMs)
  try {
    for (;;) {
      const { done, value } = await source.read()
      if (done) return late ? 'early' : 'whole'
      recorder.push(value)
    }
  } catch {
    return 'early'
  } finally {
    clearTimeout(timer)
  }
}

function rebuild(response: Response, body: ReadableStream<Uint8Array>): Response {
  const { status, statusText, headers, url } = response
  const rebuilt = new Response(body, { status, statusText, headers })
  // The constructor leaves it empty, and clients show it.
  Object.defineProperty(rebuilt, 'url', { value: url })
  return rebuilt
}
