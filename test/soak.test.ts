import { expect, test } from 'vitest'
import type { SoakCall } from './campaigns/soak-load.ts'
import {
  judgeDescriptors,
  judgeMemory,
  judgeStatements,
  type Held,
  type Sample,
} from './campaigns/judge-soak.ts'
import { soak } from './campaigns/soak.ts'
import { chooseSeed } from './tampering/random.ts'

const short = { minutes: 0.15, refusals: 20 }

test('a short soak answers every request and signs one statement for each', async ({ skip }) => {
  if (process.platform !== 'linux') return skip('memory and descriptors are read from /proc')
  const report = await soak({ ...short, seed: chooseSeed() })
  console.log(JSON.stringify(report))
  expect(report.faults, `seed ${String(report.seed)}`).toEqual([])
  expect(report.failed).toEqual({})
  // A busy machine makes fewer of the 150 and 180.
  expect(report.left).toBeGreaterThan(20)
  expect(report.answered).toBeGreaterThan(20 + short.refusals)
  expect(report.refused).toBeGreaterThanOrEqual(short.refusals)
  // That of the keyset, too.
  expect(report.statements).toBe(report.left + report.answered + 1)
  expect(report.heldMb.middle).toBeGreaterThan(0)
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

function toSamples(residentMb: (minute: number) => number, minutes = 30): readonly Sample[] {
  return Array.from({ length: minutes * 60 }, (_, at) => ({
    minute: at / 60,
    residentMb: residentMb(at / 60),
    descriptors: 60,
  }))
}

function toHeld(heapMb: (minute: number) => number, minutes = 30): readonly Held[] {
  return Array.from({ length: 90 }, (_, at) => {
    const minute = (at / 90) * minutes
    return { minute, heapMb: heapMb(minute), externalMb: 20, longestStallMs: 40 }
  })
}

const flatHeld = toHeld((minute) => 40 + 0.4 * Math.sin(minute * 100))

test('resident memory that grows is found, whatever the garbage does', () => {
  // Garbage comes and goes by a quarter of what is held.
  const flat = toSamples((minute) => 200 + 50 * (minute % 2))
  expect(judgeMemory(flat, flatHeld, 30)).toMatchObject({ slopeMbPerMinute: 0, faults: [] })
  const growing = toSamples((minute) => 200 + 2 * minute + 50 * (minute % 2))
  const { slopeMbPerMinute, faults } = judgeMemory(growing, flatHeld, 30)
  expect(slopeMbPerMinute).toBeCloseTo(2)
  expect(faults).toEqual([expect.stringMatching(/^memory grows by [\d.]+ MB a minute$/)])
  const doubling = (minutes: number): readonly Sample[] =>
    toSamples((minute) => 100 + 20 * minute, minutes)
  expect(
    judgeMemory(
      doubling(6),
      toHeld(() => 40, 6),
      6,
    ).faults,
  ).toEqual([expect.stringMatching(/^memory grew from 140 to 180/)])
  // A short run shows the garbage, not a leak.
  expect(
    judgeMemory(
      doubling(2),
      toHeld(() => 40, 2),
      2,
    ).faults,
  ).toEqual([])
  expect(
    judgeMemory(
      [],
      toHeld(() => 40, 6),
      6,
    ).faults,
  ).toContain('too few samples')
  expect(judgeMemory(doubling(6), [], 6).faults).toContain('too few samples')
})

test('what is held after collections and grows is found, in a short run too', () => {
  const resident = toSamples(() => 300)
  // A tenth of a kilobyte for each of 2,200 calls a minute.
  const leaking = toHeld((minute) => 40 + 0.22 * minute)
  expect(judgeMemory(resident, leaking, 30).faults).toEqual([
    expect.stringMatching(/^what is held grew from 6\d(\.\d+)? to 6\d(\.\d+)? MB$/),
  ])
  const brief = toSamples(() => 300, 2)
  expect(
    judgeMemory(
      brief,
      toHeld((minute) => 40 + 4 * minute, 2),
      2,
    ).faults,
  ).toHaveLength(1)
  expect(
    judgeMemory(
      brief,
      toHeld((minute) => 40 + minute, 2),
      2,
    ).faults,
  ).toEqual([])
  // The first third may grow.
  const warming = toHeld((minute) => Math.min(60, 30 + 4 * minute))
  expect(judgeMemory(resident, warming, 30).faults).toEqual([])
})

test('descriptors that no connection explains are found', () => {
  expect(judgeDescriptors({ idle: 30, most: 190, after: 130 }, 3)).toEqual([])
  expect(judgeDescriptors({ idle: 30, most: 300, after: 140 }, 3)).toEqual([
    '300 descriptors are open under load',
    '140 descriptors stay open after the load',
  ])
})
