/** Runs a program of another package as a child process: found by its package, never imported. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { decodeJson, type JsonMap } from '@countersign/protocol/bytes/json-decode'
import { ClientError } from '../errors.ts'
import { isJsonMap } from '../pay/base64-json.ts'

/** A program of the network. */
export type ProgramName = 'chain' | 'gateway' | 'api-key-admin' | 'ledger-admin' | 'replay'

/** What a child is given. */
export type ProgramStart = {
  readonly program: ProgramName
  readonly args: readonly string[]
  /** The whole environment of the child. */
  readonly environment: Readonly<Record<string, string>>
  /** Takes what it writes to standard error, appended. */
  readonly logFile: string
}

/** A child that said it is ready. */
export type RunningProgram = {
  /** The line that it printed. */
  readonly ready: JsonMap
  /** Resolves when it ends without having been asked to. */
  readonly failed: Promise<ClientError>
  /** Ends it in order, or by force after a while. Safe to call twice. */
  stop(): Promise<void>
}

const startTimeoutMs = 60_000
const stopTimeoutMs = 10_000
const maxErrorCharacters = 2000

/**
 * The arguments with which Node runs a program: its TypeScript when this process resolves sources, else what was built.
 *
 * @throws ClientError `program-missing`.
 */
export function locateProgram(program: ProgramName): readonly string[] {
  const file = fileURLToPath(resolveProgram(program))
  if (!existsSync(file)) throw new ClientError('program-missing', { detail: file })
  return file.endsWith('.ts') ? ['--conditions=source', file] : [file]
}

/**
 * Starts a program and waits for its ready line.
 *
 * @throws ClientError `program-missing`, `program-failed` with the end of what it wrote.
 */
export async function startProgram(start: ProgramStart): Promise<RunningProgram> {
  const child = spawn(process.execPath, [...locateProgram(start.program), ...start.args], {
    env: { ...start.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C is for us, and we stop the programs in their order.
    detached: process.platform !== 'win32',
  })
  const errors = collectErrors(child, start.logFile)
  // The child may go while something is written to it; its end is seen by `exit`.
  child.stdin.on('error', ignore)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const stop = createStop(child, exited)
  const describeEnd = (): ClientError =>
    new ClientError('program-failed', { detail: `${start.program}: ${errors()}` })
  try {
    const ready = await Promise.race([
      readReadyLine(child),
      exited.then(() => Promise.reject(describeEnd())),
      rejectLater(startTimeoutMs, describeEnd),
    ])
    return { ready, failed: exited.then(describeEnd), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function resolveProgram(program: ProgramName): string {
  try {
    if (program === 'chain') return import.meta.resolve('@countersign/contracts/chain')
    if (program === 'replay') return import.meta.resolve('@countersign/gateway/replay')
    const gateway = import.meta.resolve('@countersign/gateway/main')
    if (program === 'gateway') return gateway
    const extension = gateway.slice(gateway.lastIndexOf('.'))
    return new URL(`payment/${program}${extension}`, gateway).href
  } catch (cause) {
    throw new ClientError('program-missing', { detail: program, cause })
  }
}

function collectErrors(child: ChildProcess, logFile: string): () => string {
  const log = createWriteStream(logFile, { flags: 'a', mode: 0o600 })
  // A full disk must not stop the program that writes the log.
  log.on('error', ignore)
  let text = ''
  child.stderr?.setEncoding('utf8')
  child.stderr?.on('data', (part: string) => {
    log.write(part)
    text = (text + part).slice(-maxErrorCharacters)
  })
  child.stderr?.once('close', () => log.end())
  return () => text.trim()
}

async function readReadyLine(child: ChildProcess): Promise<JsonMap> {
  if (child.stdout === null) throw new ClientError('program-failed', { detail: 'no output' })
  const lines = createInterface({ input: child.stdout })
  const line = await new Promise<string>((resolve) => {
    lines.once('line', resolve)
  })
  const ready = decodeJson(Buffer.from(line))
  if (isJsonMap(ready) && ready.get('ready') === true) return ready
  throw new ClientError('program-failed', {
    detail: 'its first line says something else than ready',
  })
}

function createStop(child: ChildProcess, exited: Promise<void>): () => Promise<void> {
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
    child.stdin?.end()
    child.kill('SIGTERM')
    await exited
    clearTimeout(timer)
  }
}

function rejectLater(milliseconds: number, describe: () => ClientError): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(describe()), milliseconds).unref()
  })
}

function ignore(): void {}
