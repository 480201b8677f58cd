import {
  createEvidenceRun,
  type EvidenceAppraisal,
  type EvidenceCheck,
  type EvidenceClaims,
  type Tcb,
} from '@countersign/protocol/attestation/appraisal'
import {
  parseEvidencePolicy,
  type EvidencePolicy,
  type EvidenceTier,
} from '@countersign/protocol/attestation/evidence-policy'
import {
  judgeEvidence,
  type EvidenceExpectation,
  type EvidenceVerdict,
} from '@countersign/protocol/attestation/judge-evidence'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { expect, test } from 'vitest'

type Json = { readonly [name: string]: unknown }

const root = 'ab'.repeat(32)
const reportData = new Uint8Array(64).fill(5)
const nowMs = 1_000_000
const ids = [
  'format',
  'root',
  'chain',
  'validity',
  'revocation',
  'signature',
  'debug',
  'configuration',
] as const
const passed = ids.map((id): EvidenceCheck => ({ id, status: 'passed' }))
const tdx = { mrtd: '01', rtmr0: '02', rtmr1: '03', rtmr2: '04', rtmr3: '05' }
const upToDate = {
  kind: 'status',
  status: 'UpToDate',
  advisories: [],
  evaluationNumber: 17,
} as const
const claims: EvidenceClaims = {
  root,
  binding: { form: 'whole', values: [reportData] },
  measurements: new Map([...Object.entries(tdx), ['mrowner', '06']]),
  tcb: upToDate,
  machine: 'aa',
  settings: [],
}
const expected = { asOfMs: nowMs, reportData, knownSinceMs: nowMs, keysConfirmed: true }

function policyOf(edits: Json = {}, whole: Json = {}): EvidencePolicy {
  const asked = {
    platform: 'intel-tdx',
    require: [],
    roots: { vendor: false, simulated: [root] },
    measurements: [tdx],
    ...edits,
  }
  const policy = {
    evidencePolicy: 1,
    name: 'test',
    platforms: [asked],
    maxAgeMs: 1000,
    maxClockSkewMs: 100,
    machines: ['aa'],
    minVendors: 1,
    ...whole,
  }
  return parseEvidencePolicy(new TextEncoder().encode(JSON.stringify(policy)))
}

async function judge(
  edits: Partial<EvidenceClaims> = {},
  policy = policyOf(),
  given: EvidenceExpectation = expected,
  checks = passed,
): Promise<EvidenceVerdict> {
  const appraisal: EvidenceAppraisal = {
    platform: 'intel-tdx',
    checks,
    claims: { ...claims, ...edits },
  }
  return await judgeEvidence(appraisal, policy, given)
}

/** What did not pass: check, and code or reason. */
function notPassed({ checks }: EvidenceVerdict): readonly string[] {
  return checks.flatMap((check) => {
    if (check.status === 'passed') return []
    return [`${check.id} ${check.status === 'failed' ? check.code : check.reason}`]
  })
}

test('evidence that is all that the policy asks for is valid, every check in its place', async () => {
  const verdict = await judge()
  expect(verdict).toMatchObject({ verdict: 'valid', tier: 'simulated', policy: 'test' })
  expect(verdict.checks.map(({ id }) => id)).toEqual([
    ...ids,
    'platform',
    'tcb',
    'binding',
    'freshness',
    'key-confirmation',
    'measurement',
    'machine',
  ])
})

test.each<[string, Partial<EvidenceClaims>, string]>([
  ['another root', { root: 'cd'.repeat(32) }, 'platform root-not-allowed'],
  ['a setting that is not listed', { settings: ['perfmon'] }, 'platform setting-not-allowed'],
  [
    'other code',
    { measurements: new Map(Object.entries({ ...tdx, rtmr3: 'ff' })) },
    'measurement measurement-not-allowed',
  ],
  ['nothing measured', { measurements: new Map() }, 'measurement measurement-not-allowed'],
  ['another machine', { machine: 'bb' }, 'machine machine-not-allowed'],
])('%s is not allowed', async (_, edits, failure) => {
  const verdict = await judge(edits)
  expect(notPassed(verdict)).toEqual([failure])
  expect(verdict.verdict).toBe('not-allowed')
})

test('a setting that is listed is allowed, and so is any of several builds', async () => {
  const policy = policyOf({ settings: ['perfmon'], measurements: [{ ...tdx, mrtd: 'ff' }, tdx] })
  expect((await judge({ settings: ['perfmon'] }, policy)).verdict).toBe('valid')
})

test('a platform that the policy does not name is not allowed, and has no tier', async () => {
  const verdict = await judgeEvidence(
    { platform: 'intel-sgx', checks: passed, claims },
    policyOf(),
    expected,
  )
  expect(notPassed(verdict)).toEqual([
    'platform platform-not-allowed',
    'tcb blocked',
    'measurement blocked',
  ])
  expect(verdict).toMatchObject({ verdict: 'not-allowed', tier: undefined })
})

