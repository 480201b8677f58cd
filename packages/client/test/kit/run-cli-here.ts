/** The command line in this process: a process of its own for each case would take seconds. */
import { runCli } from '../../src/cli/run-cli.ts'
import { createTerminal } from '../../src/cli/terminal.ts'
import type { Ended } from './run-cli-process.ts'

/** Runs `countersign` with these arguments to its end, on 21 November 2026, with no terminal. */
export async function runCliHere(args: readonly string[]): Promise<Ended> {
  let out = ''
  let err = ''
  const streams = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
  }
  const code = await runCli(args, {
    terminal: createTerminal(streams, {}),
    environment: {},
    nowMs: () => Date.parse('2026-11-21T12:00:00Z'),
    interrupted: new AbortController().signal,
  })
  return { code, out, err }
}
