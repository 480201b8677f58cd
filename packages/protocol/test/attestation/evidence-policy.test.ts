import { createHash } from 'node:crypto'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytes, refusalOf, runs } from '../arbitrary.ts'

type Json = { readonly [name: string]: unknown }

const digest = 'ab'.repeat(32)
const platform: Json = {
  platform: 'amd-sev-snp',
  require: ['revocation'],
  roots: { vendor: true },
  measurements: [{ measurement: 'aa' }],
}
const policy: Json = {
  evidencePolicy: 1,
  name: 'test',
  platforms: [platform],
  maxAgeMs: null,
  maxClockSkewMs: 1000,
  machines: 'any',
  minVendors: 1,
}

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const refusal = (value: unknown): string | undefined =>
  refusalOf(() => parseEvidencePolicy(encode(value)))
const withPlatform = (edits: Json): Json => ({ ...policy, platforms: [{ ...platform, ...edits }] })

test('what a policy asks is read', () => {
  const full = withPlatform({
    roots: { vendor: false, simulated: [digest] },
    settings: ['smt-allowed'],
    statuses: ['SWHardeningNeeded'],
    advisories: ['INTEL-SA-00001'],
    minEvaluationNumber: 17,
    minVersions: { Milan: { microcode: 219 } },
  })
  const encoded = encode({ ...full, maxAgeMs: 5, machines: ['aa'] })
  expect(parseEvidencePolicy(encoded)).toEqual({
    name: 'test',
    digest: createHash('sha256').update(encoded).digest('hex'),
    platforms: new Map([
      [
        'amd-sev-snp',
        {
          require: new Set(['revocation']),
          roots: new Map([[digest, 'simulated']]),
          measurements: [new Map([['measurement', 'aa']])],
          settings: new Set(['smt-allowed']),
          tcb: {
            statuses: new Set(['SWHardeningNeeded']),
            advisories: new Set(['INTEL-SA-00001']),
            minEvaluationNumber: 17,
            minVersions: new Map([['Milan', new Map([['microcode', 219]])]]),
          },
        },
      ],
    ]),
    maxAgeMs: 5,
    maxClockSkewMs: 1000,
    machines: new Set(['aa']),
    minVendors: 1,
  })
})

test('what a policy does not name is not taken', () => {
  const { platforms } = parseEvidencePolicy(encode(policy))
  expect(platforms.get('amd-sev-snp')).toMatchObject({
    settings: new Set(),
    tcb: {
      statuses: new Set(),
      advisories: new Set(),
      minEvaluationNumber: 0,
      minVersions: new Map(),
    },
  })
})

function rootsOf(roots: Json): unknown {
  return parseEvidencePolicy(encode(withPlatform({ roots }))).platforms.get('amd-sev-snp')?.roots
}

test("a vendor's root is the vendor's, whatever a policy calls it", () => {
  const [ark = ''] = vendorRoots.get('amd-sev-snp') ?? []
  expect(rootsOf({ vendor: true, simulated: [ark] })).toEqual(
    new Map((vendorRoots.get('amd-sev-snp') ?? []).map((root) => [root, 'production'])),
  )
  expect(rootsOf({ vendor: false, simulated: [ark, digest] })).toEqual(
    new Map([[digest, 'simulated']]),
  )
})

test('keys of services are roots where evidence is the word of a service', () => {
  const token = {
    ...platform,
    platform: 'google-confidential-space',
    measurements: [{ image: digest }],
    roots: { vendor: true, service: [digest, 'cd'.repeat(32)], simulated: ['cd'.repeat(32)] },
  }
  const { platforms } = parseEvidencePolicy(encode({ ...policy, platforms: [token] }))
  expect(platforms.get('google-confidential-space')?.roots).toEqual(
    new Map([
      [digest, 'service'],
      ['cd'.repeat(32), 'simulated'],
    ]),
  )
})

/** How a policy ends that lists only this entry of measurements. */
function refusalOfEntry(name: string, entry: Json): string | undefined {
  const roots = { vendor: false, service: [digest] }
  const token = { ...platform, platform: name, roots, measurements: [entry] }
  return refusal({ ...policy, platforms: [token] })
}

test('of a token about either of two kinds of hardware, the code of one of them is named', () => {
  const registers = { rtmr0: 'aa', rtmr1: 'aa', rtmr2: 'aa', rtmr3: 'aa' }
  const azure = (entry: Json): string | undefined => refusalOfEntry('azure-attestation', entry)
  expect(azure({ launch: 'aa', 'host-data': 'aa' })).toBeUndefined()
  expect(azure({ mrtd: 'aa', ...registers })).toBeUndefined()
  for (const entry of [{ launch: 'aa' }, { 'host-data': 'aa' }, { mrtd: 'aa' }, registers]) {
    expect(azure(entry)).toBe('policy-malformed')
  }
  const remote = 'nvidia-remote-attestation'
  expect(refusalOfEntry(remote, { driver: 'aa', vbios: 'aa' })).toBeUndefined()
  expect(refusalOfEntry(remote, { driver: 'aa' })).toBe('policy-malformed')
})

