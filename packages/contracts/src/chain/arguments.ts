/** The command line of the embedded chain. */

import { parseArgs } from 'node:util'
import { findAnvil } from './anvil-binary.ts'
import type { ChainOptions } from './chain.ts'
import { parseBalances } from './genesis.ts'

/** A command line that makes sense. */
export type ChainArguments = {
  readonly options: ChainOptions
  /** 0: a free one. */
  readonly port: number
  readonly exitWithParent: boolean
}

/** What `--help` would say; printed with every refused command line. */
export const chainUsage: string = `usage: main.ts --data DIR [--port N] [--fund ADDRESS=ETHWEI]... [--usdc ADDRESS=ATOMIC]...
               [--exit-with-parent] [--snapshot-every RECORDS]

--data DIR               keeps the chain; one process at a time
--port N                 JSON-RPC port on 127.0.0.1 (default: a free one)
--fund ADDRESS=ETHWEI    balance in wei; only on the first start of a data directory
--usdc ADDRESS=ATOMIC    test USDC in atomic units (6 decimals); only on the first start
--exit-with-parent       stop when standard input closes
--snapshot-every RECORDS journal records between two snapshots (default: 256)
COUNTERSIGN_ANVIL        an anvil binary to use instead of the installed one
`

const HEARTBEAT_MS = 30_000

/**
 * Reads the command line.
 *
 * @throws ChainError `anvil-missing` or `genesis-invalid`, or an Error that names the argument.
 */
export function parseChainArguments(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ChainArguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      data: { type: 'string' },
      port: { type: 'string', default: '0' },
      fund: { type: 'string', multiple: true, default: [] },
      usdc: { type: 'string', multiple: true, default: [] },
      'snapshot-every': { type: 'string', default: '256' },
      'exit-with-parent': { type: 'boolean', default: false },
    },
  })
  if (values.data === undefined || values.data === '') throw new Error('--data is missing')
  return {
    port: readNumber('--port', values.port, 65_535),
    exitWithParent: values['exit-with-parent'],
    options: {
      directory: values.data,
      balances: { wei: parseBalances(values.fund), usdcAtomic: parseBalances(values.usdc) },
      anvilBinary: findAnvil(environment),
      snapshotEveryRecords: readNumber('--snapshot-every', values['snapshot-every'], 1_000_000),
      heartbeatMs: HEARTBEAT_MS,
    },
  }
}

function readNumber(name: string, text: string, highest: number): number {
  const value = /^(0|[1-9][0-9]{0,6})$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY
  if (value > highest) throw new Error(`${name} ${text} is no number up to ${highest}`)
  return value
}
