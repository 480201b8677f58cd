/** The independent verifier `vectors/verify.py` as a process. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import type { StoredVerdict } from '../vectors/bundle-case.ts'

const script = fileURLToPath(new URL('../../vectors/verify.py', import.meta.url))

/** A Python that has what the verifier needs; `undefined` when there is none. */
export function findPython(): string | undefined {
  return ['/usr/bin/python3', 'python3'].find((command) => {
    const { status } = spawnSync(command, ['-c', 'import cryptography'], { stdio: 'ignore' })
    return status === 0
  })
}

/** What it says about these cases, one JSON text each, in order. */
export async function judgeWithPython<Verdict = StoredVerdict>(
  python: string,
  lines: readonly string[],
): Promise<readonly Verdict[]> {
  const child = spawn(python, [script, '--stdin'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const written = pipeline(Readable.from(lines.map((line) => `${line}\n`)), child.stdin)
  const verdicts: Verdict[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const verdict: Verdict = JSON.parse(line)
    verdicts.push(verdict)
  }
  await written
  const [code] = await ended
  if (code !== 0) throw new Error(`verify.py ended with ${String(code)}`)
  return verdicts
}

/** Runs `verify.py` over the files of `vectors/`, as a person would. */
export function runOverVectors(python: string): {
  readonly status: number | null
  readonly output: string
} {
  const { status, stdout, stderr } = spawnSync(python, [script], { encoding: 'utf8' })
  return { status, output: stdout + stderr }
}
