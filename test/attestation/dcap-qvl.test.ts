/** Quotes judged here and by `@phala/dcap-qvl-web` 0.3.3, another verifier. docs/security/dcap.md has the differences. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { initSync, js_verify as verifyElsewhere } from '@phala/dcap-qvl-web'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { beforeAll, expect, test } from 'vitest'
import { chooseSeed, createRandom, type Random } from '../tampering/random.ts'
import { sgxSample, tdxSample, type Sample } from './samples.ts'

const rounds = process.env['COUNTERSIGN_TAMPERING'] === 'full' ? 20_000 : 300
const dayMs = 86_400_000
const samples = [tdxSample(), sgxSample()]
/** Names of collateral here and there; text there, or hex. */
const pieces = [
  ['tcb-info', 'tcb_info', 'utf8'],
  ['tcb-info-chain', 'tcb_info_issuer_chain', 'utf8'],
  ['tcb-info-signature', 'tcb_info_signature', 'hex'],
  ['qe-identity', 'qe_identity', 'utf8'],
  ['qe-identity-chain', 'qe_identity_issuer_chain', 'utf8'],
  ['qe-identity-signature', 'qe_identity_signature', 'hex'],
  ['root-crl', 'root_ca_crl', 'hex'],
  ['pck-crl', 'pck_crl', 'hex'],
] as const

/** Codes of refusals here of what is taken there (docs/security/dcap.md). */
const stricterHere: ReadonlySet<string> = new Set([
  'certificate-key',
  'certificate-malformed',
  'chain-root-untrusted',
  'collateral-not-yet-valid',
  'crl-not-yet-valid',
  'pem-malformed',
  'quote-malformed',
])

type Judgement = {
  readonly taken: boolean
  /** State of the firmware and advisories. */
  readonly says: string
  readonly refusals: readonly string[]
}
type Changed = { readonly sample: Sample; readonly what: string }

beforeAll(() => {
  const wasm = createRequire(import.meta.url).resolve('@phala/dcap-qvl-web/dcap-qvl-web_bg.wasm')
  initSync({ module: readFileSync(wasm) })
})

test.each(samples)('both say the same about the sample of $name', async (sample) => {
  const here = await judgeHere(sample)
  expect(here.taken).toBe(true)
  expect(judgeThere(sample)).toEqual(here)
})

test(`what is taken here is taken there, of ${rounds} changed ones; what is taken there alone is explained`, async () => {
  const random = createRandom(chooseSeed())
  const counts = { both: 0, neither: 0, explained: 0 }
  for (let round = 0; round < rounds; round++) {
    const { sample, what } = change(random)
    const here = await judgeHere(sample)
    const there = judgeThere(sample)
    const about = `seed ${random.seed}, round ${round}: ${what}: ${here.refusals.join()} | ${there.refusals.join()}`
    if (here.taken) expect(there, about).toEqual(here)
    else if (there.taken) expect(isExplained(what, here), about).toBe(true)
    if (here.taken) counts.both += 1
    else if (there.taken) counts.explained += 1
    else counts.neither += 1
  }
  console.log(`COUNTERSIGN_TEST_SEED=${random.seed}`, counts)
  // The campaign saw all three.
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(0)
}, 900_000)

/** That verifier does not look at the identity of the quoting enclave at all. */
function isExplained(what: string, { refusals }: Judgement): boolean {
  return what.startsWith('qe-identity') || refusals.every((code) => stricterHere.has(code))
}

async function judgeHere({ platform, evidence, asOfMs }: Sample): Promise<Judgement> {
  const roots = new Set(vendorRoots.get(platform))
  const { checks, claims } = await appraisers[platform](evidence, { asOfMs, roots })
  const refusals = checks.flatMap((check) => (check.status === 'failed' ? [check.code] : []))
  const tcb = claims?.tcb
  if (refusals.length > 0 || tcb?.kind !== 'status') return { taken: false, says: '', refusals }
  return { taken: true, says: describe(tcb.status, tcb.advisories), refusals }
}

function judgeThere({ evidence: { raw, collateral }, asOfMs }: Sample): Judgement {
  const given: Record<string, string> = { pck_crl_issuer_chain: '' }
  for (const [here, there, form] of pieces) {
    given[there] = Buffer.from(collateral.get(here) ?? []).toString(form)
  }
  try {
    const verdict: unknown = verifyElsewhere(raw, given, BigInt(Math.floor(asOfMs / 1000)))
    const { status, advisory_ids: advisories } = toVerdict(verdict)
    return { taken: true, says: describe(status, advisories), refusals: [] }
  } catch (error) {
    return { taken: false, says: '', refusals: [String(error)] }
  }
}

function toVerdict(value: unknown): { status: string; advisory_ids: readonly string[] } {
  const verdict: { status: string; advisory_ids: readonly string[] } = JSON.parse(
    JSON.stringify(value, (_, held: unknown) => (typeof held === 'bigint' ? String(held) : held)),
  )
  return verdict
}

function describe(status: string, advisories: readonly string[]): string {
  return [status, ...advisories.toSorted()].join(' ')
}

/** A sample with another time, or with one bit turned in the quote or in a piece of collateral. */
function change(random: Random): Changed {
  const sample = random.pick(samples)
  const { evidence } = sample
  const kind = random.below(10)
  if (kind < 2) {
    const days = random.below(60) - 30
    return { sample: { ...sample, asOfMs: sample.asOfMs + days * dayMs }, what: `${days} days` }
  }
  if (kind < 5) {
    const raw = turnBit(evidence.raw, random)
    return { sample: { ...sample, evidence: { ...evidence, raw } }, what: 'quote' }
  }
  const [name] = random.pick(pieces)
  const piece = turnBit(evidence.collateral.get(name) ?? new Uint8Array(0), random)
  const collateral = new Map([...evidence.collateral, [name, piece]])
  return { sample: { ...sample, evidence: { ...evidence, collateral } }, what: name }
}

/** Bit 7 stays: there, text is text. */
function turnBit(bytes: Uint8Array, random: Random): Uint8Array {
  const turned = bytes.slice()
  const at = random.below(turned.length)
  turned[at] = (turned[at] ?? 0) ^ (1 << random.below(7))
  return turned
}
