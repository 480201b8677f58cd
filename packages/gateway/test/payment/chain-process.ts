/** A real chain for a test file: its own process, its own data, accounts that hold money from the first block. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createPublicClient, http, keccak256, toHex } from 'viem'
import type { Hex, PublicClient, TransactionReceipt } from 'viem'
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'

/** A running chain. Each account is handed out once. */
export type TestChain = {
  readonly rpcUrl: string
  readonly client: PublicClient
  /** Holds test USDC, `payerBalanceAtomic` unless the chain was told another amount, and no ether. */
  nextPayer(): PrivateKeyAccount
  /** Holds ether only. */
  nextSettlementKey(): Hex
  /** The receipt, as soon as there is one. */
  mined(hash: string): Promise<TransactionReceipt>
  /** The process of the chain. */
  readonly pid: number
  /** No request is answered and no block is made until `resume`. */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

/** What every payer has in its account. */
export const payerBalanceAtomic = 100_000n

const program = fileURLToPath(new URL('../../../contracts/src/chain/main.ts', import.meta.url))
const accountsOfEachKind = 48

/** How the process of a chain is started, where that matters. */
export type ChainStart = {
  readonly nodeFlags: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

/** Starts a chain with fresh accounts, whose payers hold this much. */
export async function startTestChain(
  balanceAtomic = payerBalanceAtomic,
  { nodeFlags, environment }: ChainStart = { nodeFlags: [], environment: {} },
): Promise<TestChain> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-chain-'))
  const payers = createKeys('payer')
  const senders = createKeys('sender')
  const funds = [
    ...payers.flatMap((key) => ['--usdc', `${privateKeyToAccount(key).address}=${balanceAtomic}`]),
    ...senders.flatMap((key) => ['--fund', `${privateKeyToAccount(key).address}=${10n ** 18n}`]),
  ]
  const child = spawn(
    process.execPath,
    [
      ...nodeFlags,
      '--conditions=source',
      program,
      '--data',
      directory,
      '--exit-with-parent',
      ...funds,
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...environment } },
  )
  let lastWords = ''
  child.stderr.on('data', (chunk: Buffer) => {
    lastWords = (lastWords + chunk.toString()).slice(-2000)
  })
  const exited = once(child, 'exit')
  const line = await Promise.race([
    once(createInterface(child.stdout), 'line').then(([text]) => String(text)),
    once(child, 'close').then(() => {
      throw new Error(`the chain did not start: ${lastWords.trim().split('\n')[0]}`)
    }),
  ])
  const ready: { readonly rpcUrl: string } = JSON.parse(line)
  const client = createPublicClient({ transport: http(ready.rpcUrl, { timeout: 60_000 }) })
  return {
    rpcUrl: ready.rpcUrl,
    pid: child.pid ?? 0,
    client,
    mined: async (hash) => {
      // viem's own waiting looks again only when a new block comes.
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
      child.stdin.end()
      await exited
      rmSync(directory, { recursive: true, force: true })
    },
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
