/** A facilitator for x402 servers: /verify, /settle, /supported (spec/payment.md PA27). */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { ConfigError } from '../config/load-config.ts'
import { createPayerLimits, type PayerLimits } from '../limits/payer-limits.ts'
import { ownDatabase } from '../payment/database.ts'
import { createDifferenceLog } from '../payment/chain-nodes/chain-terms.ts'
import { loadEvmCurve } from '../payment/evm-curve.ts'
import { createClientFinder, type Client, type FindClient } from './clients.ts'
import type { FacilitatorConfig } from './facilitator-config.ts'
import {
  createFacilitatorMetrics,
  type FacilitatorMetrics,
  type FacilitatorState,
} from './facilitator-metrics.ts'
import { gateDesk, openNetworkGate } from './gated-desk.ts'
import { openNetworkDesk, type NetworkDesk } from './network-desk.ts'
import { FacilitatorRefusal, ofNetwork, toRefusal } from './refusal.ts'
import { parseFacilitatorRequest, type FacilitatorRequest } from './request.ts'
import type { AnswerMembers } from './settlement-plan.ts'
import type { Asker, Settled } from './settler.ts'

/** One process. */
export type Facilitator = {
  readonly config: FacilitatorConfig
  readonly findClient: FindClient
  readonly limits: PayerLimits
  readonly metrics: FacilitatorMetrics
  /** The answer of /supported. */
  readonly supported: Readonly<Record<string, unknown>>
  /** What metrics show now. */
  present(): readonly FacilitatorState[]
  /** Whether every node answers. */
  isReachable(): Promise<boolean>
  /** @throws FacilitatorRefusal */
  verify(body: Uint8Array, client: Client): Promise<AnswerMembers>
  /** @throws FacilitatorRefusal */
  settle(body: Uint8Array, asker: Asker): Promise<Settled & { readonly network: string }>
  close(): Promise<void>
}

/** What it needs of the process. */
export type FacilitatorSurroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: () => number
  readonly onFault: (error: unknown) => void
  /** Told of chain nodes that differ from the others. */
  readonly log: Pick<Logger, 'error'>
}

const reachableForMs = 1000
const keyName = 'COUNTERSIGN_FACILITATOR_KEY'

/**
 * Opens every network.
 *
 * @throws ConfigError also for a chain that is another one, DatabaseFault when another process owns the data folder.
 */
export async function openFacilitator(
  config: FacilitatorConfig,
  { environment, clock, onFault, log }: FacilitatorSurroundings,
): Promise<Facilitator> {
  const key = environment[keyName]
  if (key === undefined || !/^0x[0-9a-f]{64}$/.test(key)) {
    throw new ConfigError(`environment variable ${keyName} must hold 0x and 64 hex digits`)
  }
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  // Two processes would take the same nonces of one account.
  const owner = ownDatabase(join(config.dataDir, 'facilitator'), 'facilitator')
  const curve = await loadEvmCurve()
  const desks: NetworkDesk[] = []
  // What is open when a later network fails.
  const opened: (() => Promise<void>)[] = []
  const onTakenBack = (network: string, result: string, hash: string): void => {
    log.error({ network, result, hash }, 'a settlement was taken back')
  }
  try {
    for (const network of config.networks) {
      const differences = createDifferenceLog(log, clock)
      const told = { clock, onFault, differences, onTakenBack }
      const gate = await openNetworkGate(network, differences, log)
      opened.push(() => gate.stop())
      const desk = gateDesk(gate, openNetworkDesk(config, network, { key, curve, ...told }))
      opened.push(() => desk.close())
      desks.push(desk)
    }
  } catch (error) {
    await Promise.all(opened.map((close) => close()))
    owner.release()
    throw error
  }
  return {
    config,
    findClient: createClientFinder(config),
    limits: createPayerLimits({}, clock),
    metrics: createFacilitatorMetrics(),
    supported: describeSupported(desks),
    verify: (body, client) =>
      withDesk(desks, body, (desk, request) => desk.verify(request, client)),
    settle: (body, asker) =>
      withDesk(desks, body, async (desk, request) => ({
        ...(await desk.settle(request, asker)),
        network: request.network,
      })),
    present: () =>
      desks.map(({ network, book, nodeDifferences, takenBack }) => ({
        network,
        takenBack,
        nodeDifferences,
        pending: book.countPending(undefined),
        gasToday: book.gasOfDay(clock(), undefined),
      })),
    isReachable: createReachability(desks),
    close: async () => {
      await Promise.all(desks.map((desk) => desk.close()))
      owner.release()
    },
  }
}

async function withDesk<T>(
  desks: readonly NetworkDesk[],
  body: Uint8Array,
  work: (desk: NetworkDesk, request: FacilitatorRequest) => Promise<T>,
): Promise<T> {
  const request = parseFacilitatorRequest(body)
  const desk = desks.find(({ network }) => network === request.network)
  if (desk === undefined) {
    throw new FacilitatorRefusal('invalid_network', 'The network is not served here.')
  }
  try {
    return await work(desk, request)
  } catch (error) {
    throw ofNetwork(toRefusal(error, request.scheme), request.network)
  }
}

/** Anybody may ask: the nodes are asked once a second at most. */
function createReachability(desks: readonly NetworkDesk[]): () => Promise<boolean> {
  // Owned by the returned function.
  let latest: { readonly atMs: number; readonly reached: Promise<boolean> } | undefined
  return () => {
    const nowMs = performance.now()
    if (latest === undefined || nowMs - latest.atMs > reachableForMs) {
      const reached = Promise.all(desks.map((desk) => desk.isReachable())).then((each) =>
        each.every(Boolean),
      )
      latest = { atMs: nowMs, reached }
    }
    return latest.reached
  }
}

/** No `receiverAuthorizer` is offered: servers keep that key, and sign claims and refunds. */
function describeSupported(desks: readonly NetworkDesk[]): Facilitator['supported'] {
  const kinds = desks.flatMap(({ network, schemes, sender }) =>
    schemes.map((scheme) => ({
      x402Version: 2,
      scheme,
      network,
      ...(scheme === 'upto' ? { extra: { facilitatorAddress: sender } } : {}),
    })),
  )
  const signers = Object.fromEntries(desks.map(({ network, sender }) => [network, [sender]]))
  return { kinds, extensions: [], signers }
}
