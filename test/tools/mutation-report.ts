/** Turns Stryker's report into the page that says how good the tests of `protocol` are. */
import { objectAt, textAt, toObject, type JsonObject } from './json-value.ts'

/** Mutants of one file by what became of them. */
export interface FileScore {
  readonly path: string
  readonly killed: number
  /** Lines and mutators of the mutants that no test noticed. */
  readonly survivors: readonly string[]
}

const killedStates: ReadonlySet<string> = new Set(['Killed', 'Timeout'])
/** Mutants that no program could be made of: Stryker leaves them out of its score, and so does this page. */
const invalidStates: ReadonlySet<string> = new Set(['Ignored', 'CompileError', 'RuntimeError'])
const survivedStates: ReadonlySet<string> = new Set(['Survived', 'NoCoverage'])

/** Reads a report of Stryker. @throws Error when it holds no mutant, or one that was not tried. */
export function parseMutationReport(report: JsonObject): readonly FileScore[] {
  const scores = [...objectAt(report, 'files')].map(([path, file]) => {
    const mutants: unknown = toObject(file, path).get('mutants')
    if (!Array.isArray(mutants)) throw new Error(`${path} has no mutants`)
    return scoreFile(path, mutants)
  })
  if (countMutants(scores) === 0) throw new Error('there was no mutant')
  return scores.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** Killed mutants in percent of all. */
export function scoreOf(scores: readonly FileScore[]): number {
  const killed = scores.reduce((sum, score) => sum + score.killed, 0)
  return (100 * killed) / countMutants(scores)
}

/** The number of mutants that were tried. */
export function countMutants(scores: readonly FileScore[]): number {
  return scores.reduce((sum, { killed, survivors }) => sum + killed + survivors.length, 0)
}

/** The page `docs/mutation.md`; `measured` says when and on which commit. */
export function formatQuality(scores: readonly FileScore[], measured: string): string {
  const rows = scores.map(
    ({ path, killed, survivors }) =>
      `| ${path} | ${String(killed)} | ${String(survivors.length)} | ${percent(scoreOf([{ path, killed, survivors }]))} |`,
  )
  const survivors = scores.flatMap((score) =>
    score.survivors.map((survivor) => `- ${score.path}:${survivor}`),
  )
  return `# Quality of \`protocol\`

Written by \`npm run mutate\`. Each mutant is one small fault planted in the sources; the tests of the package must notice it.

- Measured: ${measured}
- Mutation score: **${percent(scoreOf(scores))}** (${String(countMutants(scores))} mutants)

| File | noticed | not noticed | score |
|-|-|-|-|
${rows.join('\n')}

## Mutants that no test noticed

${survivors.length === 0 ? 'None.' : survivors.join('\n')}
`
}

function scoreFile(path: string, mutants: readonly unknown[]): FileScore {
  let killed = 0
  const survivors: string[] = []
  for (const item of mutants) {
    const mutant = toObject(item, 'a mutant')
    const status = textAt(mutant, 'status') ?? 'absent'
    if (killedStates.has(status)) {
      killed += 1
    } else if (survivedStates.has(status)) {
      const start = objectAt(objectAt(mutant, 'location'), 'start')
      const name = textAt(mutant, 'mutatorName') ?? 'unknown'
      const replacement = (textAt(mutant, 'replacement') ?? '').replaceAll(/\s+/g, ' ').slice(0, 60)
      survivors.push(
        `${String(start.get('line'))} ${name} → \`${replacement.replaceAll('`', "'")}\``,
      )
    } else if (!invalidStates.has(status)) {
      throw new Error(`${path}: a mutant is ${status}`)
    }
  }
  return { path, killed, survivors }
}

function percent(value: number): string {
  return Number.isNaN(value) ? 'none' : `${value.toFixed(1)} %`
}
