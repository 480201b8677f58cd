/** How the chain is read and written, from the configuration (spec/payment.md PA29). */
import type { Logger } from 'pino'
import type { Config } from '../../config/schema.ts'
import { chainSchema } from '../../config/payment-schema.ts'
import type { OnDifference } from './agreement.ts'
import type { StrangerLimits } from '../../limits/read-budget.ts'
import { defaultAgree } from './judge-nodes.ts'
import type { ChainSource } from './nodes-transport.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>

/** Most that is offered for a unit of gas, and to whoever makes the block (PA9.7). */
export type FeeBounds = { readonly maxFeePerGas: bigint; readonly maxTipPerGas: bigint }

/** What all schemes share. */
export type ChainTerms = {
  readonly source: ChainSource
  readonly finalDepth: number
  readonly fees: FeeBounds
}

/** Where a chain that nodes disagree about is told of, and counted. */
export type DifferenceLog = {
  readonly onDifference: OnDifference
  /** By the number of the node. */
  readonly counts: ReadonlyMap<number, number>
}

const weiPerGwei = 1_000_000_000n
/** A node that lies does so with every answer. */
const tellEveryMs = 60_000

/** The terms of a configuration that was checked. */
export function createChainTerms(
  payment: Pick<PaidConfig, 'chain'>,
  rpcUrl: string,
  onDifference: OnDifference = () => undefined,
): ChainTerms {
  const chain = chainSchema.parse(payment.chain ?? {})
  const urls = [rpcUrl, ...chain.otherNodes]
  return {
    source: { urls, agree: chain.agree ?? defaultAgree(urls.length), onDifference },
    finalDepth: chain.finalDepth,
    fees: {
      maxFeePerGas: BigInt(chain.maxFeePerGasGwei) * weiPerGwei,
      maxTipPerGas: BigInt(chain.maxTipPerGasGwei) * weiPerGwei,
    },
  }
}

/** How often the chain is asked for payers who have shown no money (PA30). */
export function readStrangerLimits({ chain }: Pick<PaidConfig, 'chain'>): StrangerLimits {
  return chainSchema.parse(chain ?? {})
}

/** Counts every difference, and tells of each node once a minute. */
export function createDifferenceLog(
  log: Pick<Logger, 'error'>,
  clock: () => number,
): DifferenceLog {
  // Both owned by `onDifference`.
  const counts = new Map<number, number>()
  const toldAtMs = new Map<number, number>()
  return {
    counts,
    onDifference: (node, method) => {
      counts.set(node, (counts.get(node) ?? 0) + 1)
      const nowMs = clock()
      if (nowMs - (toldAtMs.get(node) ?? -Infinity) < tellEveryMs) return
      toldAtMs.set(node, nowMs)
      // Neither its URL nor its words: the one may hold a secret, the other is text of the network.
      log.error({ node, method }, 'a chain node differs from the others')
    },
  }
}
