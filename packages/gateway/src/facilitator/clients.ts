/** Who asks a facilitator, and what it may (spec/payment.md PA27.9). */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { networkOf } from '../limits/address-network.ts'
import type { FacilitatorConfig, NetworkConfig, Payees } from './facilitator-config.ts'

/** A server that uses this facilitator. */
export type Client = {
  /** `key:` and the name of the configuration, or `address:` and where it calls from. */
  readonly name: string
  readonly requestsPerMinute: number
  readonly concurrentRequests: number
  readonly gasPerDay: bigint
  /** In place of those of the network. */
  readonly payees: Payees | undefined
}

/** `undefined`: nobody whom the configuration knows. */
export type FindClient = (
  headers: IncomingHttpHeaders,
  remoteAddress: string | undefined,
) => Client | undefined

const bearer = /^Bearer ([!-~]{20,256})$/

/** A key that is shown must be known, also where callers without one are served. */
export function createClientFinder({ clients, anonymous, limits }: FacilitatorConfig): FindClient {
  const general = {
    requestsPerMinute: limits.requestsPerMinute,
    concurrentRequests: limits.concurrentRequests,
    gasPerDay: BigInt(limits.gasPerDay),
    payees: undefined,
  }
  const byDigest = new Map<string, Client>(
    clients.map(({ name, keySha256, payees, gasPerDay, ...own }) => [
      keySha256,
      {
        name: `key:${name}`,
        requestsPerMinute: own.requestsPerMinute ?? general.requestsPerMinute,
        concurrentRequests: own.concurrentRequests ?? general.concurrentRequests,
        gasPerDay: gasPerDay === undefined ? general.gasPerDay : BigInt(gasPerDay),
        payees,
      },
    ]),
  )
  return ({ authorization }, remoteAddress) => {
    if (authorization !== undefined) {
      const key = bearer.exec(authorization)?.[1]
      // The digest of a guess says nothing about the digest that is looked for.
      return key === undefined ? undefined : byDigest.get(digestOf(key))
    }
    if (!anonymous || remoteAddress === undefined) return undefined
    return { ...general, name: `address:${networkOf(remoteAddress)}` }
  }
}

/** Whether this client may have this address paid. */
export function mayPay(client: Client, network: NetworkConfig, payTo: string): boolean {
  const payees = client.payees ?? network.payees
  return payees === 'any' || payees.some((address) => address.toLowerCase() === payTo)
}

function digestOf(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}
