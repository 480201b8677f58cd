/** BU3.17, BU3.18: what a policy lists of builds, configurations and upstreams; the level that follows. */
import type { ErrorCode } from '@countersign/protocol/errors'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { CheckId } from '@countersign/protocol/verify/policy'
import type { BundleCase } from '../bundle-case.ts'
import { remove, set } from '../edits.ts'
import { forgeBundle, type Forgery } from '../forge.ts'
import { policyFile } from '../policy-file.ts'
import { fields, jsonCall, smallCall, withClaim, type SampleCall } from '../sample-call.ts'
import { seededBytes } from '../signers.ts'

type Members = Readonly<Record<string, unknown>>

const build = toHex(seededBytes('build'))
const configuration = toHex(seededBytes('config'))
const other = toHex(seededBytes('another'))
const hosts = ['api.example', 'b.example:8443']

type Refusal = readonly [
  name: string,
  clause: string,
  policy: Members,
  failed: readonly [CheckId, ErrorCode],
  call?: SampleCall,
  forgery?: Forgery,
]

const elsewhere = withClaim(
  jsonCall,
  'upstream',
  fields({ host: 'c.example', requestId: null, tls: null }),
)

const refusing: readonly Refusal[] = [
  ['another build', 'BU3.17', { builds: [other] }, ['build', 'build-not-allowed']],
  ['no build', 'BU3.17', { builds: [] }, ['build', 'build-not-allowed']],
  [
    'another configuration',
    'BU3.17',
    { configurations: [other] },
    ['configuration', 'configuration-not-allowed'],
  ],
  [
    'one upstream of two',
    'BU3.18',
    { upstreams: ['api.example'] },
    ['upstreams', 'upstream-not-allowed'],
  ],
  ['no upstream', 'BU3.18', { upstreams: [] }, ['upstreams', 'upstream-not-allowed']],
  [
    'upstreams of a keyset that lists none',
    'BU3.18',
    { upstreams: hosts },
    ['upstreams', 'upstream-not-allowed'],
    jsonCall,
    { document: remove(13) },
  ],
  [
    'any upstream, of a call that went elsewhere',
    'BU3.18',
    {},
    ['upstreams', 'upstream-not-listed'],
    elsewhere,
  ],
  [
    'the host to which a call went that the keyset does not list',
    'BU3.18',
    { upstreams: [...hosts, 'c.example'] },
    ['upstreams', 'upstream-not-listed'],
    elsewhere,
  ],
]

const malformed: readonly (readonly [string, Members])[] = [
  ['a build in upper case', { builds: [build.toUpperCase()] }],
  ['a build of 31 bytes', { builds: [build.slice(2)] }],
  ['65 builds', { builds: Array.from({ length: 65 }, () => build) }],
  ['builds of another word', { builds: 'all' }],
  ['a configuration that is no digest', { configurations: ['x'] }],
  ['an upstream that is no text', { upstreams: [1] }],
  ['65 upstreams', { upstreams: Array.from({ length: 65 }, (_, index) => `h${index}`) }],
]

/** All cases. */
export function termsCases(): readonly BundleCase[] {
  return [
    ...refusing.map(([name, clause, policy, [check, code], call = jsonCall, forgery = {}]) => ({
      name: `a policy that takes ${name}`,
      clause,
      bundle: forgeBundle(call, forgery),
      policy: policyFile(policy),
      verdict: 'invalid' as const,
      failed: { [check]: code },
    })),
    ...malformed.map(([name, policy]): BundleCase => ({
      name: `not a policy: ${name}`,
      clause: 'BU2.1',
      bundle: forgeBundle(smallCall, { evidence: 'none' }),
      policy: policyFile(policy),
      verdict: 'invalid',
      failed: { policy: 'policy-malformed' },
      open: { build: 'blocked', configuration: 'blocked', upstreams: 'blocked' },
    })),
    ...taken(),
  ]
}

function taken(): readonly BundleCase[] {
  const policy = policyFile({
    require: ['build', 'configuration', 'upstreams'],
    builds: [other, build],
    configurations: [configuration],
    upstreams: ['z.example', ...hosts],
  })
  return [
    {
      name: 'a policy that lists build, configuration and upstreams',
      clause: 'BU3.10',
      bundle: forgeBundle(jsonCall),
      policy,
      verdict: 'valid',
      level: 'L2-SIMULATED',
    },
    {
      name: 'the same without evidence: the build is only said',
      clause: 'BU3.10',
      bundle: forgeBundle(jsonCall, { evidence: 'none' }),
      policy,
      verdict: 'valid',
      level: 'L0',
    },
    {
      name: 'a policy that asks for a build and lists none',
      clause: 'BU3.3',
      bundle: forgeBundle(jsonCall),
      policy: policyFile({ require: ['build'], builds: 'any' }),
      verdict: 'incomplete',
      level: 'L1-SIMULATED',
      open: { build: 'any-allowed', configuration: 'any-allowed', upstreams: 'any-allowed' },
    },
    {
      name: 'a keyset that lists one upstream',
      clause: 'BU3.18',
      bundle: forgeBundle(jsonCall, { document: set(13, ['api.example']) }),
      policy: policyFile({ upstreams: ['api.example'] }),
      verdict: 'valid',
    },
  ]
}
