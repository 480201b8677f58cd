/**
 * The table of model names. JSON and SSE are both served where nothing else is said; "half" is
 * half of the events of a stream, or half of the 64-byte pieces of a JSON body.
 *
 * | model                         | what happens |
 * |-|-|
 * | loopback-echo                 | the normal answer |
 * | loopback-slow, -slow-MS       | 100 or MS ms between two events, or before a JSON answer |
 * | replay:PATH                   | the recording PATH below --recordings, see replay.ts |
 * | hostile-status-CODE           | an OpenAI-shaped error; 429, 503 and 529 with retry headers |
 * | hostile-reset                 | half of a chunked body, then a TCP reset |
 * | hostile-reset-before          | a TCP reset instead of a response |
 * | hostile-eof                   | a stream without [DONE] (JSON: last piece missing), orderly end |
 * | hostile-eof-mid               | half of a chunked body, orderly end |
 * | hostile-stall                 | head and first piece, then silence |
 * | hostile-stall-headers         | silence |
 * | hostile-malformed-sse         | text/event-stream that is neither SSE nor UTF-8, also for JSON |
 * | hostile-split                 | 1-byte writes; BOM, comments, CRLF, CR, split UTF-8 in streams |
 * | hostile-error-in-stream       | 200, two events, an error event, end; JSON: 200 with an error |
 * | hostile-big-event             | a stream with one event over 1 MiB, also for JSON |
 * | hostile-many-events, -N       | a stream of 20,000 or N small events at full speed, also for JSON |
 * | hostile-big-header            | the normal answer with a header of 17 KiB |
 * | hostile-header-injection      | the normal answer with headers only a gateway may set |
 * | hostile-crlf-header           | a header value with a bare CR |
 * | hostile-not-http              | bytes that are not HTTP |
 * | hostile-extra-response        | a second response that nobody asked for, on the same connection |
 * | hostile-gzip                  | the normal answer with content-encoding gzip |
 * | hostile-redirect              | 302 to /v1/redirect-target |
 * | hostile-length-lie            | content-length 100 too large, then an orderly close |
 * | hostile-trailers              | the normal answer, chunked, with trailers |
 * | hostile-json-truncated        | 200 application/json cut in the middle, content-length as sent |
 * | hostile-odd-json              | JSON that a re-serialising relay would change |
 * | hostile-model-swap            | the normal answer, asserted model loopback-cheaper |
 * | hostile-usage                 | the normal answer with negative, huge and textual usage |
 * | hostile-204, hostile-304      | that status, no body |
 * | hostile-1xx                   | 102 and 103, then the normal answer |
 */
import { answerNormally, answerSlowly, answerWithHeaders } from './behaviour.ts'
import type { Behaviour } from './behaviour.ts'
import * as body from './hostile-body.ts'
import * as connection from './hostile-connection.ts'
import { errorForStatus } from './provider-error.ts'
import { replay } from './replay.ts'

const forgedHeaders = {
  'x-receipt-id': 'forged-by-provider',
  'x-receipt-statement': 'forged-by-provider',
  'x-receipt-access-token': 'forged-by-provider',
  'payment-response': 'forged-by-provider',
  'payment-required': 'forged-by-provider',
  'settlement-overrides': 'forged-by-provider',
}

/** Exact model names, in the order in which GET /v1/models lists them. */
export const behaviours: ReadonlyMap<string, Behaviour> = new Map<string, Behaviour>([
  ['loopback-echo', answerNormally],
  ['loopback-slow', answerSlowly(100)],
  ['hostile-reset', connection.resetMidway],
  ['hostile-reset-before', connection.resetBefore],
  ['hostile-eof', connection.endWithoutLastPiece],
  ['hostile-eof-mid', connection.endMidway],
  ['hostile-stall', connection.stallMidway],
  ['hostile-stall-headers', connection.stallBefore],
  ['hostile-malformed-sse', body.sendGarbage],
  ['hostile-split', body.splitEverywhere],
  ['hostile-error-in-stream', body.failInside],
  ['hostile-big-event', body.sendBigEvent],
  ['hostile-many-events', body.sendManyEvents(20_000)],
  ['hostile-big-header', answerWithHeaders({ 'x-loopback-big': 'x'.repeat(17 * 1024) })],
  ['hostile-header-injection', answerWithHeaders(forgedHeaders)],
  ['hostile-crlf-header', connection.splitHeader],
  ['hostile-not-http', connection.speakNoHttp],
  ['hostile-extra-response', connection.respondTwice],
  ['hostile-gzip', body.compressUnasked],
  ['hostile-redirect', connection.redirect],
  ['hostile-length-lie', connection.announceTooMuch],
  ['hostile-trailers', body.sendTrailers],
  ['hostile-json-truncated', body.truncateJson],
  ['hostile-odd-json', body.sendOddJson],
  ['hostile-model-swap', body.swapModel],
  ['hostile-usage', body.sendImpossibleUsage],
  ['hostile-204', connection.answerWithoutBody(204)],
  ['hostile-304', connection.answerWithoutBody(304)],
  ['hostile-1xx', connection.informFirst],
])

interface Family {
  readonly prefix: string
  /** Whole-argument pattern; what does not match selects nothing. */
  readonly argument: RegExp
  readonly run: Behaviour
}

const families: readonly Family[] = [
  { prefix: 'replay:', argument: /^.{1,500}$/u, run: replay },
  {
    prefix: 'loopback-slow-',
    argument: /^\d{1,5}$/,
    run: async (exchange, context) =>
      answerSlowly(Number.parseInt(context.argument, 10))(exchange, context),
  },
  {
    prefix: 'hostile-many-events-',
    argument: /^[1-9]\d{0,5}$/,
    run: async (exchange, context) =>
      body.sendManyEvents(Number.parseInt(context.argument, 10))(exchange, context),
  },
  {
    prefix: 'hostile-status-',
    argument: /^(?:40[013489]|413|422|429|50[023]|529)$/,
    run: async (exchange, context) => {
      const { authorization } = exchange.request.headers
      await exchange.refuse(errorForStatus(Number.parseInt(context.argument, 10), authorization))
    },
  },
]

/** The behaviour for a model name with its argument, or undefined when the name means nothing. */
export function findBehaviour(
  model: string,
): { readonly run: Behaviour; readonly argument: string } | undefined {
  const exact = behaviours.get(model)
  if (exact !== undefined) return { run: exact, argument: '' }
  const family = families.find(
    ({ prefix, argument }) => model.startsWith(prefix) && argument.test(model.slice(prefix.length)),
  )
  return family && { run: family.run, argument: model.slice(family.prefix.length) }
}
