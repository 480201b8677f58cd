/** Judges what the test runner did: not only that nothing failed, but that something ran. */
import { stripVTControlCharacters } from 'node:util'

/** One test, as the runner left it. */
export interface TestEntry {
  readonly name: string
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending'
  /** Why it was skipped: the argument of `context.skip(…)`. */
  readonly note: string | undefined
  /** The first error of a failed test: what a log that was cut must still say. */
  readonly error?: string | undefined
}

/** One test file; `errors` counts what went wrong outside its tests (import, hooks). */
export interface TestFile {
  readonly path: string
  readonly errors: number
  readonly tests: readonly TestEntry[]
}

/** What one run did and what it should have done. */
export interface TestReport {
  readonly files: readonly TestFile[]
  /** Errors that no test caught: a rejected promise, a crashed worker. */
  readonly unhandledErrors: number
  /** Files that must have run; undefined for a run that was asked for some files only. */
  readonly expectedFiles: readonly string[] | undefined
  /** The run must have seen more tests than this. */
  readonly minimumTests: number
}

/** The judgement: `problems` is empty if and only if the run counts as passed. */
export interface TestOutcome {
  readonly passed: number
  readonly failed: number
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
  readonly problems: readonly string[]
}

/** Judges a run. A skip without a reason, an empty file and a file that did not run are problems. */
export function judgeTestReport(report: TestReport): TestOutcome {
  const entries = report.files.flatMap(({ path, tests }) =>
    tests.map((test) => ({ test, name: `${path} > ${test.name}` })),
  )
  const problems: string[] = []
  const skipped: { name: string; reason: string }[] = []
  const outside = report.files.reduce((sum, { errors }) => sum + errors, 0) + report.unhandledErrors
  for (const { test, name } of entries) {
    if (test.state === 'failed') problems.push(`failed: ${name}${describeError(test.error)}`)
    if (test.state === 'pending') problems.push(`never ended: ${name}`)
    if (test.state !== 'skipped') continue
    const reason = test.note ?? /\(skipped: ([^)]+)\)/.exec(test.name)?.[1]
    if (reason === undefined) problems.push(`skipped without a reason: ${name}`)
    skipped.push({ name, reason: reason ?? 'no reason given' })
  }
  if (outside > 0) problems.push(`${String(outside)} errors outside tests`)
  problems.push(...findUnrun(report))
  if (entries.length <= report.minimumTests) {
    const wanted = String(report.minimumTests)
    problems.push(`saw ${String(entries.length)} tests, must see more than ${wanted}`)
  }
  const passed = entries.filter(({ test }) => test.state === 'passed').length
  return { passed, failed: entries.length - passed - skipped.length + outside, skipped, problems }
}

/** The plain last line of every run. */
export function formatCounts({ passed, failed, skipped }: TestOutcome): string {
  return `${String(passed)} passed, ${String(failed)} failed, ${String(skipped.length)} skipped`
}

function findUnrun({ files, expectedFiles }: TestReport): readonly string[] {
  const ran = new Set(files.map(({ path }) => path))
  return [
    ...files.filter(({ tests }) => tests.length === 0).map(({ path }) => `holds no test: ${path}`),
    ...files
      .filter(({ path }, at) => files.findIndex((other) => other.path === path) !== at)
      .map(({ path }) => `ran twice: ${path}`),
    ...(expectedFiles ?? []).filter((path) => !ran.has(path)).map((path) => `did not run: ${path}`),
  ]
}

/** Enough of an error to know it again, without the values that it compares at length. */
function describeError(error: string | undefined): string {
  if (error === undefined) return ''
  const text = stripVTControlCharacters(error).trim()
  return `\n  ${text.slice(0, 600).split('\n').slice(0, 8).join('\n  ')}`
}
