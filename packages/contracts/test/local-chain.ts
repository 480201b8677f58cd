/** Real chains for the tests: as a process of its own, or in this process with a clock that the test owns. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { custom } from 'viem'
import type { CustomTransport } from 'viem'
import { onTestFinished, vi } from 'vitest'
import { findAnvil } from '../src/chain/anvil-binary.ts'
import { startChain } from '../src/chain/chain.ts'
import type { EmbeddedChain } from '../src/chain/chain.ts'
import { parseBalances } from '../src/chain/genesis.ts'
import { startRpcFront } from '../src/chain/rpc-front.ts'

const chainProgram = fileURLToPath(new URL('../src/chain/main.ts', import.meta.url))

/** Test accounts of the mnemonic "test test … junk": 0 sends, 1 pays, 2 is paid. */
export const senderKey = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
export const payerKey = '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d'
export const sender = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
export const payer = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
export const payee = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'

const anvilBinary = findOrUndefined()

/** For tests that need anvil: where npm installed none they are reported as skipped, by name. */
export const needsAnvil = { skip: anvilBinary === undefined }

/** A directory that is removed when the test ends. */
export function temporaryDirectory(): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-chain-')))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export type ChainProcess = {
  readonly child: ChildProcess
  readonly readyLine: string
  readonly rpcUrl: string
  readonly port: number
}

/** Starts the program and waits for its ready line; it is killed when the test ends. */
export async function spawnChain(
  directory: string,
  args: readonly string[] = [],
): Promise<ChainProcess> {
  const child = spawnProgram(['--data', directory, ...args])
  const lines = createInterface({ input: child.stdout })
  const errors: string[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()))
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the chain ended with ${String(code)}: ${errors.join('')}`)
  })
  ended.catch(() => undefined)
  const first: unknown = (await Promise.race([once(lines, 'line'), ended]))[0]
  const readyLine = String(first)
  const rpcUrl = String(Object(JSON.parse(readyLine)).rpcUrl)
  return { child, readyLine, rpcUrl, port: Number(new URL(rpcUrl).port) }
}

/** Starts the program without waiting for anything. */
export function spawnProgram(
  args: readonly string[],
  environment: Record<string, string> = {},
): ChildProcess & { stdin: NonNullable<ChildProcess['stdin']> } & {
  stdout: NonNullable<ChildProcess['stdout']>
  stderr: NonNullable<ChildProcess['stderr']>
} {
  const child = spawn(process.execPath, ['--conditions=source', chainProgram, ...args], {
    stdio: 'pipe',
    env: { ...process.env, NODE_OPTIONS: '', ...environment },
  })
  onTestFinished(async () => {
    await killAndWait(child)
  })
  return child
}

/** Runs the program until it ends by itself. */
export async function runProgram(
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawnProgram(args, environment)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const [code] = await once(child, 'close')
  return { code: Number(code), ...output }
}

export async function killAndWait(
  child: ChildProcess,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
  return child.exitCode
}

export type LocalChainSettings = {
  readonly fund?: readonly string[]
  readonly usdc?: readonly string[]
  readonly startMs?: number
  readonly snapshotEveryRecords?: number
  readonly heartbeatMs?: number
}

/** The chain in this process. Its clock shows one second more at each look, so blocks never wait for real time. */
export async function startLocalChain(
  directory: string,
  settings: LocalChainSettings,
): Promise<EmbeddedChain & { readonly transport: CustomTransport }> {
  let clockMs = settings.startMs ?? 1_790_000_000_000
  const chain = await startChain(
    {
      directory,
      balances: {
        wei: parseBalances(settings.fund ?? []),
        usdcAtomic: parseBalances(settings.usdc ?? []),
      },
      anvilBinary: anvilBinary ?? '',
      snapshotEveryRecords: settings.snapshotEveryRecords ?? 256,
      heartbeatMs: settings.heartbeatMs ?? 30_000,
    },
    {
      nowMs: () => (clockMs += 1000),
      log: () => undefined,
    },
  )
  onTestFinished(() => chain.close())
  const transport = custom(
    {
      request: ({ method, params }: { method: string; params?: unknown[] }) =>
        method === 'eth_sendRawTransaction'
          ? chain.send(params?.[0])
          : chain.read(method, params ?? []),
    },
    { retryCount: 0 },
  )
  return {
    transport,
    failed: chain.failed,
    send: (raw) => chain.send(raw),
    read: (method, params) => chain.read(method, params),
    close: () => chain.close(),
  }
}

/** The RPC front on a chain in this process. */
export async function startLocalFront(fund: string[] = []): Promise<{ readonly port: number }> {
  const front = await startRpcFront(await startLocalChain(temporaryDirectory(), { fund }), 0)
  onTestFinished(() => front.close())
  return front
}

/** One HTTP request with every detail in the test's hands. */
export function httpRequest(
  port: number,
  body: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', ...options.headers }
    const outgoing = request(
      { host: '127.0.0.1', port, method: options.method ?? 'POST', headers },
      (incoming) => {
        let text = ''
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk: string) => (text += chunk))
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }))
        incoming.on('error', reject)
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

export type RpcReply = {
  readonly id?: unknown
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
}

/** One JSON-RPC call; rejects when the connection breaks. */
export async function rpc(port: number, method: string, params: unknown[] = []): Promise<RpcReply> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 7, method, params })
  const { text } = await httpRequest(port, body)
  const reply: RpcReply = JSON.parse(text)
  return reply
}

/** The pid of the anvil that serves a data directory. */
export function anvilPid(directory: string): number {
  return Number(readFileSync(join(directory, 'anvil.pid'), 'utf8'))
}

/** True while a process runs; a zombie that nobody reaped does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== ''
  } catch {
    return false
  }
}

export async function untilGone(pid: number): Promise<void> {
  await vi.waitUntil(() => !isRunning(pid), { timeout: 60_000, interval: 10 })
}

function findOrUndefined(): string | undefined {
  try {
    return findAnvil(process.env)
  } catch {
    return undefined
  }
}
