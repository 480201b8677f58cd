/**
 * The embedded chain as a program. Prints one line of JSON on standard output when it is ready; logs go to standard
 * error. SIGTERM and SIGINT stop it in order; so does any other death, because the journal has everything.
 */

import { once } from 'node:events'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { baseSepoliaChainId, baseSepoliaUsdc } from '../addresses.ts'
import { findAnvil } from './anvil-binary.ts'
import { startChain } from './chain.ts'
import type { ChainEnvironment, ChainOptions } from './chain.ts'
import { ChainError } from './errors.ts'
import { parseBalances } from './genesis.ts'
import { startRpcFront } from './rpc-front.ts'

const USAGE = `usage: main.ts --data DIR [--port N] [--fund ADDRESS=ETHWEI]... [--usdc ADDRESS=ATOMIC]...
               [--exit-with-parent]

--data DIR               keeps the chain; one process at a time
--port N                 JSON-RPC port on 127.0.0.1 (default: a free one)
--fund ADDRESS=ETHWEI    balance in wei; only on the first start of a data directory
--usdc ADDRESS=ATOMIC    test USDC in atomic units (6 decimals); only on the first start
--exit-with-parent       stop when standard input closes
COUNTERSIGN_ANVIL        an anvil binary to use instead of the installed one
`

const EXIT_FAILURE = 1
const EXIT_USAGE = 64
const SNAPSHOT_EVERY_RECORDS = 256
const HEARTBEAT_MS = 30_000

type Arguments = {
  readonly options: ChainOptions
  readonly port: number
  readonly exitWithParent: boolean
}

const environment: ChainEnvironment = {
  nowMs: () => Date.now(),
  log: (event, fields) => {
    process.stderr.write(
      `${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`,
    )
  },
}

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  // Registered first: a signal during start-up must not leave anvil behind.
  const stopped = stopSignal()
  let given: Arguments
  try {
    given = readArguments(argv)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n${USAGE}`)
    return error instanceof ChainError && error.code === 'anvil-missing' ? EXIT_FAILURE : EXIT_USAGE
  }
  try {
    if (given.exitWithParent) process.stdin.on('close', stopped.stop).resume()
    return await run(given, stopped.promise)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    return EXIT_FAILURE
  } finally {
    if (given.exitWithParent) process.stdin.destroy()
  }
}

async function run(given: Arguments, stopped: Promise<void>): Promise<number> {
  const chain = await startChain(given.options, environment)
  try {
    const front = await startRpcFront(chain, given.port)
    const ready = {
      ready: true,
      rpcUrl: `http://127.0.0.1:${front.port}`,
      chainId: baseSepoliaChainId,
      usdc: baseSepoliaUsdc.address,
    }
    process.stdout.write(`${JSON.stringify(ready)}\n`)
    const outcome = await Promise.race([
      stopped.then(() => 0),
      chain.failed.then(() => EXIT_FAILURE),
    ])
    await front.close()
    return outcome
  } finally {
    await chain.close()
  }
}

function readArguments(argv: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      data: { type: 'string' },
      port: { type: 'string', default: '0' },
      fund: { type: 'string', multiple: true, default: [] },
      usdc: { type: 'string', multiple: true, default: [] },
      'exit-with-parent': { type: 'boolean', default: false },
    },
  })
  if (values.data === undefined || values.data === '') throw new Error('--data is missing')
  if (!/^(0|[1-9][0-9]{0,4})$/.test(values.port) || Number(values.port) > 65_535) {
    throw new Error(`--port ${values.port} is no port`)
  }
  return {
    port: Number(values.port),
    exitWithParent: values['exit-with-parent'],
    options: {
      directory: values.data,
      balances: { wei: parseBalances(values.fund), usdcAtomic: parseBalances(values.usdc) },
      anvilBinary: findAnvil(process.env),
      snapshotEveryRecords: SNAPSHOT_EVERY_RECORDS,
      heartbeatMs: HEARTBEAT_MS,
    },
  }
}

function stopSignal(): { promise: Promise<void>; stop: () => void } {
  const controller = new AbortController()
  const promise = once(controller.signal, 'abort').then(() => undefined)
  const stop = (): void => controller.abort()
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  return { promise, stop }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
