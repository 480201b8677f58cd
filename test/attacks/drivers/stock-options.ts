/** What the stock server is told (`stock-server.ts`). */
import { fileURLToPath } from 'node:url'
import type { Hex } from 'viem'

/** One route of it. */
export type StockRoute = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly offer: 'free' | { readonly scheme: string; readonly amountAtomic: string }
  /** Where the handler sends the call; `none`: it answers by itself. */
  readonly upstream: string
}

/** All of it; amounts are atomic. */
export type StockOptions = {
  readonly port: number
  readonly rpcUrl: string
  readonly asset: Hex
  readonly payTo: Hex
  readonly facilitatorKey: Hex
  readonly authorizerKey: Hex
  readonly withdrawDelaySeconds?: number
  /** Charges of channels are claimed that often; without it never. */
  readonly claimEverySeconds?: number
  /** viem asks the chain for each nonce, as in the examples of x402; or they are counted here, for many settlements at once. */
  readonly nonces: 'asked' | 'in-turn'
  readonly routes: readonly StockRoute[]
  readonly prices: {
    readonly inputPerMillionAtomic: string
    readonly outputPerMillionAtomic: string
  }
}

/** Arguments for Node that start it. It prints one line of JSON with its url and port, and ends with its standard input. */
export function stockCommand(options: StockOptions): readonly string[] {
  const program = fileURLToPath(new URL('stock-server.ts', import.meta.url))
  return ['--conditions=source', program, JSON.stringify(options)]
}
