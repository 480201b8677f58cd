/** BU2, BU3.4–BU3.6: policies that are none, and bundles that a policy refuses. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { ErrorCode } from '@countersign/protocol/errors'
import { checkIds, type CheckId } from '@countersign/protocol/verify/policy'
import type { BundleCase } from '../bundle-case.ts'
import { forgeBundle } from '../forge.ts'
import { policyFile } from '../policy-file.ts'
import { smallCall, signedAtMs } from '../sample-call.ts'

type Members = Readonly<Record<string, unknown>>

const malformed: readonly (readonly [string, Members | Uint8Array])[] = [
  ['no JSON', encodeUtf8('{')],
  ['an array', encodeUtf8('[]')],
  ['another version', { policy: 2 }],
  ['no name', { name: undefined }],
  ['an empty name', { name: '' }],
  ['a name of 65 bytes', { name: 'n'.repeat(65) }],
  ['an unknown member', { comment: '' }],
  ['an unknown check', { require: ['claims', 'magic'] }],
  ['a repeated check', { require: ['claims', 'claims'] }],
  ['a check that is no text', { require: [1] }],
  ['checks that are no array', { require: 'claims' }],
  ['more checks than there are', { require: [...checkIds, 'claims'] }],
  ['a repeated kind', { evidence: [simulated('any'), simulated('any')] }],
  ['an empty kind', { evidence: [{ kind: '', roots: 'any' }] }],
  [
    'nine kinds',
    { evidence: Array.from({ length: 9 }, (_, index) => ({ kind: `k${index}`, roots: 'any' })) },
  ],
  ['a kind without roots', { evidence: [{ kind: 'simulated' }] }],
  ['roots of another word', { evidence: [simulated('all')] }],
  ['a root in upper case', { evidence: [simulated(['AA'.repeat(32)])] }],
  ['a root of 31 bytes', { evidence: [simulated(['aa'.repeat(31)])] }],
  ['a root that is no text', { evidence: [simulated([1])] }],
  ['65 roots', { evidence: [simulated(Array.from({ length: 65 }, () => 'aa'.repeat(32)))] }],
  ['an issuer that is no text', { issuers: [null] }],
  ['65 issuers', { issuers: Array.from({ length: 65 }, (_, index) => `i${index}`) }],
  ['an age below zero', { maxAgeMs: -1 }],
  ['an age as text', { maxAgeMs: '1' }],
  ['a skew of more than a day', { maxClockSkewMs: 86_400_001 }],
  ['no skew', { maxClockSkewMs: null }],
]

type Row = readonly [
  name: string,
  clause: string,
  policy: 'production' | Members,
  check: CheckId,
  code: ErrorCode,
  nowMs?: number,
]

const refusing: readonly Row[] = [
  ['requires nothing', 'BU2.2', { require: [] }, 'policy', 'policy-empty'],
  ['is production', 'BU2.3', 'production', 'evidence-accepted', 'evidence-kind-refused'],
  [
    'takes another kind',
    'BU3.6',
    { evidence: [{ kind: 'tdx', roots: 'any' }] },
    'evidence-accepted',
    'evidence-kind-refused',
  ],
  [
    'takes another root',
    'BU3.6',
    { evidence: [simulated(['00'.repeat(32)])] },
    'evidence-accepted',
    'evidence-root-refused',
  ],
  [
    'takes no root',
    'BU3.6',
    { evidence: [simulated([])] },
    'evidence-accepted',
    'evidence-root-refused',
  ],
  [
    'takes other issuers',
    'BU3.5',
    { issuers: ['Gateway.example', 'gateway.example.'] },
    'issuer',
    'issuer-not-allowed',
  ],
  ['takes no issuer', 'BU3.5', { issuers: [] }, 'issuer', 'issuer-not-allowed'],
  [
    'finds it a millisecond too early',
    'BU3.4',
    { maxClockSkewMs: 500 },
    'time',
    'statement-in-future',
    signedAtMs - 501,
  ],
  [
    'finds it a millisecond too old',
    'BU3.4',
    { maxAgeMs: 1000 },
    'time',
    'statement-too-old',
    signedAtMs + 1001,
  ],
]

/** All cases. */
export function policyCases(): readonly BundleCase[] {
  const bundle = forgeBundle(smallCall)
  const bare = forgeBundle(smallCall, { evidence: 'none' })
  return [
    ...malformed.map(([name, given]): BundleCase => ({
      name: `not a policy: ${name}`,
      clause: 'BU2.1',
      bundle: bare,
      policy: given instanceof Uint8Array ? given : policyFile(given),
      verdict: 'invalid',
      failed: { policy: 'policy-malformed' },
      open: {
        time: 'blocked',
        issuer: 'blocked',
        'evidence-chain': 'blocked',
        'evidence-accepted': 'blocked',
      },
    })),
    ...refusing.map(([name, clause, policy, check, code, nowMs = signedAtMs]): BundleCase => ({
      name: `a policy that ${name}`,
      clause,
      bundle,
      policy: policy === 'production' ? policy : policyFile(policy),
      nowMs,
      verdict: 'invalid',
      failed: { [check]: code },
    })),
  ]
}

function simulated(roots: unknown): Members {
  return { kind: 'simulated', roots }
}
