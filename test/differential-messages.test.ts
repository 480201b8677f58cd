/**
 * Sealed messages, answers of attestation and sets of evidence, as published and changed at random: both verifiers say
 * the same. The published ones are among them so that each kind of verdict is there whatever the seed.
 */
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { fromBase64url, toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { expect, test } from 'vitest'
import { findPython, judgeWithPython } from './differential/python-verifier.ts'
import { mutateBytes } from './tampering/mutate.ts'
import { chooseSeed, createRandom, type Random } from './tampering/random.ts'
import { judgeStoredAnswer, type StoredAnswerCase } from './vectors/attestation-answer.ts'
import { expandSetCases, judgeStoredSet, type CompactSetCase } from './vectors/evidence-set-case.ts'
import { openStored, type StoredSealedCase } from './vectors/sealed-case.ts'

const python = findPython()
const missing = 'python3 with its module cryptography is not installed'
const isFull = process.env['COUNTERSIGN_TAMPERING'] === 'full'
const rounds = isFull ? 2000 : 150
const sealed: readonly StoredSealedCase[] = JSON.parse(read('sealed'))
const answers: readonly StoredAnswerCase[] = JSON.parse(read('attestations'))
const compactSets: readonly CompactSetCase[] = JSON.parse(read('evidence-sets'))
const sets = expandSetCases(compactSets)

test('both say the same about sealed messages', async ({ skip }) => {
  if (python === undefined) return skip(missing)
  const random = createRandom(chooseSeed())
  const changed = Array.from({ length: rounds }, () => {
    const given = random.pick(sealed)
    return { ...given, body: mutate(given.body, random) }
  })
  const cases = [...sealed, ...changed]
  const ours = await Promise.all(cases.map((given) => openStored(given)))
  const codes = new Set(ours.map((end) => ('code' in end ? end.code : '')))
  console.log(`COUNTERSIGN_TEST_SEED=${random.seed}`, [...codes])
  expect(await judge(python, cases), `seed ${random.seed}`).toEqual(ours)
  expect(codes.size).toBeGreaterThan(4)
}, 900_000)

test('both say the same about answers of attestation', async ({ skip }) => {
  if (python === undefined) return skip(missing)
  const random = createRandom(chooseSeed())
  const changed = Array.from({ length: rounds }, () => {
    const given = random.pick(answers)
    return { ...given, answer: change(given.answer, random) }
  })
  const cases = [...answers, ...changed]
  const ours: unknown[] = []
  for (const given of cases) ours.push(await judgeStoredAnswer(given))
  const theirs = await judge(python, cases)
  const differ = cases.flatMap(({ name }, at) =>
    JSON.stringify(ours[at]) === JSON.stringify(theirs[at])
      ? []
      : [`${name}: ${JSON.stringify(ours[at])} ≠ ${JSON.stringify(theirs[at])}`],
  )
  console.log(`COUNTERSIGN_TEST_SEED=${random.seed}`)
  expect(differ.slice(0, 3), `seed ${random.seed}, ${differ.length} differ`).toEqual([])
  expect(new Set(ours.map((end) => JSON.stringify(end))).size).toBeGreaterThan(10)
}, 900_000)

test('both say the same about sets of evidence', async ({ skip }) => {
  if (python === undefined) return skip(missing)
  const random = createRandom(chooseSeed())
  const changed = Array.from({ length: rounds }, () => {
    const given = random.pick(sets)
    return { ...given, data: mutate(given.data, random) }
  })
  const cases = [...sets, ...changed]
  const ours: unknown[] = []
  for (const given of cases) ours.push(await judgeStoredSet(given))
  const theirs = await judge(python, cases)
  const differ = cases.flatMap(({ name }, at) =>
    isDeepStrictEqual(ours[at], theirs[at])
      ? []
      : [`${name}: ${JSON.stringify(ours[at])} ≠ ${JSON.stringify(theirs[at])}`],
  )
  console.log(`COUNTERSIGN_TEST_SEED=${random.seed}`)
  expect(differ.slice(0, 3), `seed ${random.seed}, ${differ.length} differ`).toEqual([])
  expect(new Set(ours.map((end) => JSON.stringify(end))).size).toBeGreaterThan(10)
}, 900_000)

function judge(program: string, cases: readonly object[]): Promise<readonly unknown[]> {
  const lines = cases.map((given) => JSON.stringify({ ...given, expect: undefined }))
  return judgeWithPython<unknown>(program, lines)
}

/** Either the text of the answer, or one of the byte strings in it. */
function change(answer: string, random: Random): string {
  if (random.below(3) === 0) return mutate(answer, random)
  const text = Buffer.from(answer, 'base64url').toString()
  const parts = [...text.matchAll(/"([A-Za-z0-9_-]{40,})"/g)].map(([, part = '']) => part)
  if (parts.length === 0) return mutate(answer, random)
  const part = random.pick(parts)
  return toBase64url(Buffer.from(text.replace(part, mutate(part, random))))
}

function mutate(text: string, random: Random): string {
  const bytes = fromBase64url(text) ?? new Uint8Array(0)
  if (random.below(3) === 0) return toBase64url(mutateBytes(bytes, random))
  const at = random.below(Math.max(bytes.length, 1))
  const turned = bytes.map((byte, index) => (index === at ? byte ^ (1 << random.below(8)) : byte))
  return toBase64url(turned)
}

function read(name: string): string {
  return readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8')
}
