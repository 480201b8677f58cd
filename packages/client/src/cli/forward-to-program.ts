/** Runs a program of another package to its end, with our own input and output. */
import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { ClientError } from '../errors.ts'
import { locateProgram, type ProgramName } from '../network/run-program.ts'
import type { Output } from './terminal.ts'
import type { CommandContext } from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'

const maxOutputCharacters = 16_777_216
const passedOn = new Set<number | null>([exitCodes.ok, exitCodes.invalid, exitCodes.usage])

/**
 * What the program writes goes where this program writes.
 *
 * @returns its exit code 0, 1 or 64; any other becomes 69.
 * @throws ClientError `program-missing`, `program-failed` when it cannot be started.
 */
export async function forwardToProgram(
  program: ProgramName,
  args: readonly string[],
  { terminal, environment }: CommandContext,
): Promise<ExitCode> {
  const child = spawn(process.execPath, [...locateProgram(program), ...args], {
    env: { ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let written = 0
  const forward = (from: Readable, to: Output): void => {
    from.setEncoding('utf8').on('data', (text: string) => {
      written += text.length
      if (written <= maxOutputCharacters) to.write(text)
    })
  }
  forward(child.stdout, terminal.out)
  forward(child.stderr, terminal.err)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => reject(new ClientError('program-failed', { cause })))
    child.once('close', resolve)
  })
  return passedOn.has(code) ? toExitCode(code) : exitCodes.unavailable
}

function toExitCode(code: number | null): ExitCode {
  if (code === exitCodes.ok) return exitCodes.ok
  return code === exitCodes.usage ? exitCodes.usage : exitCodes.invalid
}
