import { expect, test } from 'vitest'
import type { SoakCall } from './campaigns/soak-load.ts'
import { judgeSamples, judgeStatements, soak, type Sample } from './campaigns/soak.ts'
import { chooseSeed } from './tampering/random.ts'

const minutes = 0.15

test('a short soak answers every request and signs one statement for each', async ({ skip }) => {
  if (process.platform !== 'linux') return skip('memory and descriptors are read from /proc')
  const report = await soak(minutes, chooseSeed())
  console.log(JSON.stringify(report))
  expect(report.faults, `seed ${String(report.seed)}`).toEqual([])
  expect(report.failed).toEqual([])
  expect(report.left).toBeGreaterThanOrEqual(150)
  expect(report.answered).toBeGreaterThanOrEqual(180)
  expect(report.refused).toBeGreaterThan(0)
  // That of the keyset, too.
  expect(report.statements).toBe(report.left + report.answered + 1)
}, 90_000)

const left = (id: string): SoakCall => ({ kind: 'left', id, token: '' })
const kept = [
  { id: '', sequence: 0 },
  { id: 'a', sequence: 1 },
  { id: 'b', sequence: 2 },
]

test('a hole, a double, a lost and a foreign statement are each found', () => {
  const calls = [left('a'), left('b')]
  expect(judgeStatements(calls, kept, [])).toEqual([])
  const [keyset, first, second] = kept
  if (keyset === undefined || first === undefined || second === undefined) throw new Error('kept')
  const faults = [
    [calls, [keyset, first], '1 calls have no statement'],
    [calls, [keyset, first, { ...second, sequence: 3 }], 'the sequence has holes or doubles'],
    [calls, [keyset, first, { ...second, sequence: 1 }], 'the sequence has holes or doubles'],
    [calls, [...kept, { ...second, sequence: 3 }], 'a call has two statements'],
    [[left('a')], kept, '1 statements belong to no call'],
    [[...calls, left('a')], kept, 'two calls have one id'],
    [[], [], 'the sequence has holes or doubles'],
  ] as const
  for (const [made, statements, fault] of faults) {
    expect(judgeStatements(made, statements, [])).toContain(fault)
  }
})

function toSamples(
  residentMb: (minute: number) => number,
  descriptors: (at: number) => number,
): readonly Sample[] {
  return Array.from({ length: 600 }, (_, at) => ({
    minute: at / 60,
    residentMb: residentMb(at / 60),
    descriptors: descriptors(at),
  }))
}

test('memory that grows and descriptors that stay open are found', () => {
  const flat = toSamples(
    (minute) => 200 + Math.sin(minute),
    (at) => 60 + (at % 20),
  )
  expect(judgeSamples(flat, 10).faults).toEqual([])
  const growing = toSamples(
    (minute) => 200 + 2 * minute,
    (at) => 60 + Math.floor(at / 5),
  )
  expect(judgeSamples(growing, 10).residentMb.slopePerMinute).toBe(2)
  expect(judgeSamples(growing, 10).faults).toEqual([
    'memory grows by 2 MB a minute',
    'descriptors grew from 139 to 179',
  ])
  // A short run shows the garbage, not a leak.
  expect(judgeSamples(growing, 2).faults).toEqual(['descriptors grew from 139 to 179'])
  expect(judgeSamples([], 10).faults).toEqual(['too few samples'])
})
