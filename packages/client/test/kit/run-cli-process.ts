/** Runs the command line as a real process. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runCli } from '../../src/cli/run-cli.ts'
import { createTerminal } from '../../src/cli/terminal.ts'

/** How a process ended. */
export type Ended = { readonly code: number | null; readonly out: string; readonly err: string }

const cli = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** Runs `countersign` with these arguments to its end, with no terminal. */
export function runCliProcess(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, ['--conditions=source', cli, ...args], {
    env: { PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, out, err }))
  })
}

/** Runs it in this process, which is quicker and cannot end it. */
export async function runInProcess(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  nowMs: () => number = Date.now,
): Promise<Ended> {
  let out = ''
  let err = ''
  const stdout = { write: (text: string) => (out += text) }
  const stderr = { write: (text: string) => (err += text) }
  const code = await runCli(args, {
    terminal: createTerminal({ stdout, stderr }, {}),
    environment,
    nowMs,
    interrupted: new AbortController().signal,
  })
  return { code, out, err }
}
