/** The load of the soak: calls of every wire at a steady pace, and streams that their caller leaves. */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { createWireCall } from '../../packages/gateway/test/support/wire-calls.ts'
import type { Random } from '../tampering/random.ts'

/** How one call went. */
export type SoakCall =
  | {
      readonly kind: 'answered'
      readonly what: string
      readonly status: number
      readonly id: string
      readonly token: string
      /** Of answers in one piece. */
      readonly statement: string
    }
  | { readonly kind: 'left'; readonly id: string; readonly token: string }
  /** No answer, or a broken one. */
  | { readonly kind: 'failed'; readonly what: string; readonly error: string }

/** Where the load goes, and what becomes of it. */
export interface LoadOptions {
  readonly origin: string
  readonly random: Random
  readonly minutes: number
  readonly abortsPerMinute: number
  readonly callsPerMinute: number
  /** So many of each are begun, also when that takes longer. */
  readonly atLeast: number
  readonly onCall: (call: SoakCall) => void
}

/** Most connections that the load has open at a time. */
export const maxConnections = 64

const answerTimeoutMs = 60_000
const tickMs = 100

interface Job {
  readonly what: string
  readonly wire: string
  readonly more: object
  readonly model: string
  readonly status: number
}

const refusal: Job = {
  what: 'refusal',
  wire: 'responses',
  more: { background: true },
  model: 'x',
  status: 400,
}

const jobs: readonly Job[] = [
  { what: 'chat', wire: 'chat', more: {}, model: 'loopback-echo', status: 200 },
  {
    what: 'chat stream',
    wire: 'chat',
    more: { stream: true },
    model: 'loopback-echo',
    status: 200,
  },
  { what: 'responses', wire: 'responses', more: {}, model: 'loopback-echo', status: 200 },
  {
    what: 'responses stream',
    wire: 'responses',
    more: { stream: true },
    model: 'loopback-echo',
    status: 200,
  },
  { what: 'messages', wire: 'messages', more: {}, model: 'loopback-echo', status: 200 },
  {
    what: 'messages stream',
    wire: 'messages',
    more: { stream: true },
    model: 'loopback-slow-5',
    status: 200,
  },
  { what: 'generate', wire: 'generate', more: {}, model: 'loopback-echo', status: 200 },
  {
    what: 'generate stream',
    wire: 'stream-generate',
    more: {},
    model: 'loopback-echo',
    status: 200,
  },
  { what: 'embeddings', wire: 'embeddings', more: {}, model: 'loopback-echo', status: 200 },
  { what: 'count', wire: 'count-tokens', more: {}, model: 'loopback-echo', status: 200 },
  { what: 'upstream error', wire: 'chat', more: {}, model: 'hostile-status-500', status: 500 },
  { what: 'upstream reset', wire: 'chat', more: {}, model: 'hostile-reset', status: 502 },
  refusal,
]

/** Runs the load to its end. Resolves when every call has ended. */
export async function runLoad(options: LoadOptions): Promise<void> {
  const { minutes, abortsPerMinute, callsPerMinute, atLeast, random, onCall } = options
  const agent = new Agent({ keepAlive: true, maxSockets: maxConnections, maxFreeSockets: 16 })
  const running = new Set<Promise<void>>()
  const begin = (call: Promise<SoakCall>): void => {
    const ended = call.then(onCall).finally(() => running.delete(ended))
    running.add(ended)
  }
  const isFree = (): boolean => running.size < maxConnections
  const startedMs = performance.now()
  // Owned here: what was begun so far, to be compared with what the pace asks for.
  let aborts = 0
  let calls = 0
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsed = Math.min((performance.now() - startedMs) / 60_000, minutes)
      // A machine that is too slow for the pace begins fewer calls: none waits for a connection.
      for (; aborts < elapsed * abortsPerMinute && isFree(); aborts++) {
        begin(leaveStream(options, agent))
      }
      for (; calls < elapsed * callsPerMinute && isFree(); calls++) {
        begin(makeCall(options.origin, agent, random.pick(jobs)))
      }
      if (elapsed < minutes || Math.min(aborts, calls) < atLeast) return
      clearInterval(timer)
      resolve()
    }, tickMs)
  })
  await Promise.all(running)
  agent.destroy()
}

/** Makes calls that are refused, a few at a time. */
export async function sendRefusals(
  origin: string,
  count: number,
  onCall: (call: SoakCall) => void,
): Promise<void> {
  // A connection for each: with several workers, each of them refuses its share.
  const agent = new Agent({ keepAlive: false, maxSockets: 8 })
  // Owned here: refusals that were not begun.
  let left = count
  const send = async (): Promise<void> => {
    while (left-- > 0) onCall(await makeCall(origin, agent, refusal))
  }
  await Promise.all(Array.from({ length: 8 }, send))
  agent.destroy()
}

async function makeCall(origin: string, agent: Agent, job: Job): Promise<SoakCall> {
  const { path, headers, body } = createWireCall(job.wire, job.model, job.more)
  return new Promise((resolve) => {
    const fail = (error: Error): void => {
      resolve({ kind: 'failed', what: job.what, error: error.message })
    }
    const signal = AbortSignal.timeout(answerTimeoutMs)
    const options = { method: 'POST', agent, headers, signal }
    const request = httpRequest(origin + path, options, (response) => {
      response.resume()
      response.once('error', fail)
      response.once('end', () => {
        const { id, token } = receiptOf(response)
        const statement = String(response.headers['x-receipt-statement'] ?? '')
        const { statusCode: status = 0 } = response
        if (status !== job.status) fail(new Error(`status ${String(status)}`))
        else resolve({ kind: 'answered', what: job.what, status, id, token, statement })
      })
    })
    request.once('error', fail)
    request.end(body)
  })
}

/** Leaves a stream after its head, or after some of its events. */
async function leaveStream({ origin, random }: LoadOptions, agent: Agent): Promise<SoakCall> {
  const what = 'stream to be left'
  const { path, headers, body } = createWireCall('chat', 'loopback-slow-20', { stream: true })
  const enough = random.below(3) === 0 ? 0 : random.below(2500)
  return new Promise((resolve) => {
    const fail = (error: Error): void => {
      resolve({ kind: 'failed', what, error: error.message })
    }
    const signal = AbortSignal.timeout(answerTimeoutMs)
    const options = { method: 'POST', agent, headers, signal }
    const request = httpRequest(origin + path, options, (response) => {
      let seen = 0
      const leave = (): void => {
        resolve({ kind: 'left', ...receiptOf(response) })
        request.destroy()
      }
      // After its own leaving these say nothing any more.
      response.on('error', fail)
      if (enough === 0) return leave()
      response.on('data', (bytes: Buffer) => {
        seen += bytes.length
        if (seen >= enough) leave()
      })
      response.once('end', () => {
        fail(new Error('the stream ended before it was left'))
      })
    })
    request.on('error', fail)
    request.end(body)
  })
}

function receiptOf({ headers }: IncomingMessage): { readonly id: string; readonly token: string } {
  return {
    id: String(headers['x-receipt-id'] ?? ''),
    token: String(headers['x-receipt-token'] ?? ''),
  }
}
