/** Prometheus metrics of a facilitator. Label values come from the configuration and from closed sets, never from callers. */
import { Counter, Gauge, Registry } from 'prom-client'

/** What is asked for at each rendering. */
export type FacilitatorState = {
  readonly network: string
  readonly pending: number
  readonly gasToday: bigint
  /** How often each chain node differed from the others, since the start. */
  readonly nodeDifferences: ReadonlyMap<number, number>
  /** Settlements that had their depth and vanished, by what became of them. */
  readonly takenBack: Readonly<Record<string, number>>
}

/** What a facilitator counts. */
export type FacilitatorMetrics = {
  /** `result`: `done`, or the reason of the refusal. */
  observe(operation: 'verify' | 'settle', result: string): void
  render(now: readonly FacilitatorState[]): Promise<string>
  readonly contentType: string
}

/** Metrics of one process. */
export function createFacilitatorMetrics(): FacilitatorMetrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Counter({
    name: 'countersign_facilitator_requests_total',
    help: 'Requests to verify and to settle, by what was answered.',
    labelNames: ['operation', 'result'],
    registers,
  })
  const pending = new Gauge({
    name: 'countersign_facilitator_settlements_pending',
    help: 'Settlements that are not on chain yet.',
    labelNames: ['network'],
    registers,
  })
  const gas = new Gauge({
    name: 'countersign_facilitator_gas_today',
    help: 'Gas of the settlements of this day (UTC); of those under way the most that they can take.',
    labelNames: ['network'],
    registers,
  })
  const differences = new Counter({
    name: 'countersign_facilitator_chain_node_differences_total',
    help: 'Answers of a chain node that were not those of enough others, by its place in the configuration.',
    labelNames: ['network', 'node'],
    registers,
  })
  const takenBackTotal = new Counter({
    name: 'countersign_facilitator_settlements_taken_back_total',
    help: 'Settlements that a reorganisation took back after they were confirmed; of those, settled again and lost.',
    labelNames: ['network', 'result'],
    registers,
  })
  return {
    observe: (operation, result) => {
      requests.inc({ operation, result })
    },
    render: (now) => {
      // They are counted where the nodes are asked.
      differences.reset()
      takenBackTotal.reset()
      for (const { network, pending: count, gasToday, nodeDifferences, takenBack } of now) {
        for (const [result, times] of Object.entries(takenBack)) {
          takenBackTotal.inc({ network, result }, times)
        }
        for (const [node, times] of nodeDifferences) {
          differences.inc({ network, node: `${node}` }, times)
        }
        pending.set({ network }, count)
        gas.set({ network }, Number(gasToday))
      }
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}
