/** What every saved result says of its run, and how results are shown and kept. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { canPin } from './gateway/pinned-process.ts'

/** Where, when and of what a run was. */
export type RunRecord = {
  /** ISO 8601. */
  readonly date: string
  readonly commit: string
  /** The packages had changes that are not in the commit. */
  readonly hasLocalChanges: boolean
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly isPinned: boolean
  /** Load average of the last minute before the run: above 0.5, neighbours are in the figures. */
  readonly loadBefore: number
  readonly isQuick: boolean
}

/** The record of a run that begins now. */
export function describeRun(isQuick: boolean): RunRecord {
  return {
    date: new Date().toISOString(),
    commit: git('rev-parse', 'HEAD'),
    hasLocalChanges: git('status', '--porcelain', '--', '../packages').length > 0,
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    isPinned: canPin(),
    loadBefore: loadavg()[0] ?? 0,
    isQuick,
  }
}

/** The record as the line below a table. */
export function formatRecord(run: RunRecord): string {
  return `${run.commit.slice(0, 8)}${run.hasLocalChanges ? ' with local changes' : ''}, Node ${run.node}, ${run.cpu}, ${run.isPinned ? 'pinned' : 'not pinned'}, load before ${run.loadBefore.toFixed(1)}`
}

/** Rows as text: the first column to the left, all others to the right. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  return lines.join('\n')
}

/** Writes bench/results/<benchmark>-<date>-<commit>.json and gives its name. */
export function saveReport(report: RunRecord & { readonly benchmark: string }): string {
  const name = `${report.benchmark}-${report.date.slice(0, 10)}-${report.commit.slice(0, 8)}.json`
  writeFileSync(new URL(`results/${name}`, import.meta.url), `${JSON.stringify(report, null, 2)}\n`)
  return `bench/results/${name}`
}

function git(...gitArguments: string[]): string {
  return execFileSync('git', gitArguments, { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
}
