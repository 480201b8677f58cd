/** anvil itself, which can take blocks back: the embedded chain refuses to. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createPublicClient, http, keccak256, toHex, type Hex, type PublicClient } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { findAnvil } from '../../../contracts/src/chain/anvil-binary.ts'
import { encodeGenesis } from '../../../contracts/src/chain/genesis-file.ts'
import { blockGasLimit } from '../../../contracts/src/chain/genesis.ts'
import { payerBalanceAtomic, type TestChain } from './chain-process.ts'

/** A chain that makes a block for each transaction, or when it is told to. */
export type BareChain = TestChain & {
  /** One call of anvil's own methods. */
  call(method: string, ...params: readonly unknown[]): Promise<unknown>
  mine(blocks?: number): Promise<void>
  /** Takes the newest blocks back and forgets their transactions; as many empty ones follow, and one more. */
  reorganise(blocks: number): Promise<void>
}

const accountsOfEachKind = 24

/** Starts one; two with the same seed begin with the same block. Its clock is that far behind: blocks made quickly run ahead. */
export async function startBareChain(seed = '', secondsBehind = 3600): Promise<BareChain> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-anvil-'))
  const genesis = join(directory, 'genesis.json')
  const payers = createKeys(`${seed}payer`)
  const senders = createKeys(`${seed}sender`)
  writeFileSync(genesis, encodeGenesis(balancesOf(payers, senders), 1_700_000_000, blockGasLimit))
  const flags = '--accounts 0 --no-cors --host 127.0.0.1 --port 0 --chain-id 84532 --hardfork osaka'
  const child = spawn(findAnvil(process.env), [...flags.split(' '), '--init', genesis], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ANVIL_IP_ADDR: '127.0.0.1', RUST_LOG: 'off', NO_COLOR: '1' },
  })
  const exited = once(child, 'exit')
  const rpcUrl = await listening(createInterface(child.stdout))
  const client: PublicClient = createPublicClient({
    transport: http(rpcUrl, { timeout: 60_000 }),
    cacheTime: 0,
  })
  const call = async (method: string, ...params: readonly unknown[]): Promise<unknown> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(rpcUrl, { method: 'POST', headers, body })
    const { result, error } = Object(await answer.json())
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`)
    return result
  }
  const mine = async (blocks = 1): Promise<void> => {
    for (let block = 0; block < blocks; block++) await call('evm_mine')
  }
  await call('evm_setNextBlockTimestamp', Math.floor(Date.now() / 1000) - secondsBehind)
  await mine()
  return {
    rpcUrl,
    client,
    call,
    mine,
    reorganise: async (blocks) => {
      await call('anvil_rollback', blocks)
      await mine(blocks + 1)
    },
    pid: child.pid ?? 0,
    mined: async (hash) => {
      for (;;) {
        const receipt = await client
          .getTransactionReceipt({ hash: `0x${hash.slice(2)}` })
          .catch(() => undefined)
        if (receipt !== undefined) return receipt
      }
    },
    nextPayer: () => privateKeyToAccount(take(payers)),
    nextSettlementKey: () => take(senders),
    pause: () => {
      child.kill('SIGSTOP')
    },
    resume: () => {
      child.kill('SIGCONT')
    },
    stop: async () => {
      child.kill('SIGKILL')
      await exited
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function listening(lines: AsyncIterable<string>): Promise<string> {
  for await (const line of lines) {
    const port = /^Listening on 127\.0\.0\.1:([0-9]+)$/.exec(line)?.[1]
    if (port !== undefined) return `http://127.0.0.1:${port}`
  }
  throw new Error('anvil did not start')
}

function balancesOf(
  payers: readonly Hex[],
  senders: readonly Hex[],
): Parameters<typeof encodeGenesis>[0] {
  return {
    usdcAtomic: new Map(payers.map((key) => [privateKeyToAddress(key), payerBalanceAtomic])),
    wei: new Map(senders.map((key) => [privateKeyToAddress(key), 10n ** 18n])),
  }
}

function createKeys(kind: string): Hex[] {
  return Array.from({ length: accountsOfEachKind }, (_, index) =>
    keccak256(toHex(`${kind} ${index}`)),
  )
}

function take(keys: Hex[]): Hex {
  const key = keys.pop()
  if (key === undefined) throw new Error('no account is left: raise accountsOfEachKind')
  return key
}
