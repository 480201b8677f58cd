/** JSON-RPC to our own anvil: one request, one answer, over kept-alive loopback connections. */

import { Agent, request } from 'node:http'
import { RpcRefusal } from './rpc-refusal.ts'

/** anvil understood the request and says no. `code` and `data` are anvil's. */
export class AnvilRefusal extends RpcRefusal {
  override readonly name = 'AnvilRefusal'
}

/** No usable answer: anvil died, hangs or talks nonsense. Whether it acted on the request is unknown. */
export class AnvilGone extends Error {
  override readonly name = 'AnvilGone'
}

/** A connection pool to one anvil. */
export type AnvilClient = {
  /** @throws AnvilRefusal or AnvilGone, nothing else. */
  call(method: string, params: readonly unknown[]): Promise<unknown>
  close(): void
}

const MAX_SOCKETS = 32

/** Talks to anvil on a loopback port. Every call ends within `timeoutMs`. */
export function createAnvilClient(port: number, timeoutMs: number): AnvilClient {
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS })
  return {
    call: async (method, params) => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
      return readAnswer(await post(agent, port, body, timeoutMs))
    },
    close: () => agent.destroy(),
  }
}

function post(agent: Agent, port: number, body: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => reject(new AnvilGone(cause.message, { cause }))
    const outgoing = request(
      {
        agent,
        host: '127.0.0.1',
        port,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        signal: AbortSignal.timeout(timeoutMs),
      },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', fail)
        incoming.on('close', () => {
          if (incoming.complete) resolve(Buffer.concat(chunks).toString('utf8'))
          else fail(new Error('answer cut off'))
        })
      },
    )
    outgoing.on('error', fail)
    outgoing.end(body)
  })
}

function readAnswer(text: string): unknown {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch (cause) {
    throw new AnvilGone('anvil answered no JSON', { cause })
  }
  if (typeof answer === 'object' && answer !== null) {
    if ('error' in answer) throw toRefusal(answer.error)
    if ('result' in answer) return answer.result
  }
  throw new AnvilGone('anvil answered no JSON-RPC')
}

function toRefusal(error: unknown): AnvilRefusal {
  if (typeof error !== 'object' || error === null)
    return new AnvilRefusal(-32_603, 'error', undefined)
  const code = 'code' in error && typeof error.code === 'number' ? error.code : -32_603
  const message = 'message' in error && typeof error.message === 'string' ? error.message : 'error'
  return new AnvilRefusal(code, message, 'data' in error ? error.data : undefined)
}
