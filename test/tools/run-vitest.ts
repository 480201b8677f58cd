/** Runs the tests in this process and hands over what happened, for `npm test` and `npm run check` alike. */
import { join, relative, sep } from 'node:path'
import { configDefaults } from 'vitest/config'
import { startVitest, type TestModule } from 'vitest/node'
import { forgetCoverage, judgeCoverage } from './coverage.ts'
import { planRuns, type TestRun, type TestRunOptions } from './plan-runs.ts'
import { readSourceTree, repositoryRoot } from './source-tree.ts'
import { judgeTestReport, type TestFile, type TestOutcome } from './test-report.ts'

/** A full run that sees no more tests than this has lost some. Raise it as the suite grows. */
const minimumTests = 5000

type RunResult = { readonly files: readonly TestFile[]; readonly unhandledErrors: number }

/**
 * Runs the tests with the repository's configuration and prints failures, skips with their reasons and problems.
 *
 * @returns the outcome; it never throws for a failed test. The caller sets the exit code.
 */
export async function runTests(options: TestRunOptions): Promise<TestOutcome> {
  const complete = options.filters.length === 0
  if (options.coverage) forgetCoverage(repositoryRoot)
  const runs: RunResult[] = []
  for (const run of planRuns(options, listTestFiles())) runs.push(await runOnce(run))
  const outcome = judgeTestReport({
    files: runs.flatMap(({ files }) => files),
    unhandledErrors: runs.reduce((sum, run) => sum + run.unhandledErrors, 0),
    expectedFiles: complete ? listTestFiles() : undefined,
    minimumTests: complete ? minimumTests : 0,
  })
  const problems = [...outcome.problems, ...(options.coverage ? judgeCoverage(repositoryRoot) : [])]
  if (problems.length === 0 && process.exitCode !== undefined && process.exitCode !== 0) {
    // What Vitest alone knows must not be lost.
    problems.push(`the runner set exit code ${String(process.exitCode)}`)
  }
  for (const { name, reason } of outcome.skipped) console.log(`SKIPPED ${name}: ${reason}`)
  for (const problem of problems) console.log(`PROBLEM ${problem}`)
  return { ...outcome, problems }
}

async function runOnce({ filters, coverage, exclude }: TestRun): Promise<RunResult> {
  const vitest = await startVitest([...filters], {
    config: join(repositoryRoot, 'test/config/vitest.config.ts'),
    run: true,
    watch: false,
    ...(exclude.length === 0 ? {} : { exclude: [...configDefaults.exclude, ...exclude] }),
    // What is covered are pure functions: a worker of its own for each file would be most of the time.
    ...(coverage ? { coverage: { enabled: true }, isolate: false } : {}),
  })
  const files = vitest.state.getTestModules().map(toTestFile)
  const unhandledErrors = vitest.state.getUnhandledErrors().length
  await vitest.close()
  return { files, unhandledErrors }
}

/** Every file that the configuration's `include` must find. */
function listTestFiles(): readonly string[] {
  return readSourceTree(repositoryRoot).files.filter((path) =>
    /^(packages\/[^/]+\/)?test\/(.+\/)?[^/]+\.test\.ts$/.test(path),
  )
}

function toTestFile(module: TestModule): TestFile {
  const tests = [...module.children.allTests()].map((test) => {
    const result = test.result()
    const note = result.state === 'skipped' ? result.note : undefined
    const error = result.state === 'failed' ? result.errors[0]?.message : undefined
    return { name: test.fullName, state: result.state, note, error }
  })
  const suites = [...module.children.allSuites()]
  const errors = suites.reduce((sum, suite) => sum + suite.errors().length, module.errors().length)
  return {
    path: relative(repositoryRoot, module.moduleId).split(sep).join('/'),
    errors,
    tests,
  }
}
