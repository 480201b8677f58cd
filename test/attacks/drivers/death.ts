/** Has a gateway die at its crash points (`crash-points.ts`). */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../waiting.ts'

/** The points of one gateway. */
export type Death = {
  readonly environment: Readonly<Record<string, string>>
  /** From now on it dies at this point, counted from 1. */
  arm(point: number): void
  /** No more; the name of the point at which it died, if it did within the time. */
  disarm(withinMs: number): Promise<string | undefined>
  stop(): void
}

/** A gateway that lives. */
export function createDeath(): Death {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-death-'))
  const file = join(folder, 'point')
  return {
    environment: { COUNTERSIGN_ATTACK_CRASH: file },
    arm: (point) => {
      rmSync(`${file}.died`, { force: true })
      writeFileSync(file, `${point}`)
    },
    disarm: async (withinMs) => {
      await until(() => readName(`${file}.died`) !== undefined, withinMs)
      rmSync(file)
      return readName(`${file}.died`)
    },
    stop: () => {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function readName(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
