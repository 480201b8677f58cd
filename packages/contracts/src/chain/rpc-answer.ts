/** From the bytes of a JSON-RPC request to the answer object: parse, allow-list, execute in order. */

import { ChainError } from './errors.ts'
import type { ChainErrorCode } from './errors.ts'
import { RpcRefusal } from './rpc-refusal.ts'

/** What executes the requests. */
export type RpcBackend = {
  send(raw: unknown): Promise<string>
  read(method: string, params: readonly unknown[]): Promise<unknown>
}

/** One JSON-RPC answer. */
export type RpcAnswer = {
  readonly jsonrpc: '2.0'
  readonly id: string | number | null
} & ({ readonly result: unknown } | { readonly error: RpcError })

type RpcError = { readonly code: number; readonly message: string; readonly data?: unknown }

const MAX_BATCH = 100
const MAX_ID_CHARS = 256

/** Everything else is refused. None of these changes state, keeps state (filters) or uses a key of the node. */
const READ_METHODS: ReadonlySet<string> = new Set([
  'eth_accounts',
  'eth_blockNumber',
  'eth_call',
  'eth_chainId',
  'eth_createAccessList',
  'eth_estimateGas',
  'eth_feeHistory',
  'eth_gasPrice',
  'eth_getBalance',
  'eth_getBlockByHash',
  'eth_getBlockByNumber',
  'eth_getBlockReceipts',
  'eth_getBlockTransactionCountByHash',
  'eth_getBlockTransactionCountByNumber',
  'eth_getCode',
  'eth_getLogs',
  'eth_getStorageAt',
  'eth_getTransactionByBlockHashAndIndex',
  'eth_getTransactionByBlockNumberAndIndex',
  'eth_getTransactionByHash',
  'eth_getTransactionCount',
  'eth_getTransactionReceipt',
  'eth_maxPriorityFeePerGas',
  'eth_syncing',
  'net_version',
  'web3_clientVersion',
])

/**
 * Answers one request, or an array of at most 100 in order, each finished before the next begins. Never throws:
 * whatever is wrong becomes a JSON-RPC error (-32700 no JSON, -32600 no request, -32601 method not allowed, -32602
 * parameters, -32000 transaction refused, -32005 busy, -32603 internal; a revert keeps anvil's code and data).
 */
export async function answerRpc(
  backend: RpcBackend,
  body: Uint8Array,
): Promise<RpcAnswer | RpcAnswer[]> {
  let request: unknown
  try {
    request = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return failure(null, -32_700, 'not JSON')
  }
  if (!Array.isArray(request)) return answerOne(backend, request)
  if (request.length === 0 || request.length > MAX_BATCH) {
    return failure(null, -32_600, `a batch has 1 to ${MAX_BATCH} requests`)
  }
  const answers: RpcAnswer[] = []
  for (const item of request) answers.push(await answerOne(backend, item))
  return answers
}

async function answerOne(backend: RpcBackend, request: unknown): Promise<RpcAnswer> {
  const parsed = parseRequest(request)
  if (parsed === undefined) return failure(null, -32_600, 'not a JSON-RPC 2.0 request')
  const { id, method, params } = parsed
  if (params === undefined) return failure(id, -32_602, 'params must be an array')
  try {
    if (method === 'eth_sendRawTransaction') {
      if (params.length !== 1) return failure(id, -32_602, 'expected one raw transaction')
      return { jsonrpc: '2.0', id, result: await backend.send(params[0]) }
    }
    if (!READ_METHODS.has(method)) return failure(id, -32_601, 'method not allowed')
    return { jsonrpc: '2.0', id, result: await backend.read(method, params) }
  } catch (error) {
    return { jsonrpc: '2.0', id, error: toRpcError(error) }
  }
}

type ParsedRequest = {
  readonly id: string | number | null
  readonly method: string
  readonly params: readonly unknown[] | undefined
}

function parseRequest(request: unknown): ParsedRequest | undefined {
  if (typeof request !== 'object' || request === null) return undefined
  if (!('jsonrpc' in request && 'id' in request && 'method' in request)) return undefined
  const { jsonrpc, id, method } = request
  if (jsonrpc !== '2.0' || typeof method !== 'string' || !isId(id)) return undefined
  const params: unknown = 'params' in request ? request.params : []
  return { id, method, params: Array.isArray(params) ? params : undefined }
}

function isId(id: unknown): id is string | number | null {
  return (
    id === null || typeof id === 'number' || (typeof id === 'string' && id.length <= MAX_ID_CHARS)
  )
}

function toRpcError(error: unknown): RpcError {
  if (error instanceof RpcRefusal) {
    const { code, message, data } = error
    return data === undefined ? { code, message } : { code, message, data }
  }
  if (error instanceof ChainError) return { code: rpcCode(error.code), message: error.message }
  return { code: -32_603, message: 'the chain did not answer' }
}

function rpcCode(code: ChainErrorCode): number {
  if (code === 'transaction-invalid') return -32_602
  if (code === 'transaction-refused') return -32_000
  return code === 'chain-busy' ? -32_005 : -32_603
}

function failure(id: string | number | null, code: number, message: string): RpcAnswer {
  return { jsonrpc: '2.0', id, error: { code, message } }
}
