import { spawnSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { judgeCoverage } from '../tools/coverage.ts'
import { requireNode } from '../tools/node-version.ts'
import {
  formatCounts,
  judgeTestReport,
  type TestEntry,
  type TestReport,
} from '../tools/test-report.ts'

const passing: TestEntry = { name: 'does what it says', state: 'passed', note: undefined }

function report(changes: Partial<TestReport>): TestReport {
  return {
    files: [{ path: 'test/a.test.ts', errors: 0, tests: [passing] }],
    unhandledErrors: 0,
    expectedFiles: ['test/a.test.ts'],
    minimumTests: 0,
    ...changes,
  }
}

function oneTest(entry: Partial<TestEntry>): TestReport {
  return report({
    files: [{ path: 'test/a.test.ts', errors: 0, tests: [passing, { ...passing, ...entry }] }],
  })
}

test('a run in which everything passed has no problem', () => {
  const outcome = judgeTestReport(report({}))
  expect(outcome.problems).toEqual([])
  expect(formatCounts(outcome)).toBe('1 passed, 0 failed, 0 skipped')
})

test('a skip with a reason is no problem and is named', () => {
  for (const entry of [
    { note: 'no chromium here' },
    { name: 'runs in a browser (skipped: no chromium here)' },
  ]) {
    const outcome = judgeTestReport(oneTest({ state: 'skipped', ...entry }))
    expect(outcome.problems).toEqual([])
    expect(outcome.skipped[0]?.reason).toBe('no chromium here')
    expect(formatCounts(outcome)).toBe('1 passed, 0 failed, 1 skipped')
  }
})

test('a failed test is named with the beginning of its error', () => {
  const error = '\u001B[31mexpected 1 to be 2\u001B[39m\n'.concat('line\n'.repeat(100))
  const [problem] = judgeTestReport(oneTest({ state: 'failed', error })).problems
  expect(problem?.split('\n').slice(0, 2)).toEqual([
    'failed: test/a.test.ts > does what it says',
    '  expected 1 to be 2',
  ])
  expect(problem?.split('\n')).toHaveLength(9)
})

const faults: readonly (readonly [string, TestReport, string])[] = [
  ['a skip without a reason', oneTest({ state: 'skipped' }), '0 failed, 1 skipped'],
  ['a failed test', oneTest({ state: 'failed' }), '1 failed'],
  ['a test that never ended', oneTest({ state: 'pending' }), '1 failed'],
  ['an error that no test caught', report({ unhandledErrors: 1 }), '1 failed'],
  [
    'a file that did not load',
    report({ files: [{ path: 'test/a.test.ts', errors: 1, tests: [] }] }),
    '1 failed',
  ],
  [
    'a file without a test',
    report({ files: [{ path: 'test/a.test.ts', errors: 0, tests: [] }] }),
    '0 failed',
  ],
  [
    'a file that ran twice',
    report({ files: [...oneTest({}).files, ...oneTest({}).files] }),
    '4 passed',
  ],
  ['a file that did not run', report({ expectedFiles: ['test/b.test.ts'] }), '1 passed'],
  ['fewer tests than there were', report({ minimumTests: 1 }), '1 passed'],
  ['no test at all', report({ files: [], expectedFiles: undefined }), '0 passed'],
]

test.for(faults)('a run with %s is no pass', ([, faulty, counts]) => {
  const outcome = judgeTestReport(faulty)
  expect(outcome.problems.length).toBeGreaterThan(0)
  expect(formatCounts(outcome)).toContain(counts)
})

function runTestsOf(filter: string): { readonly status: number | null; readonly last: string } {
  const program = join(import.meta.dirname, '../tools/run-tests.ts')
  const { status, stdout } = spawnSync(process.execPath, ['--conditions=source', program, filter], {
    encoding: 'utf8',
  })
  return { status, last: stdout.trimEnd().split('\n').at(-1) ?? '' }
}

test('npm test ends with the counts, and fails when it ran nothing', () => {
  expect(runTestsOf('no-such-file')).toEqual({ status: 1, last: '0 passed, 0 failed, 0 skipped' })
  const sound = runTestsOf('test/tooling/lock.test.ts')
  expect(sound.last).toMatch(/^[1-9]\d* passed, 0 failed, 0 skipped$/)
  expect(sound.status).toBe(0)
})

test('another Node is refused', () => {
  expect(requireNode()).toBe(process.version)
  expect(() => requireNode('v20.20.2')).toThrow('npm run')
  expect(() => requireNode('v240.0.0')).toThrow('npm run')
})

test('coverage that is missing, incomplete or blind is refused', () => {
  const root = mkdtempSync(join(tmpdir(), 'coverage-'))
  onTestFinished(() => {
    rmSync(root, { recursive: true })
  })
  const file = 'packages/protocol/src/a.ts'
  mkdirSync(join(root, 'packages/protocol/src'), { recursive: true })
  mkdirSync(join(root, 'coverage'))
  writeFileSync(join(root, '.gitignore'), 'coverage\n')
  writeFileSync(join(root, file), 'export const a = 1\n')
  expect(judgeCoverage(root)).toEqual(['there is no coverage summary'])

  const summarise = (path: string, total: number, covered: number): readonly string[] => {
    const counts = { total, covered }
    const entry = { lines: counts, branches: counts, functions: counts, statements: counts }
    const summary = JSON.stringify({ total: entry, [join(root, path)]: entry })
    writeFileSync(join(root, 'coverage/coverage-summary.json'), summary)
    return judgeCoverage(root)
  }
  expect(summarise(file, 10, 10)).toEqual([])
  expect(summarise(file, 10, 9)[0]).toContain('1 lines, 1 branches')
  expect(summarise(file, 0, 0)).toEqual(['coverage saw no statement of protocol'])
  expect(summarise('packages/gateway/src/b.ts', 10, 10)).toContain(
    `${file}: coverage did not look at it`,
  )
})
