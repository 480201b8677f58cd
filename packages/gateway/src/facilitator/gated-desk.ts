/** A network of which nothing is verified or settled before its chain has said what it is (spec/payment.md PA27.12). */
import type { Logger } from 'pino'
import { openChainGate, type ChainGate } from '../payment/chain-nodes/chain-gate.ts'
import type { DifferenceLog } from '../payment/chain-nodes/chain-terms.ts'
import { createChainClients } from '../payment/chain-nodes/nodes-transport.ts'
import type { NetworkConfig } from './facilitator-config.ts'
import { sourceOf, type NetworkDesk } from './network-desk.ts'
import { FacilitatorRefusal } from './refusal.ts'

/**
 * Asks the nodes of a network for their chain id; while they do not answer they are asked again.
 *
 * @throws ConfigError when it is another chain.
 */
export function openNetworkGate(
  { network, ...config }: NetworkConfig,
  differences: DifferenceLog,
  log: Pick<Logger, 'error'>,
): Promise<ChainGate> {
  const { client } = createChainClients(sourceOf({ network, ...config }, differences))
  // What another token than the named one is asked for, it refuses in the trial.
  const expected = { network, asset: '', assetName: '', assetVersion: '', takesErc3009: false }
  return openChainGate(client, expected, (error) => {
    log.error({ err: error }, 'nothing is settled: the chain is not the configured one')
  })
}

/** The desk behind its gate; `close` ends both. */
export function gateDesk(gate: ChainGate, desk: NetworkDesk): NetworkDesk {
  return {
    ...desk,
    verify: (request, client) =>
      gate.isOpen() ? desk.verify(request, client) : Promise.reject(closed()),
    settle: (request, asker) =>
      gate.isOpen() ? desk.settle(request, asker) : Promise.reject(closed()),
    isReachable: () => (gate.isOpen() ? desk.isReachable() : Promise.resolve(false)),
    close: async () => {
      await gate.stop()
      await desk.close()
    },
  }
}

function closed(): FacilitatorRefusal {
  const message = 'The chain has not said what it is; nothing was settled.'
  return new FacilitatorRefusal('verification_state_unavailable', message, {
    status: 503,
    retryAfterSeconds: 5,
  })
}