test.each([
  ['no platform', { ...policy, platforms: [] }],
  ['no machine', { ...policy, machines: [] }],
  ['no root', withPlatform({ roots: { vendor: false } })],
  ['no measurement', withPlatform({ measurements: [] })],
  ['a product without a version', withPlatform({ minVersions: { Milan: {} } })],
  [
    'a measurement of nothing',
    { ...policy, platforms: [{ ...platform, platform: 'nvidia-gpu', measurements: [{}] }] },
  ],
])('a policy with %s accepts nothing and is refused', (_, value) => {
  expect(refusal(value)).toBe('policy-empty')
})

test.each([
  ['another version', { ...policy, evidencePolicy: 2 }],
  ['an unknown member', { ...policy, later: 1 }],
  ['a missing member', { ...policy, minVendors: undefined }],
  ['no name', { ...policy, name: '' }],
  ['an unknown platform', withPlatform({ platform: 'abacus' })],
  ['a platform twice', { ...policy, platforms: [platform, platform] }],
  ['a platform that is no object', { ...policy, platforms: [1] }],
  ['an unknown check', withPlatform({ require: ['luck'] })],
  ['a root that is no digest', withPlatform({ roots: { vendor: true, simulated: ['ab'] } })],
  [
    'a root in upper case',
    withPlatform({ roots: { vendor: true, simulated: [digest.toUpperCase()] } }),
  ],
  ['an unknown tier', withPlatform({ roots: { vendor: true, production: [digest] } })],
  ['a vendor that is no boolean', withPlatform({ roots: { vendor: 1 } })],
  [
    'the key of a service for hardware',
    withPlatform({ roots: { vendor: true, service: [digest] } }),
  ],
  [
    'a measurement that does not name the code',
    withPlatform({ measurements: [{ 'host-data': 'aa' }] }),
  ],
  ['a measurement that is no hex', withPlatform({ measurements: [{ measurement: 'xx' }] })],
  ['an empty measurement', withPlatform({ measurements: [{ measurement: '' }] })],
  ['a measurement that is a number', withPlatform({ measurements: [{ measurement: 1 }] })],
  ['measurements that are no object', withPlatform({ measurements: [1] })],
  ['a state that no policy can take', withPlatform({ statuses: ['OutOfDate'] })],
  ['a revoked state', withPlatform({ statuses: ['Revoked'] })],
  ['a version above 255', withPlatform({ minVersions: { Milan: { microcode: 256 } } })],
  ['a negative version', withPlatform({ minVersions: { Milan: { microcode: -1 } } })],
  ['a version that is a text', withPlatform({ minVersions: { Milan: { microcode: '1' } } })],
  ['an empty setting', withPlatform({ settings: [''] })],
  ['no vendors to agree', { ...policy, minVendors: 0 }],
])('a policy with %s is refused', (_, value) => {
  expect(refusal(value)).toBe('policy-malformed')
})

test('a policy that is too large is refused, however good it is', () => {
  const padded = new Uint8Array(65_537).fill(0x20)
  padded.set(encode(policy))
  expect(parseEvidencePolicy(padded.subarray(0, -1)).name).toBe('test')
  expect(refusalOf(() => parseEvidencePolicy(padded))).toBe('policy-malformed')
})

test('any bytes are a policy or refused', () => {
  const property = fc.property(bytes, (given) => {
    expect(refusalOf(() => parseEvidencePolicy(given))).toBe('policy-malformed')
  })
  fc.assert(property, runs(1000))
})

test.each([
  ['aws-nitro', 'pcr0'],
  ['aws-nitrotpm', 'pcr4', 'pcr7'],
  ['nvidia-gpu', 'driver', 'vbios'],
  ['google-confidential-space', 'image'],
])('a measurement of %s names the code', (name, ...identities) => {
  const take = (...names: readonly string[]): string | undefined =>
    refusal({
      ...policy,
      platforms: [
        {
          ...platform,
          platform: name,
          roots: { vendor: true, simulated: [digest] },
          measurements: [Object.fromEntries([...names, 'more'].map((key) => [key, digest]))],
        },
      ],
    })
  expect(take(...identities)).toBeUndefined()
  for (const missing of identities) {
    expect(take(...identities.filter((key) => key !== missing))).toBe('policy-malformed')
  }
})
