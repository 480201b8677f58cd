/**
 * One anvil child process: started on a port of its own choice on 127.0.0.1, never a stranger's, and never left
 * behind. Three things see to the last: `stop`, a watchdog that ends anvil when this process dies (kill -9
 * included), and a pid file by which the next start finds one that escaped both.
 */

import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { baseSepoliaChainId } from '../addresses.ts'
import { createAnvilClient } from './anvil-rpc.ts'
import type { AnvilClient } from './anvil-rpc.ts'
import { ChainError } from './errors.ts'
import { blockGasLimit } from './genesis.ts'

/** A running anvil. */
export type AnvilProcess = {
  readonly client: AnvilClient
  readonly pid: number
  /** Resolves when the process is gone, for whatever reason. */
  readonly exited: Promise<void>
  isRunning(): boolean
  /** Kills it and waits until it is gone. There is nothing to save: the journal has everything. */
  stop(): Promise<void>
}

/** Where anvil starts from. */
export type AnvilStart =
  | { readonly kind: 'genesis'; readonly path: string }
  | { readonly kind: 'snapshot'; readonly path: string; readonly genesisTimestampSeconds: number }

const START_TIMEOUT_MS = 30_000
const CALL_TIMEOUT_MS = 60_000
const LISTENING = /^Listening on 127\.0\.0\.1:([0-9]{1,5})$/m
const PID_FILE = 'anvil.pid'
const MAX_OUTPUT_CHARS = 16_384

/**
 * Ends the process $1 when standard input closes, provided its command line still contains $2. /proc where there is
 * one, ps elsewhere.
 */
const WATCHDOG = `read -r _
case "$( { tr '\\0' ' ' <"/proc/$1/cmdline" || ps -o command= -p "$1"; } 2>/dev/null )" in
*"$2"*) kill -9 "$1" ;;
esac`

/**
 * Starts anvil with the flags that make it a pure function of its inputs, and waits until it listens.
 *
 * @throws ChainError `anvil-failed` with anvil's own last words.
 */
export async function startAnvil(
  binary: string,
  directory: string,
  start: AnvilStart,
): Promise<AnvilProcess> {
  const child = spawn(binary, anvilArguments(start), {
    // Its own process group: Ctrl-C in a terminal must reach us, who stop in order, and not anvil.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ANVIL_IP_ADDR: '127.0.0.1', RUST_LOG: 'off', NO_COLOR: '1' },
  })
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const pid = child.pid
  if (pid === undefined) {
    await exited
    throw new ChainError('anvil-failed', `${binary} cannot be started`)
  }
  // Before anything is awaited, so that there is hardly an instant at which a crash leaves an unknown child.
  writeFileSync(join(directory, PID_FILE), `${pid}\n`, { mode: 0o600 })
  const watchdog = startWatchdog(pid, start.path)
  void exited.then(() => watchdog.kill('SIGKILL'))
  const client = createAnvilClient(await listeningPort(child, exited), CALL_TIMEOUT_MS)
  void exited.then(() => client.close())
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
    rmSync(join(directory, PID_FILE), { force: true })
  }
  try {
    // From here on anvil would print a line per request.
    await client.call('anvil_setLoggingEnabled', [false])
  } catch (error) {
    await stop()
    throw error
  }
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  return { client, pid, exited, isRunning, stop }
}

/**
 * Kills the anvil that an earlier process of ours left on this data directory. The pid in the file is believed only
 * if that process runs with one of our files on its command line. The caller holds the directory's lock.
 */
export function killStaleAnvil(directory: string): void {
  const pidFile = join(directory, PID_FILE)
  let text: string
  try {
    text = readFileSync(pidFile, 'utf8')
  } catch {
    return
  }
  const pid = /^[1-9][0-9]{0,9}$/.test(text.trim()) ? Number(text.trim()) : undefined
  if (pid !== undefined && commandLine(pid).includes(`${directory}/`)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended between the two looks, which is what we wanted.
    }
  }
  rmSync(pidFile, { force: true })
}

/**
 * `--prune-history 16`: without the flag every block's state stays in memory; with the flag alone, a call on
 * `latest` fails when a block is mined while it runs.
 */
function anvilArguments(start: AnvilStart): string[] {
  const origin =
    start.kind === 'genesis'
      ? ['--init', start.path]
      : ['--load-state', start.path, '--timestamp', String(start.genesisTimestampSeconds)]
  const flags = [
    '--no-mining --order fifo --prune-history 16 --no-request-size-limit --disable-console-log',
    `--accounts 0 --no-cors --host 127.0.0.1 --port 0 --chain-id ${baseSepoliaChainId}`,
    `--hardfork osaka --gas-limit ${blockGasLimit} --enable-tx-gas-limit`,
  ]
  return [...flags.join(' ').split(' '), ...origin]
}

/** anvil picks a free port and says which; so we can only ever talk to the process we started. */
async function listeningPort(child: ChildProcess, exited: Promise<void>): Promise<number> {
  let output = ''
  const found = new Promise<number>((resolve) => {
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-MAX_OUTPUT_CHARS)
      const port = LISTENING.exec(output)?.[1]
      if (port !== undefined) resolve(Number(port))
    }
    // The listeners stay: an unread pipe would stop anvil one day.
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
  })
  const deadline = AbortSignal.timeout(START_TIMEOUT_MS)
  const late = once(deadline, 'abort').then(() => undefined)
  const port = await Promise.race([found, exited.then(() => undefined), late])
  if (port !== undefined) return port
  child.kill('SIGKILL')
  const lastWords = output.trim().split('\n').slice(-5).join(' | ')
  throw new ChainError('anvil-failed', lastWords === '' ? 'it ended without a word' : lastWords)
}

function startWatchdog(pid: number, argument: string): ChildProcess {
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG, 'anvil-watchdog', String(pid), argument], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // Without a shell there is no watchdog; the pid file remains.
  watchdog.on('error', () => undefined)
  watchdog.stdin?.on('error', () => undefined)
  watchdog.unref()
  return watchdog
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    try {
      return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'latin1' })
    } catch {
      return ''
    }
  }
}
