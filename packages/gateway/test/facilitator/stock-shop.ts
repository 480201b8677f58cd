/** The stock x402 server of `@x402/hono`, as its documentation shows it, with a facilitator of ours. */
import {
  HTTPFacilitatorClient,
  x402ResourceServer,
  type FacilitatorConfig,
} from '@x402/core/server'
import type { Network } from '@x402/core/types'
import { toClientEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme as BatchClient } from '@x402/evm/batch-settlement/client'
import { BatchSettlementEvmScheme as BatchServer } from '@x402/evm/batch-settlement/server'
import { ExactEvmScheme as ExactClient } from '@x402/evm/exact/client'
import { ExactEvmScheme as ExactServer } from '@x402/evm/exact/server'
import { UptoEvmScheme as UptoClient } from '@x402/evm/upto/client'
import { UptoEvmScheme as UptoServer } from '@x402/evm/upto/server'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { paymentMiddleware, setSettlementOverrides } from '@x402/hono'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { Hono } from 'hono'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import type { TestChain } from '../payment/chain-process.ts'

const network: Network = 'eip155:84532'

/** A shop that sells one thing in three ways, and how to reach it. */
export type StockShop = {
  readonly fetch: typeof globalThis.fetch
  /** How often the handler ran. */
  readonly runs: () => number
  readonly facilitator: HTTPFacilitatorClient
  readonly batch: BatchServer
}

/** Opens a shop; `authorizerKey` signs claims and refunds of its channels. */
export function openStockShop(
  facilitator: FacilitatorConfig,
  { payTo, authorizerKey }: { readonly payTo: Hex; readonly authorizerKey: Hex },
  chargedAtomic = '1234',
): StockShop {
  const client = new HTTPFacilitatorClient(facilitator)
  const batch = new BatchServer(payTo, {
    receiverAuthorizerSigner: privateKeyToAccount(authorizerKey),
    withdrawDelay: 900,
  })
  const server = new x402ResourceServer(client)
    .register(network, new ExactServer())
    .register(network, new UptoServer())
    .register(network, batch)
  let runs = 0
  const offer = (scheme: string, amount: string) => ({
    accepts: {
      scheme,
      network,
      payTo,
      price: { amount, asset: baseSepoliaUsdc.address, extra: { name: 'USDC', version: '2' } },
      maxTimeoutSeconds: 600,
    },
  })
  const app = new Hono()
  app.use(
    paymentMiddleware(
      {
        '/exact': offer('exact', '3000'),
        '/upto': offer('upto', '4000'),
        '/batch': offer('batch-settlement', '4000'),
      },
      server,
    ),
  )
  app.all('/:scheme', (context) => {
    runs++
    if (context.req.param('scheme') !== 'exact') {
      setSettlementOverrides(context, { amount: chargedAtomic })
    }
    return context.text('the goods')
  })
  return {
    fetch: async (input, init) => app.fetch(new Request(input, init)),
    runs: () => runs,
    facilitator: client,
    batch,
  }
}

/** The unmodified client of `@x402/fetch` with all schemes. */
export function createStockBuyer(chain: TestChain, key: Hex) {
  const account = privateKeyToAccount(key)
  const signer = toClientEvmSigner(account, {
    readContract: (args) => chain.client.readContract({ ...args, args: args.args ?? [] }),
  })
  const batch = new BatchClient(signer)
  const client = new x402Client()
    .register('eip155:*', new ExactClient(signer))
    .register('eip155:*', new UptoClient(signer))
    .register('eip155:*', batch)
  return {
    batch,
    client,
    buy: (shop: StockShop, path: string) =>
      wrapFetchWithPayment(shop.fetch, client)(`http://shop.test${path}`, { method: 'POST' }),
  }
}