test('evidence that could not be read is judged by nothing', async () => {
  const checks: readonly EvidenceCheck[] = [
    { id: 'format', status: 'failed', code: 'quote-malformed', about: '' },
  ]
  const verdict = await judgeEvidence({ platform: 'intel-tdx', checks }, policyOf(), expected)
  expect(verdict.verdict).toBe('invalid')
  expect(verdict).not.toHaveProperty('claims')
  expect(notPassed(verdict)).toEqual([
    'format quote-malformed',
    'platform blocked',
    'tcb blocked',
    'binding blocked',
    'freshness blocked',
    'measurement blocked',
    'machine blocked',
  ])
})

const statuses = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const
const acceptable = statuses.slice(1, 4)

test.each(statuses)('the state %s is taken where a policy may and does take it', async (status) => {
  const tcb: Tcb = { ...upToDate, status, advisories: ['INTEL-SA-1'] }
  const isAcceptable = acceptable.some((known) => known === status)
  const strict = await judge({ tcb })
  const generous = await judge(
    { tcb },
    policyOf({ statuses: acceptable, advisories: ['INTEL-SA-1'] }),
  )
  const unlisted = await judge(
    { tcb },
    policyOf({ statuses: acceptable, advisories: ['INTEL-SA-2'] }),
  )
  const failure = status === 'Revoked' ? 'tcb tcb-revoked' : 'tcb tcb-status-not-allowed'
  expect(notPassed(strict)).toEqual(status === 'UpToDate' ? [] : [failure])
  expect(notPassed(generous)).toEqual(status === 'UpToDate' || isAcceptable ? [] : [failure])
  if (isAcceptable) expect(notPassed(unlisted)).toEqual(['tcb tcb-advisory-not-allowed'])
  expect(strict.verdict).toBe(
    status === 'UpToDate' ? 'valid' : status === 'Revoked' ? 'invalid' : 'not-allowed',
  )
})

test('an old statement about firmware is not allowed, even where it says up to date', async () => {
  const policy = policyOf({ minEvaluationNumber: 18 })
  expect(notPassed(await judge({}, policy))).toEqual(['tcb tcb-evaluation-not-allowed'])
  const newer: Tcb = { ...upToDate, evaluationNumber: 18 }
  expect((await judge({ tcb: newer }, policy)).verdict).toBe('valid')
})

function versions(microcode: number, product = 'Milan'): Tcb {
  return { kind: 'versions', product, versions: new Map([['microcode', microcode]]) }
}

test('versions of firmware reach the least of their product, or are not allowed', async () => {
  const policy = policyOf({ minVersions: { Milan: { microcode: 219 } } })
  expect(notPassed(await judge({ tcb: versions(219) }, policy))).toEqual([])
  const low = 'tcb tcb-version-not-allowed'
  expect(notPassed(await judge({ tcb: versions(218) }, policy))).toEqual([low])
  expect(notPassed(await judge({ tcb: versions(255, 'Genoa') }, policy))).toEqual([low])
  expect(notPassed(await judge({ tcb: versions(255) }))).toEqual([low])
  const unknown = policyOf({ minVersions: { Milan: { fmc: 0 } } })
  expect(notPassed(await judge({ tcb: versions(255) }, unknown))).toEqual([low])
})

test('a platform that can always show its firmware must show it', async () => {
  for (const [kind, reason] of [
    ['none', 'platform-has-none'],
    ['unknown', 'blocked'],
  ] as const) {
    const verdict = await judge({ tcb: { kind } })
    expect(notPassed(verdict)).toEqual([`tcb ${reason}`])
    expect(verdict.verdict).toBe('incomplete')
  }
})

test('a platform that says nothing of its firmware is not asked for it', async () => {
  const policy = policyOf({ platform: 'aws-nitro', measurements: [{ pcr0: '01' }] })
  const measured = {
    ...claims,
    tcb: { kind: 'none' },
    measurements: new Map([['pcr0', '01']]),
  } as const
  const appraisal = { platform: 'aws-nitro', checks: passed, claims: measured } as const
  const verdict = await judgeEvidence(appraisal, policy, expected)
  expect(notPassed(verdict)).toEqual(['tcb platform-has-none'])
  expect(verdict.verdict).toBe('valid')
  // A debug mode that a platform cannot have is none to look for; a chain that was not judged is not.
  for (const [id, reason, end] of [
    ['debug', 'platform-has-none', 'valid'],
    ['chain', 'collateral-missing', 'incomplete'],
  ] as const) {
    const checks = passed.map((check): EvidenceCheck =>
      check.id === id ? { id, status: 'not-checked', reason, about: '' } : check,
    )
    expect((await judgeEvidence({ ...appraisal, checks }, policy, expected)).verdict).toBe(end)
  }
})

test('what the verifier of the platform says of firmware stands', async () => {
  const failed: EvidenceCheck = {
    id: 'tcb',
    status: 'failed',
    code: 'tcb-level-missing',
    about: '',
  }
  const verdict = await judge({ tcb: { kind: 'unknown' } }, policyOf(), expected, [
    ...passed,
    failed,
  ])
  expect(notPassed(verdict)).toEqual(['tcb tcb-level-missing'])
  expect(verdict.verdict).toBe('invalid')
})

