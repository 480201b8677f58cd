/** Reads a call: the exact bytes of its body, and the few members that the gateway acts on. */
import type { IncomingMessage } from 'node:http'
import { nativeSha256 } from '../keys/native-sha256.ts'
import type { BodyCollector } from './body-collector.ts'
import { refuse } from './call-refused.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { once } from './once.ts'
import { scanTopLevel, type MemberSpan } from './scan-json.ts'

/** A chat call as it was received. */
export type ChatRequest = {
  readonly body: Buffer
  /** SHA-256 of the body, computed when it is first asked for. */
  readonly bodyDigest: () => Uint8Array
  readonly model: string
  readonly stream: boolean
  /** Scalar top-level members, each as its JSON token was sent. */
  readonly parameters: ReadonlyMap<string, string>
}

/** What was received of a body, also of one that is refused. Owned by readBody. */
export type BodySoFar = {
  readonly collector: BodyCollector
  /** All that came, also what is not kept. */
  sizeBytes: number
}

const modelName = /^[A-Za-z0-9._:/@+-]{1,128}$/
const maxParameters = 32
const maxParameterBytes = 256

/**
 * Reads the body up to the limit.
 *
 * @throws CallRefused `body-encoded`, `body-too-large`, `overloaded`, `client-gone`.
 */
export async function readBody(
  request: IncomingMessage,
  limitBytes: number,
  received: BodySoFar,
  memory: MemoryBudget,
): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw refuse('body-too-large')
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer): void => {
      received.sizeBytes += chunk.length
      const isTooLarge = received.sizeBytes > limitBytes
      if (!isTooLarge && memory.take(chunk.length)) received.collector.append(chunk)
      else {
        request.off('data', take)
        reject(refuse(isTooLarge ? 'body-too-large' : 'overloaded'))
      }
    }
    request.on('data', take)
    request.on('end', resolve)
    request.on('error', (cause) => {
      reject(refuse('client-gone', '', cause))
    })
    // Comes after 'end' too, and an error costs a stack trace.
    request.on('close', () => {
      if (!request.readableEnded) reject(refuse('client-gone'))
    })
  })
  // Refused only now, so that the refusal states the body that its caller holds.
  const encoding = request.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') throw refuse('body-encoded')
  return received.collector.bytes()
}

/**
 * Takes what we act on out of a body.
 *
 * @throws CallRefused `request-malformed`.
 */
export function parseChatRequest(body: Buffer): ChatRequest {
  const members = scanTopLevel(body)
  if (typeof members === 'string')
    throw refuse('request-malformed', `The body is refused: ${members}.`)
  for (const name of members.keys()) refuseLookalike(name)
  const token = (name: string): string | undefined => tokenOf(body, members.get(name))
  const model = parseString(token('model'))
  if (model === undefined || !modelName.test(model) || model.includes('..')) {
    throw refuse('request-malformed', 'The member "model" must be the name of a model.')
  }
  const stream = token('stream') ?? 'false'
  if (stream !== 'true' && stream !== 'false' && stream !== 'null') {
    throw refuse('request-malformed', 'The member "stream" must be true or false.')
  }
  return {
    body,
    bodyDigest: once(() => nativeSha256(body)),
    model,
    stream: stream === 'true',
    parameters: collectParameters(body, members),
  }
}

/** Some providers (Go's encoding/json) read "Model" as "model": what we priced would not be what they run. */
function refuseLookalike(name: string): void {
  const upper = name.length > 6 ? '' : name.toUpperCase()
  const isLookalike =
    (upper === 'MODEL' && name !== 'model') || (upper === 'STREAM' && name !== 'stream')
  if (isLookalike) {
    throw refuse('request-malformed', 'The members "model" and "stream" are written in lower case.')
  }
}

function collectParameters(
  body: Buffer,
  members: ReadonlyMap<string, MemberSpan>,
): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const [name, span] of members) {
    const isScalar = body[span.start] !== 0x7b && body[span.start] !== 0x5b
    const fits = span.end - span.start <= maxParameterBytes && name.length <= 64
    if (isScalar && fits && name.isWellFormed() && parameters.size < maxParameters) {
      parameters.set(name, body.toString('utf8', span.start, span.end))
    }
  }
  return parameters
}

function tokenOf(body: Buffer, span: MemberSpan | undefined): string | undefined {
  if (span === undefined || span.end - span.start > 1024) return undefined
  return body.toString('utf8', span.start, span.end)
}

function parseString(token: string | undefined): string | undefined {
  if (token?.startsWith('"') !== true) return undefined
  try {
    const value: unknown = JSON.parse(token)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
