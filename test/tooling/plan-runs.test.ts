import { expect, test } from 'vitest'
import { planRuns } from '../tools/plan-runs.ts'

const files = [
  '/r/packages/protocol/test/a.test.ts',
  '/r/packages/gateway/test/b.test.ts',
  '/r/test/a.test.ts',
]

test('a full run with coverage runs every file once, and counts while those of protocol run', () => {
  const plan = planRuns({ filters: [], coverage: true }, files)
  expect(plan).toEqual([
    { filters: [files[0]], coverage: true },
    { filters: [files[1], files[2]], coverage: false },
  ])
})

test('other runs stay what was asked for', () => {
  const some = { filters: ['b'], coverage: true }
  expect(planRuns(some, files)).toEqual([some])
  const all = { filters: [], coverage: false }
  expect(planRuns(all, files)).toEqual([all])
})

test('a part without files is refused: no filter would mean every test', () => {
  for (const part of [files.slice(0, 1), files.slice(1), []]) {
    expect(() => planRuns({ filters: [], coverage: true }, part)).toThrow('empty')
  }
})
