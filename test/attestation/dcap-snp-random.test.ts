import type { PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { beforeAll, expect, test } from 'vitest'
import { chooseSeed, createRandom, type Random } from '../tampering/random.ts'
import { rememberSignatures } from '../tampering/remember-signatures.ts'
import { sgxSample, snpSamples, tdxSample } from './samples.ts'

const rounds = 1500
const samples = [tdxSample(), sgxSample(), ...snpSamples().slice(0, 2)]

beforeAll(rememberSignatures)

test('evidence that was changed at random is refused, and never breaks the verifier', async () => {
  const random = createRandom(chooseSeed())
  const taken: string[] = []
  for (let round = 0; round < rounds; round++) {
    const { name, platform, evidence, asOfMs } = random.pick(samples)
    const [part, changed] = change(evidence, random)
    const roots = new Set(vendorRoots.get(platform))
    const { checks } = await appraisers[platform](changed, { asOfMs, roots })
    expect(checks.length).toBeGreaterThan(7)
    if (!checks.some(({ status }) => status === 'failed')) taken.push(`${name} ${part}`)
  }
  expect(taken, `COUNTERSIGN_TEST_SEED=${random.seed}`).toEqual([])
})

/** Some bytes of one part replaced, put in, taken out, or moved. */
function change(evidence: PlatformEvidence, random: Random): readonly [string, PlatformEvidence] {
  const { raw, collateral } = evidence
  const [name, bytes] = random.pick([['raw', raw] as const, ...collateral])
  // What stands at the end of quotes and PEM can mean nothing: zeros, a line end.
  const from = random.below(Math.max(1, bytes.length - 200))
  const length = 1 + random.below(random.pick([1, 4, 40]))
  const removed = bytes.subarray(from, from + length)
  const put = random.pick([
    random.bytes(length),
    random.bytes(length + 1),
    new Uint8Array(),
    removed.map((byte) => byte ^ 0x80),
    Uint8Array.from([...removed, ...removed]),
  ])
  const edited = Uint8Array.from([
    ...bytes.subarray(0, from),
    ...put,
    ...bytes.subarray(from + length),
  ])
  // A change to the same bytes is none: one bit more makes it one.
  const isSame = Buffer.compare(edited, bytes) === 0
  const changed = isSame ? edited.with(from, (edited[from] ?? 0) ^ 1) : edited
  return name === 'raw'
    ? [name, { raw: changed, collateral }]
    : [name, { raw, collateral: new Map(collateral).set(name, changed) }]
}
