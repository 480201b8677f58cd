/** The facilitator as its own program, or inside the test, on a real chain. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { loadFacilitatorConfig } from '../../src/facilitator/facilitator-config.ts'
import { createFacilitatorServer } from '../../src/facilitator/facilitator-server.ts'
import { openFacilitator } from '../../src/facilitator/facilitator.ts'
import { urlOf } from '../../src/run.ts'
import type { TestChain } from '../payment/chain-process.ts'
import { createDirectory } from '../payment/requests.ts'

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** A running facilitator. */
export type FacilitatorProcess = {
  readonly url: string
  kill(): Promise<void>
}

/** What every start of one facilitator has in common. */
export type FacilitatorSetup = {
  /** Serves it inside the test, which is cheaper; it ends with the test. */
  serve(
    changes?: Readonly<Record<string, unknown>>,
    other?: { readonly clock?: () => number; readonly key?: string },
  ): Promise<string>
  /** Ends what was served last, for another one on the same folder. */
  stopServing(): Promise<void>
  /** Starts the program; it ends with the test. */
  start(changes?: Readonly<Record<string, unknown>>): Promise<FacilitatorProcess>
}

/** A key of a client, and how the configuration knows it. */
export const clientKey = 'fk_0123456789abcdefghij'
export const clientKeySha256 = createHash('sha256').update(clientKey).digest('hex')

/** A data folder and a settlement key of its own. */
export function createFacilitatorSetup(
  chain: TestChain,
  {
    rpcUrl = chain.rpcUrl,
    ...network
  }: { readonly rpcUrl?: string } & Record<string, unknown> = {},
): FacilitatorSetup {
  const folder = createDirectory()
  const key = chain.nextSettlementKey()
  const { address, eip712Name: name, eip712Version: version } = baseSepoliaUsdc
  const write = (changes: Readonly<Record<string, unknown>>): string => {
    const config = {
      listen: { port: 0 },
      dataDir: 'data',
      networks: [
        {
          network: 'eip155:84532',
          rpcUrl,
          assets: [{ address, name, version }],
          payees: 'any',
          ...network,
        },
      ],
      anonymous: true,
      log: { level: 'error' },
      ...changes,
    }
    const file = join(folder, 'facilitator.json')
    writeFileSync(file, JSON.stringify(config))
    return file
  }
  // Owned by `serve` and `stopServing`.
  const latest: { stop?: () => Promise<void> } = {}
  return {
    start: (changes = {}) => run(write(changes), key),
    stopServing: async () => {
      await latest.stop?.()
    },
    serve: async (changes = {}, other = {}) => {
      const served = await serve(write(changes), other.key ?? key, other.clock ?? Date.now)
      latest.stop = served.stop
      onTestFinished(served.stop)
      return served.url
    },
  }
}

async function serve(
  file: string,
  key: string,
  clock: () => number,
): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const facilitator = await openFacilitator(loadFacilitatorConfig(file), {
    environment: { COUNTERSIGN_FACILITATOR_KEY: key },
    clock,
    log: pino({ level: 'silent' }),
    onFault: (error) => {
      throw error
    },
  })
  const log = pino({ level: 'error' }, pino.destination(2))
  const server = createFacilitatorServer(facilitator, () => true, log)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  // Owned here: the end, once it has begun.
  let ended: Promise<void> | undefined
  const end = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
    await facilitator.close()
  }
  return {
    url: urlOf(server, '127.0.0.1'),
    stop: () => {
      ended ??= end()
      return ended
    },
  }
}

async function run(file: string, key: string): Promise<FacilitatorProcess> {
  const child = spawn(
    process.execPath,
    ['--conditions=source', program, '--facilitator', file, '--exit-with-parent'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'] ?? '', COUNTERSIGN_FACILITATOR_KEY: key },
    },
  )
  const exited = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  onTestFinished(kill)
  const line = await Promise.race([
    once(createInterface(child.stdout), 'line').then(([text]) => String(text)),
    exited.then(() => {
      throw new Error('the facilitator ended before it was ready')
    }),
  ])
  return { url: String(Object(JSON.parse(line)).url), kill }
}
