import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import {
  checkIds,
  defaultPolicy,
  parsePolicy,
  productionPolicy,
} from '@countersign/protocol/verify/policy'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { policyFile } from '../../../../test/vectors/policy-file.ts'
import { bytes, manyRuns, refusalOf } from '../arbitrary.ts'

const required = [
  'claims',
  'meaning',
  'charge',
  'evidence-chain',
  'evidence-binding',
  'evidence-measurement',
  'evidence-accepted',
]
const parse = (members: Readonly<Record<string, unknown>>): string | undefined =>
  refusalOf(() => parsePolicy(policyFile(members)))

test('the default policy takes simulated evidence of any root', () => {
  expect(parsePolicy(defaultPolicy)).toStrictEqual({
    name: 'default',
    require: new Set(required),
    evidence: [{ kind: 'simulated', roots: 'any' }],
    issuers: 'any',
    maxAgeMs: null,
    maxClockSkewMs: 300_000,
    builds: 'any',
    configurations: 'any',
    upstreams: 'any',
  })
})

test('the production policy is the same but takes no evidence', () => {
  const { name, evidence, ...rest } = parsePolicy(productionPolicy)
  const { name: _, evidence: __, ...others } = parsePolicy(defaultPolicy)
  expect({ name, evidence }).toEqual({ name: 'production', evidence: [] })
  expect(rest).toEqual(others)
})

test('lists of roots and issuers are kept as sets', () => {
  const policy = parsePolicy(
    policyFile({
      require: checkIds,
      issuers: ['a', '', 'a'],
      evidence: [{ kind: 'k', roots: ['ab'.repeat(32)] }],
      maxAgeMs: 0,
      maxClockSkewMs: 0,
      builds: ['cd'.repeat(32)],
      configurations: [],
      upstreams: ['h'],
    }),
  )
  expect(policy.builds).toEqual(new Set(['cd'.repeat(32)]))
  expect([policy.configurations, policy.upstreams]).toEqual([new Set(), new Set(['h'])])
  expect(policy.issuers).toEqual(new Set(['a', '']))
  expect(policy.evidence).toEqual([{ kind: 'k', roots: new Set(['ab'.repeat(32)]) }])
  expect([policy.maxAgeMs, policy.maxClockSkewMs, policy.require.size]).toEqual([0, 0, 25])
})

test.each([
  ['another version', { policy: 2 }],
  ['a version as text', { policy: '1' }],
  ['an empty name', { name: '' }],
  ['a name of 65 bytes', { name: 'n'.repeat(65) }],
  ['an unknown member', { other: 1 }],
  ['a member missing', { issuers: undefined }],
  ['checks that are no array', { require: 'claims' }],
  ['an unknown check', { require: ['Claims'] }],
  ['a check that is a number', { require: [0] }],
  ['a repeated check', { require: ['claims', 'claims'] }],
  ['26 checks', { require: [...checkIds, 'more'] }],
  ['evidence that is no array', { evidence: {} }],
  [
    'nine kinds',
    { evidence: Array.from({ length: 9 }, (_, at) => ({ kind: `${at}`, roots: [] })) },
  ],
  [
    'a repeated kind',
    {
      evidence: [
        { kind: 'a', roots: [] },
        { kind: 'a', roots: 'any' },
      ],
    },
  ],
  ['an empty kind', { evidence: [{ kind: '', roots: [] }] }],
  ['a kind of 65 bytes', { evidence: [{ kind: 'k'.repeat(65), roots: [] }] }],
  ['a kind with one member more', { evidence: [{ kind: 'a', roots: [], more: 1 }] }],
  ['no roots', { evidence: [{ kind: 'a' }] }],
  ['roots of another word', { evidence: [{ kind: 'a', roots: 'ANY' }] }],
  [
    '65 roots',
    { evidence: [{ kind: 'a', roots: Array.from({ length: 65 }, () => 'ab'.repeat(32)) }] },
  ],
  ['a root of 31 bytes', { evidence: [{ kind: 'a', roots: ['ab'.repeat(31)] }] }],
  ['a root in upper case', { evidence: [{ kind: 'a', roots: ['AB'.repeat(32)] }] }],
  ['a root that is no text', { evidence: [{ kind: 'a', roots: [1] }] }],
  ['65 issuers', { issuers: Array.from({ length: 65 }, () => 'a') }],
  ['an issuer that is no text', { issuers: [1] }],
  ['issuers of another word', { issuers: 'none' }],
  ['a negative age', { maxAgeMs: -1 }],
  ['an age as text', { maxAgeMs: '' }],
  ['a negative skew', { maxClockSkewMs: -1 }],
  ['a skew of a day and a millisecond', { maxClockSkewMs: 86_400_001 }],
  ['null for a skew', { maxClockSkewMs: null }],
])('a policy with %s is malformed', (_, members) => {
  expect(parse(members)).toBe('policy-malformed')
})

test.each([
  ['a name of 64 bytes', { name: 'n'.repeat(64) }],
  [
    'eight kinds',
    { evidence: Array.from({ length: 8 }, (_, at) => ({ kind: `${at}`, roots: [] })) },
  ],
  ['a kind of 64 bytes', { evidence: [{ kind: 'k'.repeat(64), roots: [] }] }],
  [
    '64 roots',
    { evidence: [{ kind: 'a', roots: Array.from({ length: 64 }, () => 'ab'.repeat(32)) }] },
  ],
  ['64 issuers', { issuers: Array.from({ length: 64 }, () => 'a') }],
  ['a skew of a day', { maxClockSkewMs: 86_400_000 }],
])('a policy with %s is taken', (_, members) => {
  expect(parse(members)).toBeUndefined()
})

test('a policy that requires nothing is empty, and malformed before that', () => {
  expect(parse({ require: [] })).toBe('policy-empty')
  expect(parse({ require: [], maxAgeMs: -1 })).toBe('policy-malformed')
})

const pad = (size: number): Uint8Array =>
  encodeUtf8(new TextDecoder().decode(defaultPolicy).padEnd(size))

test('a policy has at most 65,536 bytes', () => {
  expect(refusalOf(() => parsePolicy(pad(65_536)))).toBeUndefined()
  expect(refusalOf(() => parsePolicy(pad(65_537)))).toBe('policy-malformed')
})

test('any bytes are a policy or refused by name', () => {
  const members = fc.constantFrom('policy', 'name', 'require', 'evidence', 'issuers', 'maxAgeMs')
  const near = fc
    .tuple(members, fc.jsonValue())
    .map(([name, value]) => policyFile({ [name]: value }))
  fc.assert(
    fc.property(fc.oneof(bytes, near), (given) => {
      const code = refusalOf(() => parsePolicy(given))
      expect(code ?? 'policy-malformed').toMatch(/^policy-(?:malformed|empty)$/)
    }),
    manyRuns,
  )
})
