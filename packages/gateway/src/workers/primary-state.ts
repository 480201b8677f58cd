/** What the primary of several processes owns, and what it begins with. */
import type { Logger } from 'pino'
import type { LoadedConfig } from '../config/load-config.ts'
import type { openPayerLimits } from '../create-gateway.ts'
import type { createMetrics } from '../metrics.ts'
import type { Announcer } from '../payment/charge-key/announcer.ts'
import type { Member } from './member.ts'
import type { PrimaryParts } from './primary-answers.ts'
import type { createSumMetrics } from './sum-metrics.ts'

/** What a primary begins with. */
export type PrimaryOptions = {
  readonly first: LoadedConfig
  readonly load: () => LoadedConfig
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The program that workers run, too. */
  readonly program: string
  readonly exitWithParent: boolean
  readonly log: Logger
}

/** Everything that the primary owns. */
export type Primary = {
  readonly options: PrimaryOptions
  readonly parts: PrimaryParts
  readonly sums: ReturnType<typeof createSumMetrics<Member>>
  readonly metrics: ReturnType<typeof createMetrics>
  readonly buildDigest: Uint8Array
  readonly port: number
  /** As in a `StartOrder`. */
  readonly openGradientKey: Uint8Array | undefined
  /** Workers whose process is there. */
  readonly members: Set<Member>
  /** Settles when no worker is starting that was when it was asked. */
  readonly starting: Set<Promise<unknown>>
  /** What is left to do for workers that are gone. */
  readonly burials: Set<Promise<void>>
  readonly quickDeaths: Map<number, number>
  readonly stopping: AbortController
  /** Settles when it is decided which configuration is the current one: nobody starts before. */
  deciding: Promise<void>
  /** Settles when the current configuration is that of all workers. */
  adopting: Promise<void>
  current: { readonly loaded: LoadedConfig; readonly offerAtMs: number }
  payerLimits: ReturnType<typeof openPayerLimits>
  /** Set once, at the start; `undefined` without charge keys. */
  announcer: Announcer | undefined
}

/** How long a worker may take for what is left to do when its time is up. */
export const lastWordsMs = 5000
