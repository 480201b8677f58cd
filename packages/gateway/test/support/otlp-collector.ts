/** A collector: takes OTLP/HTTP JSON as the protocol says it, strictly, and answers as a test wants. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect } from 'vitest'
import { z } from 'zod'

const attribute = z.strictObject({
  key: z.string().min(1),
  value: z.union([
    z.strictObject({ stringValue: z.string() }),
    z.strictObject({ intValue: z.string().regex(/^-?[0-9]+$/) }),
    z.strictObject({
      arrayValue: z.strictObject({
        values: z.array(z.strictObject({ stringValue: z.string() })),
      }),
    }),
  ]),
})
const nanoseconds = z.string().regex(/^[1-9][0-9]{18}$/)
const span = z.strictObject({
  traceId: z.string().regex(/^(?!0+$)[0-9a-f]{32}$/),
  spanId: z.string().regex(/^(?!0+$)[0-9a-f]{16}$/),
  parentSpanId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  name: z.string().min(1),
  kind: z.int().min(1).max(5),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds,
  attributes: z.array(attribute),
  status: z.strictObject({ code: z.int().min(0).max(2).optional() }),
})
const exportRequest = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes: z.array(attribute) }),
      scopeSpans: z.array(
        z.strictObject({
          scope: z.strictObject({ name: z.string().min(1) }),
          spans: z.array(span).min(1),
        }),
      ),
    }),
  ),
})

/** A span with its attributes by name. */
export type CollectedSpan = Omit<z.infer<typeof span>, 'attributes'> & {
  readonly attributes: Readonly<Record<string, string | readonly string[]>>
}

/** A running collector. */
export interface OtlpCollector {
  readonly url: string
  /** All bodies as they came. */
  text(): string
  readonly authorizations: readonly (string | undefined)[]
  /** How the next requests are answered; then 200. */
  answerWith(...statuses: readonly number[]): void
  /** Resolves with all spans so far when there are so many. */
  spans(atLeast: number): Promise<readonly CollectedSpan[]>
  stop(): Promise<void>
}

/** Starts one on a free port. A body that is no export request is a fault that `spans` reports. */
export async function startOtlpCollector(): Promise<OtlpCollector> {
  const collected: CollectedSpan[] = []
  const bodies: string[] = []
  const authorizations: (string | undefined)[] = []
  const statuses: number[] = []
  const faults: unknown[] = []
  let arrived = Promise.withResolvers<void>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => {
      const body = Buffer.concat(chunks).toString()
      const status = statuses.shift() ?? 200
      authorizations.push(request.headers.authorization)
      try {
        if (request.method !== 'POST' || request.url !== '/v1/traces') throw new Error(request.url)
        if (request.headers['content-type'] !== 'application/json') throw new Error('content-type')
        const taken = readSpans(body)
        if (status === 200) {
          bodies.push(body)
          collected.push(...taken)
        }
      } catch (error) {
        faults.push(error)
      }
      response.writeHead(status).end('{}')
      arrived.resolve()
      arrived = Promise.withResolvers()
    })
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}/v1/traces`,
    text: () => bodies.join('\n'),
    authorizations,
    answerWith: (...next) => {
      statuses.push(...next)
    },
    spans: async (atLeast) => {
      while (faults.length === 0 && collected.length < atLeast) await arrived.promise
      expect(faults).toEqual([])
      return collected
    },
    stop: async () => {
      if (!server.listening) return
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function readSpans(body: string): readonly CollectedSpan[] {
  const { resourceSpans } = exportRequest.parse(JSON.parse(body))
  return resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((each) => ({ ...each, attributes: toRecord(each.attributes) })),
    ),
  )
}

function toRecord(
  attributes: readonly z.infer<typeof attribute>[],
): Readonly<Record<string, string | readonly string[]>> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      if ('stringValue' in value) return [key, value.stringValue]
      if ('intValue' in value) return [key, value.intValue]
      return [key, value.arrayValue.values.map(({ stringValue }) => stringValue)]
    }),
  )
}
