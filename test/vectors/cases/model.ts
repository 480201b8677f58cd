/** RC4.10: the model that was asked for, the one that was sent, and the one that the provider named. */
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import type { NotCheckedReason } from '@countersign/protocol/verify/verdict'
import type { BundleCase } from '../bundle-case.ts'
import { forgeBundle } from '../forge.ts'
import { policyFile } from '../policy-file.ts'
import { fields, jsonCall, refusedCall, withClaim, withMembers } from '../sample-call.ts'
import type { SampleCall } from '../sample-call.ts'
import { discloseOnly, withhold } from '../withhold.ts'

const demanding = policyFile({ require: ['served-model'] })
// Little else: a vector of a whole receipt has five times the length.
const onlyModels = { ...discloseOnly('model', 'routing'), evidence: 'none' } as const

/** Asked, served, and why it is no pass; null when it is one. */
const direct: readonly (readonly [string, string | null, NotCheckedReason | null])[] = [
  ['gpt-4o', 'gpt-4o', null],
  ['gpt-4o', 'gpt-4o-2024-08-06', null],
  ['claude-sonnet-4-5', 'claude-sonnet-4-5@20250929', null],
  ['gpt-3.5-turbo-instruct', 'gpt-3.5-turbo-instruct:20230824-v2', null],
  ['claude-3-5-haiku-latest', 'claude-3-5-haiku-20241022', null],
  ['gemini-2.5-flash-latest', 'gemini-2.5-flash', null],
  ['models/gemini-2.0-flash', 'gemini-2.0-flash-001', null],
  ['gpt-4o', null, 'unsaid'],
  ['gpt-4o', '', 'other-model'],
  ['gpt-4o', 'gpt-4o-mini', 'other-model'],
  ['gpt-4o', 'GPT-4o', 'other-model'],
  ['gpt-4o', 'gpt-4', 'other-model'],
  ['gpt-4o', 'gpt-4o-01', 'other-model'],
  ['gpt-4o', 'gpt-4o-001\n', 'other-model'],
  ['gpt-4o', 'gpt-4o-٠٠١', 'other-model'],
  ['gpt-4o', 'gpt-4o-2024-08-06-mini', 'other-model'],
  ['gpt-4o-2024-05-13', 'gpt-4o-2024-08-06', 'other-model'],
]

/** All cases. */
export function modelCases(): readonly BundleCase[] {
  return [...directCases(), ...routedCases(), ...withheldCases(), ...schemaCases(), ...otherCases()]
}

function directCases(): readonly BundleCase[] {
  return [
    ...direct.map(([asked, served, reason]) => ({
      name: `${JSON.stringify(asked)} served as ${JSON.stringify(served)}, where the policy asks`,
      clause: 'RC4.10',
      bundle: forgeBundle(called(asked, served, asked), onlyModels),
      ...underDemand(reason),
    })),
    {
      name: 'a model other than the one that was asked for',
      clause: 'RC4.10',
      bundle: forgeBundle(called('gpt-4o', 'gpt-4o-mini')),
      verdict: 'valid',
      open: { 'served-model': 'other-model' },
    },
    {
      name: 'no model named',
      clause: 'RC4.10',
      bundle: forgeBundle(called('gpt-4o', null)),
      verdict: 'valid',
      open: { 'served-model': 'unsaid' },
    },
  ]
}

function underDemand(
  reason: NotCheckedReason | null,
): Pick<BundleCase, 'policy' | 'verdict' | 'failed'> {
  if (reason === null) return { policy: demanding, verdict: 'valid' }
  if (reason !== 'other-model') return { policy: demanding, verdict: 'incomplete' }
  return {
    policy: demanding,
    verdict: 'invalid',
    failed: { 'served-model': 'served-model-mismatch' },
  }
}

function routedCases(): readonly BundleCase[] {
  const renamed = forgeBundle(called('fast', 'gpt-4o-2024-08-06', 'gpt-4o'))
  const other = forgeBundle(called('fast', 'gpt-4o-mini', 'gpt-4o'), onlyModels)
  const open = { 'served-model': 'renamed' } as const
  return [
    { name: 'an alias', clause: 'RC4.10', bundle: renamed, verdict: 'valid', open },
    {
      name: 'an alias, where the policy asks for the model',
      clause: 'RC4.10',
      bundle: renamed,
      policy: demanding,
      verdict: 'incomplete',
      open,
    },
    {
      name: 'sent under another name, served as asked',
      clause: 'RC4.10',
      bundle: forgeBundle(called('gpt-4o', 'gpt-4o-2024-08-06', 'deployment-7'), onlyModels),
      policy: demanding,
      verdict: 'valid',
    },
    {
      name: 'an alias served by another model, where the policy asks',
      clause: 'RC4.10',
      bundle: other,
      ...underDemand('other-model'),
    },
  ]
}

function withheldCases(): readonly BundleCase[] {
  const open = { 'served-model': 'withheld' } as const
  const other = called('gpt-4o', 'gpt-4o-mini')
  return [
    {
      name: 'the model withheld where the policy asks for it',
      clause: 'RC4.10',
      bundle: forgeBundle(jsonCall, { ...withhold('model'), evidence: 'none' }),
      policy: demanding,
      verdict: 'incomplete',
      open,
    },
    {
      name: 'the routing withheld of an alias',
      clause: 'RC4.10',
      bundle: forgeBundle(called('fast', 'gpt-4o', 'gpt-4o'), {
        ...discloseOnly('model'),
        evidence: 'none',
      }),
      policy: demanding,
      verdict: 'incomplete',
      open,
    },
    {
      name: 'any claim withheld of another model: it could be the routing',
      clause: 'RC4.10',
      bundle: forgeBundle(other, { ...withhold('timing'), evidence: 'none' }),
      policy: demanding,
      verdict: 'incomplete',
      open,
    },
    {
      name: 'a claim withheld of a model served as asked',
      clause: 'RC4.10',
      bundle: forgeBundle(called('gpt-4o', 'gpt-4o'), {
        ...discloseOnly('model'),
        evidence: 'none',
      }),
      policy: demanding,
      verdict: 'valid',
    },
  ]
}

function schemaCases(): readonly BundleCase[] {
  const malformed: readonly (readonly [string, CborValue])[] = [
    ['a text', 'gpt-4o'],
    ['without its model', fields({})],
    ['with a number for its model', fields({ model: 1 })],
    ['with more than its model', fields({ model: 'gpt-4o', more: 1 })],
  ]
  return malformed.map(([what, value]) => ({
    name: `the claim routing: ${what}`,
    clause: 'RC4.7',
    bundle: forgeBundle(withClaim(jsonCall, 'routing', value), { evidence: 'none' }),
    verdict: 'invalid' as const,
    failed: { meaning: 'claim-schema', 'served-model': 'claim-schema' } as const,
  }))
}

function otherCases(): readonly BundleCase[] {
  return [
    {
      name: 'a refusal where the policy asks for the model',
      clause: 'RC4.10',
      bundle: forgeBundle(refusedCall, { evidence: 'none' }),
      policy: demanding,
      verdict: 'valid',
    },
  ]
}

function called(requested: string, asserted: string | null, sent?: string): SampleCall {
  const call = withMembers(jsonCall, 'model', { requested, asserted })
  return sent === undefined ? call : withClaim(call, 'routing', fields({ model: sent }))
}
