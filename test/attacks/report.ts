/** What is printed about a run. */
import type { AttackResult } from './run-suite.ts'

/** How an outcome is called: parts that were not judged make it a pass in part. */
export function verdictOf({ outcome }: Pick<AttackResult, 'outcome'>): string {
  const isPart = outcome.kind === 'passed' && outcome.without.length > 0
  return isPart ? 'passed-in-part' : outcome.kind
}

/** One line. */
export function describeResult(result: AttackResult): string {
  const { id, title, outcome, milliseconds } = result
  const without = outcome.kind === 'passed' ? outcome.without : []
  const rest = without.length === 0 ? '' : ` | not judged: ${without.join('; ')}`
  const verdict = verdictOf(result).padEnd(14)
  return `${id.padEnd(4)}${verdict} ${title} (${milliseconds} ms): ${outcome.detail}${rest}`
}

/** How many of each. */
export function countVerdicts(results: readonly AttackResult[]): string {
  const counts = new Map<string, number>()
  for (const result of results) {
    const verdict = verdictOf(result)
    counts.set(verdict, (counts.get(verdict) ?? 0) + 1)
  }
  return [...counts].map(([verdict, count]) => `${count} ${verdict}`).join(', ')
}