test('a list of revoked certificates that is missing leaves the verdict open', async () => {
  const checks = passed.map((check): EvidenceCheck =>
    check.id === 'revocation'
      ? { id: 'revocation', status: 'not-checked', reason: 'collateral-missing', about: 'crl' }
      : check,
  )
  expect((await judge({}, policyOf(), expected, checks)).verdict).toBe('incomplete')
})

test('the binding is to the report data, in the form that the platform carries', async () => {
  const gpu = sha256(
    new Uint8Array([...new TextEncoder().encode('countersign/gpu/v1'), ...reportData]),
  )
  const forms = [
    ['whole', reportData],
    ['sha256', sha256(reportData)],
    ['gpu', gpu],
  ] as const
  for (const [form, value] of forms) {
    const values = [new Uint8Array(32), value]
    expect((await judge({ binding: { form, values } })).verdict).toBe('valid')
    for (const other of [value.subarray(1), value.with(0, 0), new Uint8Array()]) {
      const verdict = await judge({ binding: { form, values: [other] } })
      expect(notPassed(verdict)).toEqual(['binding binding-mismatch'])
      expect(verdict.verdict).toBe('invalid')
    }
  }
  expect(notPassed(await judge({ binding: { form: 'whole', values: [] } }))).toEqual([
    'binding binding-mismatch',
  ])
})

test('what nobody says what to expect of stays open', async () => {
  const verdict = await judge({}, policyOf({}, { machines: 'any' }), { asOfMs: nowMs })
  expect(verdict.verdict).toBe('incomplete')
  expect(notPassed(verdict)).toEqual([
    'binding not-given',
    'freshness not-given',
    'key-confirmation not-given',
    'machine any-allowed',
  ])
})

test('what a policy requires must pass', async () => {
  const given = { asOfMs: nowMs, reportData }
  const open = { machines: 'any', maxAgeMs: null }
  expect((await judge({}, policyOf({}, open), given)).verdict).toBe('valid')
  for (const id of ['freshness', 'key-confirmation', 'machine']) {
    const policy = policyOf({ require: [id] }, open)
    expect((await judge({}, policy, given)).verdict, id).toBe('incomplete')
  }
})

test('what rests on several pins is worth what the weakest of them is', async () => {
  const other = 'bb'.repeat(32)
  const roots = new Map<string, EvidenceTier>([
    [root, 'service'],
    [other, 'simulated'],
  ])
  const tiers = async (policy: EvidencePolicy): Promise<readonly unknown[]> => [
    (await judge({}, policy)).tier,
    (await judge({ otherPins: [other] }, policy)).tier,
    (await judge({ root: other, otherPins: [root] }, policy)).tier,
    (await judge({ otherPins: ['cc'.repeat(32)] }, policy)).tier,
  ]
  const policy = policyOf()
  const platforms = new Map(
    Array.from(policy.platforms, ([name, asked]) => [name, { ...asked, roots }] as const),
  )
  expect(await tiers({ ...policy, platforms })).toEqual([
    'service',
    'simulated',
    'simulated',
    undefined,
  ])
})

test('a machine that has no name is none of those that a policy lists', async () => {
  const { machine: _, ...nameless } = claims
  const appraisal = { platform: 'intel-tdx', checks: passed, claims: nameless } as const
  const open = await judgeEvidence(appraisal, policyOf(), expected)
  expect(notPassed(open)).toEqual(['machine machine-not-allowed'])
  expect(open.verdict).toBe('not-allowed')
  const any = await judgeEvidence(appraisal, policyOf({}, { machines: 'any' }), expected)
  expect(notPassed(any)).toEqual(['machine any-allowed'])
  expect(any.verdict).toBe('valid')
})

test('keys that nobody was shown to hold are refused', async () => {
  const verdict = await judge({}, policyOf(), { ...expected, keysConfirmed: false })
  expect(notPassed(verdict)).toEqual(['key-confirmation key-not-confirmed'])
  expect(verdict.verdict).toBe('invalid')
})

test.each([
  [nowMs + 100, []],
  [nowMs + 101, ['freshness evidence-in-future']],
  [nowMs - 1000, []],
  [nowMs - 1001, ['freshness evidence-age-not-allowed']],
  [Number.NaN, ['freshness evidence-in-future']],
])("evidence of the time %d is judged by it, and not by the caller's", async (timeMs, failures) => {
  expect(notPassed(await judge({ timeMs }))).toEqual(failures)
  const given = { ...expected, knownSinceMs: timeMs }
  expect(notPassed(await judge({}, policyOf(), given))).toEqual(failures)
})

test('a policy can take evidence of any age', async () => {
  expect((await judge({ timeMs: 0 }, policyOf({}, { maxAgeMs: null }))).verdict).toBe('valid')
})

test('an error of ours inside a check is not taken for bad evidence', async () => {
  const run = createEvidenceRun()
  const bug = new TypeError('a bug')
  await expect(
    run.check('format', () => {
      throw bug
    }),
  ).rejects.toBe(bug)
})
