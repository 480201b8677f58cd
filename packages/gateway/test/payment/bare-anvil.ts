/** An anvil of whose blocks and fees the test decides: our own chain has no pool in which a transaction could be stuck. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { createTestClient, http, publicActions, type Hex } from 'viem'
import { findAnvil } from '../../../contracts/src/chain/anvil-binary.ts'

/** A running anvil without blocks of its own. */
export type BareAnvil = {
  readonly rpcUrl: string
  readonly client: ReturnType<typeof createClient>
  /** Makes blocks in which gas costs this much. */
  mine(count: number, baseFeePerGas: bigint): Promise<void>
  stop(): Promise<void>
}

/** Holds ether. */
export const etherKey: Hex = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'

/** Starts it on a free port. */
export async function startBareAnvil(): Promise<BareAnvil> {
  const args = ['--port', '0', '--chain-id', '84532', '--no-mining', '--block-base-fee-per-gas']
  const child = spawn(findAnvil(process.env), [...args, `${10n ** 9n}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    // Nobody reads on behind the port: a log would fill the pipe.
    env: { ...process.env, ANVIL_IP_ADDR: '127.0.0.1', RUST_LOG: 'off', NO_COLOR: '1' },
  })
  const exited = once(child, 'exit')
  let port = ''
  for await (const line of createInterface(child.stdout)) {
    port = /^Listening on 127\.0\.0\.1:([0-9]+)$/.exec(line)?.[1] ?? ''
    if (port !== '') break
  }
  const rpcUrl = `http://127.0.0.1:${port}`
  const client = createClient(rpcUrl)
  return {
    rpcUrl,
    client,
    mine: async (count, baseFeePerGas) => {
      for (let block = 0; block < count; block++) {
        await client.setNextBlockBaseFeePerGas({ baseFeePerGas })
        await client.mine({ blocks: 1 })
      }
    },
    stop: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

function createClient(rpcUrl: string) {
  return createTestClient({ mode: 'anvil', transport: http(rpcUrl, { timeout: 60_000 }) }).extend(
    publicActions,
  )
}
