/** What observers see, in the form that tests compare. */
import { splitEvents } from '@countersign/protocol/receipt/event-chain'
import { createUsageObserver, type MeterWire } from '../../src/metering/observe-usage.ts'
import { compactCounts, type Observation, type UsageCounts } from '../../src/metering/usage.ts'

/** Observes a whole stream, cut into its events. */
export function observe(wire: MeterWire, stream: string): Observation {
  const observer = createUsageObserver(wire)
  const { events: cut, rest } = splitEvents(Buffer.from(stream))
  for (const event of [...cut, rest]) observer.observe(event)
  return observer.result()
}

/** A stream of these payloads. */
export function events(...payloads: readonly unknown[]): string {
  return payloads.map((payload) => `data: ${JSON.stringify(payload)}\n\n`).join('')
}

/** The counts without zeros. */
export const countsOf = ({ usage }: Observation): UsageCounts => compactCounts(usage.counts)

/** What is odd about the figures. */
export const notesOf = ({ usage }: Observation): readonly string[] =>
  usage.kind === 'none' ? [] : usage.notes

/** A chunk of a chat stream. */
export const chat = (usage: unknown): unknown => ({ model: 'm', choices: [], usage })
