/** Reads the coverage summary again, so that a threshold over no file at all cannot pass. */
import { existsSync, rmSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { numberAt, objectAt, readJsonObject } from './json-value.ts'
import { readSourceTree } from './source-tree.ts'

const summaryPath = 'coverage/coverage-summary.json'
const measures = ['lines', 'branches', 'functions', 'statements'] as const

/** Removes the summary of an earlier run, which must not be taken for this one's. */
export function forgetCoverage(root: string): void {
  rmSync(join(root, summaryPath), { force: true })
}

/** What is wrong with the coverage that the last run wrote under `root`: `protocol` must reach 100 %. */
export function judgeCoverage(root: string): readonly string[] {
  const path = join(root, summaryPath)
  if (!existsSync(path)) return ['there is no coverage summary']
  const summary = readJsonObject(path)
  const problems: string[] = []
  const seen = new Set<string>()
  let statements = 0
  for (const absolute of summary.keys()) {
    const file = relative(root, absolute).split(sep).join('/')
    if (!file.startsWith('packages/protocol/src/')) continue
    seen.add(file)
    const entry = objectAt(summary, absolute)
    statements += numberAt(objectAt(entry, 'statements'), 'total')
    const missing = measures.flatMap((measure) => {
      const counts = objectAt(entry, measure)
      const count = numberAt(counts, 'total') - numberAt(counts, 'covered')
      return count > 0 ? [`${String(count)} ${measure}`] : []
    })
    if (missing.length > 0) {
      problems.push(`${file}: not covered: ${missing.join(', ')} (coverage/lines.txt)`)
    }
  }
  const unseen = readSourceTree(root).files.filter(
    (file) => /^packages\/protocol\/src\/.+(?<!\.d)\.ts$/.test(file) && !seen.has(file),
  )
  for (const file of unseen) problems.push(`${file}: coverage did not look at it`)
  if (statements === 0) problems.push('coverage saw no statement of protocol')
  return problems
}
