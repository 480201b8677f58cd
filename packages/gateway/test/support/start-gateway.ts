/** Starts a gateway as a real process, on a free port of 127.0.0.1, with a folder of its own. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** The provider that a gateway forwards to. */
export interface UpstreamProvider {
  readonly url: string
  readonly caFile?: string
}

/** How a gateway is to be started. */
export interface GatewayOptions {
  /** Upstream `loopback`, which takes every model; use `config.upstreams` for anything else. */
  readonly provider?: UpstreamProvider
  readonly connections?: number
  readonly limits?: Readonly<Record<string, number>>
  readonly receipts?: Readonly<Record<string, boolean | number>>
  readonly logLevel?: 'error' | 'warn' | 'info' | 'debug' | 'silent'
  /** Members of the configuration that replace those above. */
  readonly config?: Readonly<Record<string, unknown>>
  /** The environment of the process; nothing is inherited but PATH. */
  readonly environment?: Readonly<Record<string, string>>
  /** Flags for Node itself. */
  readonly nodeFlags?: readonly string[]
  /** The program, when it is not the sources. */
  readonly program?: string
  /** A folder to keep: for a second start on the data of the first. */
  readonly folder?: string
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: string | null
}

/** A running gateway. */
export interface RunningGateway {
  /** Origin, without /v1. */
  readonly url: string
  readonly pid: number
  readonly folder: string
  /** Standard error so far. */
  stderr(): string
  /** Resolves when standard error has had this text so often; rejects when the process ends before. */
  logged(text: string, times?: number): Promise<void>
  /** Puts other members into its configuration file and asks it to read that (SIGHUP). */
  reload(options: GatewayOptions): void
  /** Asks it to end (SIGTERM) and resolves when it has. */
  stop(): Promise<ProcessEnd>
  /** Ends it with SIGKILL. */
  kill(): Promise<ProcessEnd>
  /** Sends SIGTERM and does not wait. */
  terminate(): void
  readonly ended: Promise<ProcessEnd>
}

const script = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** Starts a gateway; rejects with its standard error when it ends before it is ready. */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const folder = options.folder ?? createGatewayFolder()
  const file = join(folder, 'countersign.config.json')
  writeFileSync(file, JSON.stringify(createConfig(options)))
  const process = runGateway(
    [...(options.nodeFlags ?? [])],
    ['--config', file],
    options.environment,
    options.program,
  )
  const { child, ended, stderr, logged } = process
  const readyLine = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([line]) => String(line)),
    ended.then(({ code }) => {
      throw new Error(`The gateway ended with ${code} before it was ready: ${stderr()}`)
    }),
  ])
  const ready: unknown = JSON.parse(readyLine)
  if (typeof ready !== 'object' || ready === null || !('url' in ready)) {
    throw new Error(`The ready line has no url: ${readyLine}`)
  }
  return {
    url: String(ready.url),
    pid: child.pid ?? 0,
    folder,
    stderr,
    logged,
    reload: (changed) => {
      writeFileSync(file, JSON.stringify(createConfig(changed)))
      child.kill('SIGHUP')
    },
    ended,
    stop: async () => {
      child.kill('SIGTERM')
      return ended
    },
    kill: async () => {
      child.kill('SIGKILL')
      return ended
    },
    terminate: () => {
      child.kill('SIGTERM')
    },
  }
}

/** Runs the gateway's program to its end, for starts that must be refused. */
export async function runToEnd(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  nodeFlags: readonly string[] = [],
): Promise<ProcessEnd & { readonly stdout: string; readonly stderr: string }> {
  const { child, ended, stderr } = runGateway(nodeFlags, args, environment)
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  return { ...(await ended), stdout, stderr: stderr() }
}

/** A configuration file's value for these options. */
export function createConfig(options: GatewayOptions): Readonly<Record<string, unknown>> {
  const { provider, connections } = options
  const loopback = {
    name: 'loopback',
    baseUrl: provider?.url ?? 'https://provider.invalid/v1',
    ...(provider?.caFile === undefined ? {} : { caFile: provider.caFile }),
    ...(connections === undefined ? {} : { connections }),
    models: [{ id: '*', priceAtomic: '10000' }],
  }
  return {
    issuer: 'https://gateway.example',
    listen: { port: 0 },
    dataDir: 'data',
    upstreams: [loopback],
    payment: 'none',
    attestation: { kind: 'simulated' },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.receipts === undefined ? {} : { receipts: options.receipts }),
    log: { level: options.logLevel ?? 'info' },
    ...options.config,
  }
}

/** A new folder below the system's temporary folder. */
export function createGatewayFolder(): string {
  return mkdtempSync(join(tmpdir(), 'countersign-gateway-'))
}

/** Ends a gateway, if it still runs, and removes its folder. */
export async function disposeGateway(gateway: RunningGateway): Promise<void> {
  await gateway.stop()
  rmSync(gateway.folder, { recursive: true, force: true })
}

function runGateway(
  nodeFlags: readonly string[],
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  program?: string,
): {
  readonly child: ReturnType<typeof spawnGateway>
  readonly ended: Promise<ProcessEnd>
  readonly stderr: () => string
  readonly logged: (text: string, times?: number) => Promise<void>
} {
  const child = spawnGateway(nodeFlags, args, environment, program)
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-1_000_000)
  })
  const ended = new Promise<ProcessEnd>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      resolve({ code, signal })
    })
  })
  const logged = async (text: string, times = 1): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = (): void => {
      if (errors.split(text).length > times) resolve()
    }
    child.stderr.on('data', look)
    const end = (): void => {
      reject(new Error(`The gateway ended before it logged ${text}: ${errors}`))
    }
    child.once('close', end)
    look()
    await promise.finally(() => {
      child.stderr.off('data', look)
      child.off('close', end)
    })
  }
  return { child, ended, stderr: () => errors, logged }
}

function spawnGateway(
  nodeFlags: readonly string[],
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  program?: string,
): ChildProcessByStdio<Writable, Readable, Readable> {
  const start = program === undefined ? ['--conditions=source', script] : [program]
  const command = [...nodeFlags, ...start, '--exit-with-parent', ...args]
  return spawn(process.execPath, command, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', ...environment },
  })
}
