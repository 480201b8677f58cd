import { readFileSync } from 'node:fs'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import { verify } from '@countersign/protocol/verify/verify'
import { expect, test } from 'vitest'
import { findPython, judgeWithPython, runOverVectors } from './differential/python-verifier.ts'
import { createCaseMaker, type RandomCase } from './differential/random-case.ts'
import { chooseSeed, createRandom } from './tampering/random.ts'
import {
  storeHeld,
  storeVerdict,
  type StoredCase,
  type StoredVerdict,
} from './vectors/bundle-case.ts'

const python = findPython()
const missing = 'python3 with its module cryptography is not installed'
const rounds = 10_000

test('verify.py passes every vector', ({ skip }) => {
  if (python === undefined) return skip(missing)
  const { status, output } = runOverVectors(python)
  expect(output).toMatch(/\b1583 passed, 0 failed\s*$/)
  expect(output).toContain('not judged: 128 cases of TPMs')
  expect(status).toBe(0)
})

test('both verifiers say the same about every vector given on standard input', async ({ skip }) => {
  if (python === undefined) return skip(missing)
  const text = readFileSync(new URL('../vectors/bundles.json', import.meta.url), 'utf8')
  const cases: readonly StoredCase[] = JSON.parse(text)
  const lines = cases.map((given) => JSON.stringify({ ...given, expect: undefined }))
  const verdicts = await judgeWithPython(python, lines)
  expect(verdicts).toHaveLength(cases.length)
  const wrong = cases.filter((given, at) => !isSame(given.expect, verdicts[at]))
  expect(wrong.map(({ name }) => name)).toEqual([])
})

test('both verifiers say the same about 10,000 bundles that were changed at random', async ({
  skip,
}) => {
  if (python === undefined) return skip(missing)
  const random = createRandom(chooseSeed())
  const makeCase = createCaseMaker(random)
  const lines: string[] = []
  const ours: StoredVerdict[] = []
  for (let round = 0; round < rounds; round++) {
    const given = makeCase()
    lines.push(JSON.stringify(toLine(given, `case ${round}`)))
    ours.push(
      storeVerdict(await verify(given.bundle, toBytes(given.policy), given.nowMs, given.held)),
    )
  }
  const theirs = await judgeWithPython(python, lines)
  const seen = new Map<string, number>()
  for (const { verdict } of ours) seen.set(verdict, (seen.get(verdict) ?? 0) + 1)
  const codes = new Set(ours.flatMap(({ checks }) => checks.map(([, , code]) => code)))
  console.log(
    `COUNTERSIGN_TEST_SEED=${random.seed}`,
    Object.fromEntries(seen),
    `${codes.size} codes`,
  )
  expect(theirs).toHaveLength(rounds)
  const differences = ours.flatMap((verdict, at) => describe(verdict, theirs[at], lines[at] ?? ''))
  expect(differences.slice(0, 5), `seed ${random.seed}, ${differences.length} differ`).toEqual([])
  expect(seen.get('valid')).toBeGreaterThan(0)
  expect(codes.size).toBeGreaterThan(40)
}, 900_000)

function toLine(given: RandomCase, name: string): Omit<StoredCase, 'expect'> {
  const { policy } = given
  return {
    name,
    clause: '',
    bundle: toBase64url(given.bundle),
    policy: typeof policy === 'string' ? policy : `b64:${toBase64url(policy)}`,
    now: given.nowMs,
    held: storeHeld(given.held),
  }
}

function toBytes(policy: RandomCase['policy']): Uint8Array {
  if (policy === 'default') return defaultPolicy
  return policy === 'production' ? productionPolicy : policy
}

function isSame(ours: StoredVerdict, theirs: StoredVerdict | undefined): boolean {
  return theirs !== undefined && summary(ours) === summary(theirs)
}

function summary({ verdict, level, checks }: StoredVerdict): string {
  return JSON.stringify([verdict, level, checks])
}

/** The checks on which the two differ, with the case. */
function describe(
  ours: StoredVerdict,
  theirs: StoredVerdict | undefined,
  line: string,
): readonly string[] {
  if (theirs === undefined || isSame(ours, theirs)) return theirs === undefined ? [line] : []
  const checks = ours.checks.flatMap((check, at) => {
    const other = theirs.checks[at]
    return JSON.stringify(check) === JSON.stringify(other)
      ? []
      : [`${check.join(' ')} ≠ ${other?.join(' ') ?? 'nothing'}`]
  })
  return [
    `${checks.join(', ')}; ${ours.verdict} ${ours.level} ≠ ${theirs.verdict} ${theirs.level}: ${line}`,
  ]
}
