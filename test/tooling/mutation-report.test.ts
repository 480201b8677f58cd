import { expect, test } from 'vitest'
import { toObject } from '../tools/json-value.ts'
import {
  countMutants,
  formatQuality,
  parseMutationReport,
  scoreOf,
} from '../tools/mutation-report.ts'

function mutant(status: string, line = 1): object {
  return { status, mutatorName: 'BlockStatement', replacement: '{}', location: { start: { line } } }
}

function parse(files: Readonly<Record<string, readonly object[]>>) {
  const entries = Object.entries(files).map(([path, mutants]) => [path, { mutants }])
  return parseMutationReport(toObject({ files: Object.fromEntries(entries) }, 'report'))
}

test('mutants without coverage count as not noticed, and each one is named', () => {
  const scores = parse({
    'b.ts': [mutant('Killed'), mutant('Timeout'), mutant('NoCoverage', 7)],
    'a.ts': [mutant('Survived', 9), mutant('Ignored')],
  })
  expect(scores.map(({ path }) => path)).toEqual(['a.ts', 'b.ts'])
  expect(countMutants(scores)).toBe(4)
  expect(scoreOf(scores)).toBe(50)
  const page = formatQuality(scores, 'today')
  expect(page).toContain('**50.0 %** (4 mutants)')
  expect(page).toContain('- a.ts:9 BlockStatement → `{}`')
  expect(page).toContain('- b.ts:7 BlockStatement → `{}`')
  expect(page).toContain('| b.ts | 2 | 1 | 66.7 % |')
})

test('a report without mutants, or with mutants that were not tried, is refused', () => {
  expect(() => parse({})).toThrow('no mutant')
  expect(() => parse({ 'a.ts': [] })).toThrow('no mutant')
  expect(() => parse({ 'a.ts': [mutant('Pending')] })).toThrow('Pending')
  expect(() => parse({ 'a.ts': [mutant('RuntimeError')] })).toThrow('no mutant')
})
