/** Puts the clocks of processes ahead that were started with `skewed-clock.ts`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../waiting.ts'

/** One time for several processes. */
export type MovedClock = {
  /** Flags for Node, and the environment, of a process that takes part; the gateway has a program of its own. */
  readonly nodeFlags: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** So many seconds ahead of the system, from when it resolves on. */
  move(seconds: number, processes: readonly number[]): Promise<void>
  stop(): void
}

/** A program that is the gateway with such a clock. */
export const gatewayWithClock: string = fileURLToPath(
  new URL('./gateway-with-clock.ts', import.meta.url),
)

const skewClockFirst = fileURLToPath(new URL('./skew-clock-first.ts', import.meta.url))

/** A clock that goes right. */
export function createMovedClock(): MovedClock {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-clock-'))
  const file = join(folder, 'seconds')
  writeFileSync(file, '0')
  return {
    nodeFlags: ['--import', skewClockFirst],
    environment: { COUNTERSIGN_ATTACK_CLOCK: file },
    move: async (seconds, processes) => {
      writeFileSync(file, `${seconds}`)
      for (const pid of processes) {
        process.kill(pid, 'SIGUSR2')
        const isMoved = await until(() => readBack(`${file}.${pid}`) === `${seconds}`)
        if (!isMoved) throw new Error(`process ${pid} did not move its clock`)
      }
    },
    stop: () => {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function readBack(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
