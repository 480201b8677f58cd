import { encodeEvidenceSet } from '@countersign/protocol/attestation/evidence-set'
import {
  encodePlatformEvidence,
  parsePlatformEvidence,
} from '@countersign/protocol/attestation/platform-evidence'
import { createReportData } from '@countersign/protocol/attestation/report-data'
import type { EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { createEvidenceVerifier } from '@countersign/protocol/attestation/verify-evidence'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { parseBundle, type Bundle } from '@countersign/protocol/verify/bundle'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import type { Verdict } from '@countersign/protocol/verify/verdict'
import { verify } from '@countersign/protocol/verify/verify'
import { expect, test } from 'vitest'
import {
  forgeSnp,
  snpRoot,
  type SnpEdits,
} from '../../../../test/vectors/attestation/snp-evidence.ts'
import { forgeBundle } from '../../../../test/vectors/forge.ts'
import { policyFile } from '../../../../test/vectors/policy-file.ts'
import { jsonCall, signedAtMs } from '../../../../test/vectors/sample-call.ts'
import { seededBytes } from '../../../../test/vectors/signers.ts'
import { refusalOf } from '../arbitrary.ts'

const nonce = seededBytes('nonce of check-evidence.test')
const snpMeasurement = `${toHex(seededBytes('snp measurement'))}${'00'.repeat(16)}`
const keyset = keysetOf(parseBundle(forgeBundle(jsonCall)))

function policyOf(measurement = snpMeasurement, settings: readonly string[] = []): Uint8Array {
  const asked = {
    platform: 'amd-sev-snp',
    require: [],
    roots: { vendor: true, simulated: [snpRoot('Milan')] },
    measurements: [{ measurement }],
    settings,
    minVersions: { Milan: { microcode: 219 } },
  }
  const policy = {
    evidencePolicy: 1,
    name: 'test',
    platforms: [asked],
    maxAgeMs: 0,
    maxClockSkewMs: 0,
    machines: 'any',
    minVendors: 1,
  }
  return encodeUtf8(JSON.stringify(policy))
}

function keysetOf({
  keyset: bytes,
}: Bundle): ReturnType<typeof parseKeyset> & { digest: Uint8Array } {
  const { payload } = parseStatement(bytes)
  if (payload.type !== 'keyset') throw new Error('no keyset')
  return { ...parseKeyset(payload.document), digest: payload.keysetDigest }
}

/** A receipt whose keyset a made-up chip attests. */
function attested(edits: SnpEdits = {}, change: Partial<Bundle> = {}): Uint8Array {
  const reportData = createReportData(sha256(keysetDocument()), nonce)
  const bound: SnpEdits = {
    ...edits,
    report: (report) => {
      report.set(reportData, 0x50)
      edits.report?.(report)
    },
  }
  const data = encodePlatformEvidence(forgeSnp(bound))
  const evidence = [{ kind: 'amd-sev-snp', nonce, data }]
  return forgeBundle(jsonCall, { bundle: () => ({ evidence, ...change }) })
}

function keysetDocument(): Uint8Array {
  const { payload } = parseStatement(parseBundle(forgeBundle(jsonCall)).keyset)
  if (payload.type !== 'keyset') throw new Error('no keyset')
  return payload.document
}

async function judge(bundle: Uint8Array, policy = policyOf()): Promise<Verdict> {
  return await verify(bundle, productionPolicy, signedAtMs, {}, createEvidenceVerifier(policy))
}

/** How the four checks ended. */
function endsOf({ checks }: Verdict): readonly string[] {
  return checks.flatMap((check) => {
    if (!check.id.startsWith('evidence')) return []
    if (check.status === 'passed') return 'passed'
    return check.status === 'failed' ? check.code : check.reason
  })
}

test('a receipt under keys that a test chip attests is valid, and called simulated', async () => {
  const verdict = await judge(attested())
  expect(endsOf(verdict)).toEqual(['passed', 'passed', 'passed', 'passed'])
  expect(verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
  expect(verdict.evidence).toMatchObject({ verdict: 'valid', tier: 'simulated' })
  const accepted = verdict.checks.find(({ id }) => id === 'evidence-accepted')
  expect(accepted).toMatchObject({ detail: 'SIMULATED: amd-sev-snp under a root of tests' })
})

test('without a policy of evidence, hardware proves nothing', async () => {
  const verdict = await verify(attested(), defaultPolicy, signedAtMs)
  expect(endsOf(verdict)).toEqual(['unknown-kind', 'blocked', 'blocked', 'evidence-kind-refused'])
  expect(verdict).not.toHaveProperty('evidence')
})

test('evidence that is not genuine breaks the chain', async () => {
  const verdict = await judge(attested({ list: { revoked: [{ serial: 0, atMs: 0 }] } }))
  expect(endsOf(verdict)).toEqual(['evidence-chain-invalid', 'blocked', 'blocked', 'blocked'])
  expect(verdict).toMatchObject({
    verdict: 'invalid',
    level: 'L0',
    evidence: { verdict: 'invalid' },
  })
})

test('evidence about another keyset is not bound to this one', async () => {
  const other = attested({ report: (report) => report.fill(0, 0x50, 0x90) })
  expect(endsOf(await judge(other))).toEqual([
    'passed',
    'evidence-binding-mismatch',
    'passed',
    'evidence-kind-refused',
  ])
})

test('other code, and a setting that no policy allows, are refused', async () => {
  const code = await judge(attested(), policyOf('ff'.repeat(48)))
  expect(endsOf(code)).toEqual([
    'passed',
    'passed',
    'evidence-measurement-mismatch',
    'evidence-kind-refused',
  ])
  const vmpl: SnpEdits = { report: (report) => report.set([3], 0x30) }
  expect(endsOf(await judge(attested(vmpl)))).toEqual([
    'passed',
    'passed',
    'passed',
    'evidence-kind-refused',
  ])
  const allowed = await judge(attested(vmpl), policyOf(snpMeasurement, ['vmpl-3']))
  expect(allowed.verdict).toBe('valid')
})

test('evidence that misses a piece leaves the verdict open', async () => {
  const verdict = await judge(attested({ collateral: (parts) => void parts.delete('ask') }))
  // Nothing failed, but nothing leads to a root either: that is no pass.
  expect(endsOf(verdict)).toEqual(['blocked', 'blocked', 'blocked', 'blocked'])
  expect(verdict.verdict).toBe('incomplete')
})

test('bytes that are no evidence are malformed, and another kind is not known', async () => {
  const broken = forgeBundle(jsonCall, {
    bundle: () => ({ evidence: [{ kind: 'amd-sev-snp', nonce, data: Uint8Array.of(1) }] }),
  })
  expect(endsOf(await judge(broken))[0]).toBe('evidence-malformed')
  const unknown = forgeBundle(jsonCall, {
    bundle: () => ({ evidence: [{ kind: 'abacus', nonce, data: Uint8Array.of(1) }] }),
  })
  expect(endsOf(await judge(unknown))).toEqual(['unknown-kind', 'blocked', 'blocked', 'blocked'])
  const none = forgeBundle(jsonCall, { evidence: 'none' })
  expect(endsOf(await judge(none))).toEqual(['no-evidence', 'blocked', 'blocked', 'blocked'])
})

test('a keyset that cannot be read has no evidence, and an unreadable bundle none either', async () => {
  const verdict = await judge(attested({}, { keyset: Uint8Array.of(0xd2) }))
  expect(endsOf(verdict)).toEqual(['blocked', 'blocked', 'blocked', 'blocked'])
  expect(endsOf(await judge(new Uint8Array()))).toEqual([
    'blocked',
    'blocked',
    'blocked',
    'blocked',
  ])
})

test('simulated evidence of our own stays what it is beside a policy of evidence', async () => {
  const judged = createEvidenceVerifier(policyOf())
  const verdict = await verify(forgeBundle(jsonCall), defaultPolicy, signedAtMs, {}, judged)
  expect(verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
  const strict = await verify(forgeBundle(jsonCall), productionPolicy, signedAtMs, {}, judged)
  expect(endsOf(strict)[3]).toBe('evidence-kind-refused')
})

test('genuine evidence of which a policy asks for more is not accepted yet', async () => {
  const judged = fixed({ verdict: 'incomplete' })
  const verdict = await verify(attested(), productionPolicy, signedAtMs, {}, judged)
  expect(endsOf(verdict)).toEqual(['passed', 'passed', 'passed', 'blocked'])
  expect(verdict).toMatchObject({ verdict: 'incomplete', level: 'L0' })
})

test('whoever gives a policy of evidence asks for evidence, whatever the policy of receipts asks', async () => {
  const loose = policyFile({ require: ['charge'] })
  const judged = createEvidenceVerifier(policyOf())
  const unknown = forgeBundle(jsonCall, {
    bundle: () => ({ evidence: [{ kind: 'abacus', nonce, data: Uint8Array.of(1) }] }),
  })
  for (const bundle of [unknown, forgeBundle(jsonCall, { evidence: 'none' })]) {
    const verdict = await verify(bundle, loose, signedAtMs, {}, judged)
    expect(verdict).toMatchObject({ verdict: 'incomplete', level: 'L0' })
  }
  expect(await verify(attested(), loose, signedAtMs, {}, judged)).toMatchObject({
    verdict: 'valid',
  })
  const none = forgeBundle(jsonCall, { evidence: 'none' })
  expect(await verify(none, loose, signedAtMs)).toMatchObject({ verdict: 'valid', level: 'L0' })
})

test('the level is that of what stands behind the evidence', async () => {
  for (const [tier, level] of [
    ['production', 'L1'],
    ['service', 'L0'],
    ['simulated', 'L1-SIMULATED'],
  ] as const) {
    const verdict = await verify(attested(), productionPolicy, signedAtMs, {}, fixed({ tier }))
    expect(verdict, tier).toMatchObject({ verdict: 'valid', level })
  }
})

test('what a platform measured of the gateway is what the keyset says of itself', async () => {
  const { buildDigest, configDigest } = keyset
  const other = new Uint8Array(32)
  for (const [judged, end] of [
    [measured(buildDigest, configDigest), 'passed'],
    [measured(other, configDigest), 'evidence-measurement-mismatch'],
    [measured(buildDigest, other), 'evidence-measurement-mismatch'],
  ] as const) {
    const verdict = await verify(attested(), productionPolicy, signedAtMs, {}, judged)
    expect(endsOf(verdict)[2]).toBe(end)
  }
})

test('a set of evidence is judged as a whole, and by a reader who does not know it not at all', async () => {
  const [first] = parseBundle(attested()).evidence
  if (first === undefined) throw new Error('no evidence')
  const set = new Map([['amd-sev-snp' as const, parsePlatformEvidence(first.data)]])
  const data = encodeEvidenceSet(set)
  const bundle = attested({}, { evidence: [{ kind: 'several', nonce, data }] })
  const verdict = await judge(bundle)
  expect(endsOf(verdict)).toEqual(['passed', 'passed', 'passed', 'passed'])
  expect(verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
  expect(verdict.evidence?.pieces).toMatchObject([{ platform: 'amd-sev-snp', verdict: 'valid' }])
  const other = await judge(bundle, policyOf('ff'.repeat(48)))
  expect(endsOf(other).slice(2)).toEqual(['evidence-measurement-mismatch', 'evidence-kind-refused'])
  const broken = attested({}, { evidence: [{ kind: 'several', nonce, data: data.fill(0, 1, 2) }] })
  expect(endsOf(await judge(broken))[0]).toBe('evidence-malformed')
  const left = await verify(bundle, productionPolicy, signedAtMs, {}, older)
  expect(endsOf(left)).toEqual(['unknown-kind', 'blocked', 'blocked', 'blocked'])
  expect(left).toMatchObject({ verdict: 'incomplete', level: 'L0' })
})

test('every piece that measured the gateway must have measured the one of the keyset', async () => {
  const names = ['countersign/build', 'countersign/configuration'] as const
  const pieceOf = async (build: Uint8Array): Promise<EvidenceVerdict> => {
    const values = [toHex(build), toHex(keyset.configDigest)]
    const claimed = names.map((name, at) => [name, values[at] ?? ''] as const)
    const expected = { asOfMs: 0 }
    const verdict = await fixed({}, claimed)('tpm', new Uint8Array(), expected)
    if (verdict === undefined) throw new Error('no verdict')
    return verdict
  }
  const same = await pieceOf(keyset.buildDigest)
  const other = await pieceOf(new Uint8Array(32))
  for (const [pieces, end] of [
    [[same, same], 'passed'],
    [[same, other], 'evidence-measurement-mismatch'],
  ] as const) {
    const judged = fixed({ platform: 'several', pieces })
    const verdict = await verify(attested(), productionPolicy, signedAtMs, {}, judged)
    expect(endsOf(verdict)[2]).toBe(end)
  }
})

test('a policy of evidence that accepts nothing makes no verifier', () => {
  expect(refusalOf(() => createEvidenceVerifier(new Uint8Array()))).toBe('policy-malformed')
})

/** A verifier of evidence from before there were sets. */
const older: EvidenceVerifier = async () => undefined

/** A verdict about a platform that measured this of the gateway. */
function measured(build: Uint8Array, configuration: Uint8Array): EvidenceVerifier {
  return fixed({}, [
    ['countersign/build', toHex(build)],
    ['countersign/configuration', toHex(configuration)],
  ])
}

/** A verdict about evidence that was reached elsewhere. */
function fixed(
  edits: Partial<EvidenceVerdict>,
  measurements: readonly (readonly [string, string])[] = [],
): EvidenceVerifier {
  const verdict: EvidenceVerdict = {
    verdict: 'valid',
    policy: 'fixed',
    policyDigest: '00',
    platform: 'tpm',
    tier: 'production',
    checks: (
      ['format', 'root', 'chain', 'validity', 'signature', 'binding', 'measurement'] as const
    ).map((id) => ({ id, status: 'passed' })),
    claims: {
      root: '',
      binding: { form: 'whole', values: [] },
      measurements: new Map(measurements),
      tcb: { kind: 'none' },
      settings: [],
    },
    ...edits,
  }
  return () => Promise.resolve(verdict)
}

test('what hardware measured is a build that the policy lists: L2', async () => {
  const json: object = JSON.parse(new TextDecoder().decode(productionPolicy))
  const judged = async (build: string): Promise<Verdict> => {
    const policy = encodeUtf8(JSON.stringify({ ...json, builds: [build] }))
    return await verify(attested(), policy, signedAtMs, {}, fixed({ tier: 'production' }))
  }
  expect(await judged(toHex(keyset.buildDigest))).toMatchObject({ verdict: 'valid', level: 'L2' })
  expect(await judged('00'.repeat(32))).toMatchObject({ verdict: 'invalid', level: 'L1' })
})
