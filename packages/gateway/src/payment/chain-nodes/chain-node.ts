/** One node of several: what it answers, and what only its silence says. */
import { BaseError, http, RpcRequestError, type HttpTransport } from 'viem'

/** A node of the configuration. */
export type ChainNode = {
  /** Its place in the configuration, from 1: its URL may hold a secret. */
  readonly number: number
  readonly ask: (method: string, params: readonly unknown[]) => Promise<Said>
  /** It was late the last time: nobody waits for it while enough others answer. Owned by `gather`. */
  isLate: boolean
  /** The newest block that it named; -1 before. Owned by `findAgreedHead`. */
  headNumber: bigint
}

/**
 * `value`: its answer. `refused`: it executed a call, and that failed. `silent`: it did not answer, or does not know what
 * was asked for: that says nothing about what is so.
 */
export type Said =
  | { readonly node: ChainNode; readonly kind: 'value'; readonly value: unknown }
  | { readonly node: ChainNode; readonly kind: 'refused'; readonly error: unknown }
  | { readonly node: ChainNode; readonly kind: 'silent'; readonly error: unknown }

/** Asks once, for so long: also the body of an answer has to be there by then, which viem would wait for for ever. */
export function createNodeHttp(url: string | undefined, timeoutMs: number): HttpTransport {
  return http(url, {
    retryCount: 0,
    timeout: timeoutMs,
    fetchFn: (to, init) => fetch(to, { ...init, signal: AbortSignal.timeout(timeoutMs) }),
  })
}

/** A node at this URL. */
export function createChainNode(url: string, number: number, timeoutMs: number): ChainNode {
  const transport = createNodeHttp(url, timeoutMs)({})
  const node: ChainNode = {
    number,
    isLate: false,
    headNumber: -1n,
    ask: async (method, params) => {
      try {
        const value: unknown = await transport.request({ method, params })
        return { node, kind: 'value', value }
      } catch (error) {
        return { node, kind: isRefusal(error) ? 'refused' : 'silent', error }
      }
    },
  }
  return node
}

/** What a node answered by an error. */
export function rpcErrorOf(error: unknown): RpcRequestError | undefined {
  if (!(error instanceof BaseError)) return undefined
  const found = error.walk((inner) => inner instanceof RpcRequestError)
  return found instanceof RpcRequestError ? found : undefined
}

/** Code 3 is that of geth and most others; the rest is known by its words. */
function isRefusal(error: unknown): boolean {
  const answer = rpcErrorOf(error)
  return answer !== undefined && (answer.code === 3 || /revert/i.test(answer.details))
}
