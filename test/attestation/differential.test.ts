import { readFileSync } from 'node:fs'
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { fromBase64url, toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { expect, test } from 'vitest'
import { findPython, judgeWithPython } from '../differential/python-verifier.ts'
import { mutateBytes } from '../tampering/mutate.ts'
import { chooseSeed, createRandom, type Random } from '../tampering/random.ts'
import { expandCases } from '../vectors/attestation/compact.ts'
import {
  appraiseStored,
  type StoredAppraisal,
  type StoredEvidenceCase,
} from '../vectors/attestation/evidence-case.ts'
import { gpuSample, nitroSamples, sgxSample, snpSamples, tdxSample } from './samples.ts'

type Given = Omit<StoredEvidenceCase, 'expect'>

const python = findPython()
const missing = 'python3 with its module cryptography is not installed'
const isFull = process.env['COUNTERSIGN_TAMPERING'] === 'full'
const rounds = isFull ? 20_000 : 600
const dayMs = 86_400_000
const bases = ['azure', 'dcap', 'nitro', 'nvidia', 'sev-snp', 'token'].flatMap(
  (name): readonly StoredEvidenceCase[] =>
    expandCases(
      JSON.parse(
        readFileSync(new URL(`../../vectors/attestation/${name}.json`, import.meta.url), 'utf8'),
      ),
    ),
)
const samples = [...nitroSamples(), gpuSample(), ...snpSamples(), sgxSample(), tdxSample()].map(
  ({ name, platform, evidence: { raw, collateral }, asOfMs }): Given => ({
    name,
    clause: '',
    platform,
    raw: toBase64url(raw),
    collateral: Object.fromEntries(
      Array.from(collateral, ([part, bytes]) => [part, toBase64url(bytes)] as const),
    ),
    asOf: asOfMs,
    roots: vendorRoots.get(platform) ?? [],
  }),
)
const synthetic = bases.flatMap(({ expect: { checks }, ...given }): readonly Given[] =>
  checks.every(([, status]) => status !== 'failed') ? [given] : [],
)
const good: readonly Given[] = [
  ...synthetic,
  // Chosen as often as all vectors together.
  ...Array.from({ length: synthetic.length }, (_, at) =>
    samples.slice(at % samples.length),
  ).flatMap(([sample]) => sample ?? []),
]

test('both verifiers say the same about every sample of real hardware', async ({ skip }) => {
  if (python === undefined) return skip(missing)
  const ours = await Promise.all(samples.map((given) => appraiseStored(given, appraisers)))
  const lines = samples.map((given) => JSON.stringify(given))
  expect(await judgeWithPython<StoredAppraisal>(python, lines)).toEqual(ours)
  const refused = ours.filter(({ checks }) => checks.some(([, status]) => status === 'failed'))
  // Two of the ten run in debug mode.
  expect(samples).toHaveLength(10)
  expect(refused).toHaveLength(2)
})

test(`both verifiers say the same about ${rounds} pieces of evidence that were changed at random`, async ({
  skip,
}) => {
  if (python === undefined) return skip(missing)
  const random = createRandom(chooseSeed())
  const cases = Array.from({ length: rounds }, () => makeCase(random))
  const ours: StoredAppraisal[] = []
  for (const given of cases) ours.push(await appraiseStored(given, appraisers))
  const lines = cases.map((given) => JSON.stringify(given))
  const theirs = await judgeWithPython<StoredAppraisal>(python, lines)
  const codes = new Set(ours.flatMap(({ checks }) => checks.map(([, , code]) => code)))
  console.log(`COUNTERSIGN_TEST_SEED=${random.seed}`, `${codes.size} codes and reasons`)
  expect(theirs).toHaveLength(rounds)
  const differences = ours.flatMap(({ checks }, at) => {
    const [here, there] = [checks, theirs[at]?.checks ?? []].map((list) => list.map(String))
    const only = here?.filter((check) => !there?.includes(check)) ?? []
    const other = there?.filter((check) => !here?.includes(check)) ?? []
    return only.length + other.length === 0
      ? []
      : [`${cases[at]?.name}: ${only.join(' ')} ≠ ${other.join(' ')}`]
  })
  expect(differences.slice(0, 5), `seed ${random.seed}, ${differences.length} differ`).toEqual([])
  expect(codes.size).toBeGreaterThan(15)
}, 900_000)

/** Evidence that is right but for one or two changes: of bytes, of the time, or of a piece that another case has. */
function makeCase(random: Random): Given {
  const once = change(random.pick(good), random)
  return random.below(4) === 0 ? change(once, random) : once
}

function change(given: Given, random: Random): Given {
  const pieces = Object.keys(given.collateral)
  switch (random.below(8)) {
    case 0:
      return { ...given, asOf: given.asOf + (random.below(4000) - 2000) * dayMs }
    case 1:
      return { ...given, roots: random.pick(good).roots }
    case 2:
    case 3:
    case 4:
      return { ...given, raw: mutate(given.raw, random) }
    default: {
      if (pieces.length === 0) return { ...given, raw: mutate(given.raw, random) }
      const name = random.pick(pieces)
      const others = good.flatMap(({ collateral }) => collateral[name] ?? [])
      const piece = given.collateral[name] ?? ''
      const put = random.below(4) === 0 ? random.pick(others) : mutate(piece, random)
      return { ...given, collateral: { ...given.collateral, [name]: put } }
    }
  }
}

/** One bit, or what `mutateBytes` does, which is coarser. */
function mutate(text: string, random: Random): string {
  const bytes = fromBase64url(text) ?? new Uint8Array(0)
  if (random.below(3) === 0) return toBase64url(mutateBytes(bytes, random))
  const at = random.below(Math.max(bytes.length, 1))
  const turned = bytes.map((byte, index) => (index === at ? byte ^ (1 << random.below(8)) : byte))
  return toBase64url(turned)
}
