/**
 * The embedded chain as a program. Prints one line of JSON on standard output when it is ready; logs go to standard
 * error. SIGTERM and SIGINT stop it in order; so does any other death, because the journal has everything.
 */

import { once } from 'node:events'
import process from 'node:process'
import { baseSepoliaChainId, baseSepoliaUsdc } from '../addresses.ts'
import { chainUsage, parseChainArguments } from './arguments.ts'
import type { ChainArguments } from './arguments.ts'
import { startChain } from './chain.ts'
import type { ChainEnvironment } from './chain.ts'
import { ChainError } from './errors.ts'
import { startRpcFront } from './rpc-front.ts'

const EXIT_FAILURE = 1
const EXIT_USAGE = 64

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
  let given: ChainArguments
  try {
    given = parseChainArguments(argv, process.env)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n${chainUsage}`)
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

async function run(given: ChainArguments, stopped: Promise<void>): Promise<number> {
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
