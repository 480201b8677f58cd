/** A JSON-RPC proxy between a server and its chain: it counts transactions, and a rule can drop, forge or change answers. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { RpcDropped, type RpcRule } from './driver.ts'

/** A running proxy. */
export type RewritingRpc = {
  readonly url: string
  readonly broadcasts: string[]
  rule: RpcRule | undefined
  stop(): Promise<void>
}

type Call = { readonly id?: unknown; readonly method: string; readonly params?: readonly unknown[] }
type Answer = { readonly result?: unknown; readonly error?: unknown }

/** Starts one on a free port. */
export async function startRewritingRpc(rpcUrl: string): Promise<RewritingRpc> {
  const proxy: Pick<RewritingRpc, 'rule' | 'broadcasts'> = { rule: undefined, broadcasts: [] }
  const server = createServer((request, response) => {
    answer(rpcUrl, proxy, request, response).catch(() => response.destroy())
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  })
}

async function answer(
  rpcUrl: string,
  proxy: Pick<RewritingRpc, 'rule' | 'broadcasts'>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  const parsed: Call | readonly Call[] = JSON.parse(Buffer.concat(chunks).toString())
  const body = Array.isArray(parsed)
    ? await Promise.all(parsed.map((call) => answerOne(rpcUrl, proxy, call)))
    : await answerOne(rpcUrl, proxy, Object(parsed))
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

async function answerOne(
  rpcUrl: string,
  proxy: Pick<RewritingRpc, 'rule' | 'broadcasts'>,
  { id, method, params = [] }: Call,
): Promise<Record<string, unknown>> {
  let error: unknown
  const forward = async (): Promise<unknown> => {
    const sent = await fetch(rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    })
    const answered: Answer = await sent.json().then(Object)
    error = answered.error
    return answered.result
  }
  if (method === 'eth_sendRawTransaction') proxy.broadcasts.push(String(params[0]))
  const result = await (proxy.rule?.(method, params, forward) ?? forward())
  if (error !== undefined) return { jsonrpc: '2.0', id, error }
  return { jsonrpc: '2.0', id, result: result ?? null }
}

/** Every transaction is swallowed: the server hears nothing and the chain sees nothing. */
export const swallowTransactions: RpcRule = (method, _, forward) => {
  if (method === 'eth_sendRawTransaction') throw new RpcDropped()
  return forward()
}
