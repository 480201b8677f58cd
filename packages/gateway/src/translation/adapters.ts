/** Which translations there are (spec/translation.md TR1). */
import type { UpstreamKind, Wire } from '../http/wire-routes.ts'
import type { MeterWire } from '../metering/observe-usage.ts'
import type { TargetWire } from './caller-request.ts'

/** One direction: a wire of callers, and one of a provider. */
export type Adapter = {
  readonly name: string
  readonly source: 'openai-chat' | 'anthropic-messages'
  readonly target: TargetWire
  /** How the provider's answers are metered. */
  readonly meter: MeterWire
}

/** Raised with every change of what an adapter reads or writes. */
export const adapterVersion = '1'

const adapters: readonly (Adapter & { readonly kind: UpstreamKind })[] = [
  {
    name: 'openai-chat-to-anthropic-messages',
    source: 'openai-chat',
    target: 'anthropic-messages',
    kind: 'anthropic',
    meter: 'anthropic',
  },
  {
    name: 'openai-chat-to-google-generate',
    source: 'openai-chat',
    target: 'google-generate',
    kind: 'google',
    meter: 'google',
  },
  {
    name: 'anthropic-messages-to-openai-chat',
    source: 'anthropic-messages',
    target: 'openai-chat',
    kind: 'openai',
    meter: 'openai-chat',
  },
]

/** The adapter of a caller's wire and a provider; `undefined` when there is none. */
export function findAdapter(source: Wire, kind: UpstreamKind): Adapter | undefined {
  return adapters.find((adapter) => adapter.source === source && adapter.kind === kind)
}

/** The adapter of a name, as receipts have it. */
export function findAdapterByName(name: string): Adapter | undefined {
  return adapters.find((adapter) => adapter.name === name)
}

/** The wire of callers that a provider's models are translated for. */
export function findTranslatedDialect(kind: UpstreamKind): 'openai' | 'anthropic' | undefined {
  const source = adapters.find((adapter) => adapter.kind === kind)?.source
  if (source === undefined) return undefined
  return source === 'openai-chat' ? 'openai' : 'anthropic'
}
