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

const short = { minutes: 0.15, refusals: 20, atLeast: 40 }

test.skipIf(process.platform !== 'linux').each([
  ['one process', 1],
  ['two workers', 2],
])(
  'a short soak of %s answers every request and signs one statement for each (Linux: /proc)',
  async (_, workers) => {
    const report = await soak({ ...short, workers, seed: chooseSeed() })
    console.log(JSON.stringify(report))
    expect(report.faults, `seed ${String(report.seed)}`).toEqual([])
    expect(report.failed).toEqual({})
    // A busy machine makes fewer of the 150 and 180.
    expect(report.left).toBeGreaterThanOrEqual(short.atLeast)
    expect(report.answered).toBeGreaterThanOrEqual(short.atLeast + short.refusals)
    expect(report.refused).toBeGreaterThanOrEqual(short.refusals)
    // Those of the keysets, too.
    expect(report.statements).toBe(report.left + report.answered + workers)
    expect(report.processes).toHaveLength(workers === 1 ? 1 : workers + 1)
    for (const { heldMb } of report.processes) expect(heldMb.middle).toBeGreaterThan(0)
  },
)

const left = (id: string): SoakCall => ({ kind: 'left', id, token: '' })
const kept = [
  { id: '', keyset: 'k', sequence: 0 },
  { id: 'a', keyset: 'k', sequence: 1 },
  { id: 'b', keyset: 'k', sequence: 2 },
]

test('a hole, a double, a lost and a foreign statement are each found', () => {
  const calls = [left('a'), left('b')]
  expect(judgeStatements(calls, kept, [], 1)).toEqual([])
  const [keyset, first, second] = kept
  if (keyset === undefined || first === undefined || second === undefined) throw new Error('kept')
  const faults = [
    [calls, [keyset, first], '1 calls have no statement'],
    [calls, [keyset, first, { ...second, sequence: 3 }], 'the sequence has holes or doubles'],
    [calls, [keyset, first, { ...second, sequence: 1 }], 'the sequence has holes or doubles'],
    [calls, [...kept, { ...second, sequence: 3 }], 'a call has two statements'],
    [[left('a')], kept, '1 statements belong to no call'],
    [[...calls, left('a')], kept, 'two calls have one id'],
    [[], [], '0 sequences of 1 workers'],
    [[], [keyset], 'a worker signed nothing'],
  ] as const
  for (const [made, statements, fault] of faults) {
    expect(judgeStatements(made, statements, [], 1)).toContain(fault)
  }
})

test('each worker has a sequence of its own', () => {
  const calls = ['a', 'b', 'c'].map(left)
  const other = [
    { id: '', keyset: 'l', sequence: 0 },
    { id: 'c', keyset: 'l', sequence: 1 },
  ]
  expect(judgeStatements(calls, [...kept, ...other], [], 2)).toEqual([])
  const mixed = [...kept, ...other].map((each) =>
    each.id === 'b' ? { ...each, keyset: 'l' } : each,
  )
  expect(judgeStatements(calls, mixed, [], 2)).toEqual([])
  const doubled = mixed.map((each) => (each.id === 'b' ? { ...each, sequence: 1 } : each))
  expect(judgeStatements(calls, doubled, [], 2)).toEqual(['the sequence has holes or doubles'])
  expect(judgeStatements(calls, [...kept, ...other], [], 3)).toEqual(['2 sequences of 3 workers'])
  const silent = [...kept, { id: '', keyset: 'l', sequence: 0 }]
  expect(judgeStatements(calls.slice(0, 2), silent, [], 2)).toEqual(['a worker signed nothing'])
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
  const connections = { callers: 64, upstreams: 96 }
  expect(judgeDescriptors({ idle: 30, most: 190, after: 130 }, connections)).toEqual([])
  expect(judgeDescriptors({ idle: 30, most: 300, after: 140 }, connections)).toEqual([
    '300 descriptors are open under load',
    '140 descriptors stay open after the load',
  ])
})
