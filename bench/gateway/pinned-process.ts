/** Child processes that stay on one core. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { availableParallelism } from 'node:os'

/** A running child. */
export type PinnedProcess = {
  readonly pid: number
  /** The first line that it wrote, parsed. */
  readonly hello: Readonly<Record<string, unknown>>
  readonly stop: () => Promise<void>
}

const startTimeoutMs = 20_000

/** Whether children can be pinned: there are two cores, and `taskset`. */
export function canPin(): boolean {
  return availableParallelism() >= 2 && isInstalled('taskset')
}

/** Whether a program is there. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

/** A core, or wherever there is room. */
export type Core = 0 | 1 | 'any'

/** Spawns on this core. Its standard input ends with this process, so that it can end too. */
export function spawnPinned(
  core: Core,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  const pinned = core !== 'any' && canPin() ? ['taskset', '-c', String(core), ...command] : command
  const [program = '', ...programArguments] = pinned
  // Of the environment only the path: the gateway refuses what could change what it does.
  const env = { PATH: process.env['PATH'], ...environment }
  return spawn(program, programArguments, { stdio: ['pipe', 'pipe', 'inherit'], env })
}

/** The command line of a TypeScript program of this repository. */
export function nodeCommand(program: URL, programArguments: readonly string[]): readonly string[] {
  return [process.execPath, '--conditions=source', program.pathname, ...programArguments]
}

/** Starts a program that writes one line of JSON when it is ready. */
export async function startPinned(
  core: Core,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<PinnedProcess> {
  const child = spawnPinned(core, command, environment)
  const { pid, stdout } = child
  if (pid === undefined || stdout === null) throw new Error(`${command.join(' ')} does not start`)
  const line = await firstLine(stdout, command)
  return { pid, hello: parseObject(line), stop: () => stop(child) }
}

/** Asks a child to end, and ends it when it does not. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
  await ended
  clearTimeout(timer)
}

/** @throws Error when the text is no JSON object. */
export function parseObject(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error(`not an object: ${text}`)
  return Object.fromEntries(Object.entries(value))
}

async function firstLine(
  output: NodeJS.ReadableStream,
  command: readonly string[],
): Promise<string> {
  const lines = createInterface({ input: output })
  const timeout = AbortSignal.timeout(startTimeoutMs)
  const [line]: unknown[] = await Promise.race([
    once(lines, 'line', { signal: timeout }),
    once(lines, 'close').then(() => {
      throw new Error(`${command.join(' ')} ended before it was ready`)
    }),
  ])
  return String(line)
}
