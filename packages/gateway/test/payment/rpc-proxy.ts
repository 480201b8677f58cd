/** A JSON-RPC proxy in front of a chain: it counts broadcasts, and it can hold, drop or answer chosen calls. */
import { createServer } from 'node:http'
import { decodeFunctionData, parseTransaction, type Hex } from 'viem'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'

/** What a rule does with one call before it is forwarded; an object is the answer of the node. */
export type Verdict =
  | 'forward'
  | 'drop'
  | 'forward-then-drop'
  | { readonly result: string | object | null }
  /** The JSON of a result. */
  | { readonly text: string }
  | { readonly error: { readonly code: number; readonly message: string } }

/** A running proxy. */
export type RpcProxy = {
  readonly url: string
  /** How often each EIP-3009 nonce was sent to the chain, by transaction hash of the raw bytes. */
  readonly broadcasts: ReadonlyMap<string, readonly string[]>
  /** Asked for every call while it is set. */
  rule: ((method: string, params: readonly unknown[]) => Promise<Verdict> | Verdict) | undefined
  stop(): Promise<void>
}

type Call = { readonly id: unknown; readonly method: string; readonly params?: readonly unknown[] }

/** Starts a proxy on a free port. */
export async function startRpcProxy(rpcUrl: string): Promise<RpcProxy> {
  const broadcasts = new Map<string, string[]>()
  const proxy = { rule: undefined } as Pick<RpcProxy, 'rule'>
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const { id, method, params = [] }: Call = JSON.parse(body.toString())
      void (async () => {
        const verdict = (await proxy.rule?.(method, params)) ?? 'forward'
        if (verdict === 'drop') return response.destroy()
        if (typeof verdict === 'object') {
          response.writeHead(200, { 'content-type': 'application/json' })
          if ('text' in verdict)
            return response.end(`{"jsonrpc":"2.0","id":1,"result":${verdict.text}}`)
          return response.end(JSON.stringify({ jsonrpc: '2.0', id, ...verdict }))
        }
        if (method === 'eth_sendRawTransaction') countBroadcast(broadcasts, params[0])
        const answer = await fetch(rpcUrl, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        })
        const text = await answer.text()
        if (verdict === 'forward-then-drop') return response.destroy()
        response.writeHead(answer.status, { 'content-type': 'application/json' })
        return response.end(text)
      })().catch(() => response.destroy())
    })
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
    broadcasts,
    stop: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  })
}

/** The EIP-3009 nonce that a raw transaction uses. */
export function authorizationNonceOf(raw: unknown): string | undefined {
  const { data, to } = parseTransaction(toHexText(raw))
  const isToken = to?.toLowerCase() === baseSepoliaUsdc.address.toLowerCase()
  if (data === undefined || !isToken) return undefined
  const { args } = decodeFunctionData({ abi: testUsdcAbi, data })
  return String(args?.[5])
}

function countBroadcast(broadcasts: Map<string, string[]>, raw: unknown): void {
  const nonce = authorizationNonceOf(raw)
  if (nonce === undefined) return
  broadcasts.set(nonce, [...(broadcasts.get(nonce) ?? []), String(raw)])
}

function toHexText(raw: unknown): Hex {
  if (typeof raw !== 'string') throw new TypeError('not a raw transaction')
  return `0x${raw.slice(2)}`
}
