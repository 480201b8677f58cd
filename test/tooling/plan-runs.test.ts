import { expect, test } from 'vitest'
import { planRuns } from '../tools/plan-runs.ts'

const files = [
  'packages/protocol/test/a.test.ts',
  'packages/gateway/test/b.test.ts',
  'test/a.test.ts',
]

test('a full run with coverage counts while the tests of protocol run, and leaves them out of the rest', () => {
  expect(planRuns({ filters: [], coverage: true }, files)).toEqual([
    { filters: ['packages/protocol/test/'], coverage: true, exclude: [] },
    { filters: [], coverage: false, exclude: ['packages/protocol/test/**'] },
  ])
})

test('other runs stay what was asked for', () => {
  const some = { filters: ['b'], coverage: true }
  expect(planRuns(some, files)).toEqual([{ ...some, exclude: [] }])
  const all = { filters: [], coverage: false }
  expect(planRuns(all, files)).toEqual([{ ...all, exclude: [] }])
})

test('a part without files is refused', () => {
  for (const part of [files.slice(0, 1), files.slice(1), []]) {
    expect(() => planRuns({ filters: [], coverage: true }, part)).toThrow('empty')
  }
})
