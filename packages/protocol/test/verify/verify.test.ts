import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { describeCode } from '@countersign/protocol/errors'
import type { Check } from '@countersign/protocol/verify/verdict'
import { checkIds, defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import { verify } from '@countersign/protocol/verify/verify'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { forgeBundle } from '../../../../test/vectors/forge.ts'
import { policyFile } from '../../../../test/vectors/policy-file.ts'
import {
  jsonCall,
  refusedCall,
  signedAtMs,
  smallCall,
} from '../../../../test/vectors/sample-call.ts'
import { bytes, runs } from '../arbitrary.ts'

const makeBundle = (): Uint8Array => forgeBundle(jsonCall)

test('a verdict lists the 25 checks in their order, each with its clause', async () => {
  const { checks, policy } = await verify(makeBundle(), defaultPolicy, signedAtMs)
  expect(checks.map(({ id }) => id)).toEqual([...checkIds])
  expect(checks.map(({ clause }) => clause)).toEqual([
    'BU2',
    'BU1',
    'ST1–ST3, RC2',
    'ST1–ST4',
    'ST2.4, ST4.3',
    'ST4.4',
    'ST2.4',
    'ST4.5',
    'BU3.4',
    'BU3.5',
    'RC3',
    'RC4',
    'RC2.5, RC2.6',
    'RC4.10',
    'ST5.3, ST5.4',
    'ST5.5',
    'ST5.6',
    'BU3.6',
    'BU3.7',
    'BU3.8',
    'BU3.8',
    'BU3.9',
    'BU3.17',
    'BU3.17',
    'BU3.18',
  ])
  expect(policy).toBe('default')
})

test('a passed check says in words what it found', async () => {
  const { checks } = await verify(
    makeBundle(),
    policyFile({ issuers: ['gateway.example'] }),
    signedAtMs,
  )
  const details = checks.flatMap((check) =>
    check.status === 'passed' && check.detail !== '' ? [`${check.id}: ${check.detail}`] : [],
  )
  expect(details).toEqual([
    'policy: vector',
    expect.stringMatching(/^statement: receipt [0-9a-f]{32}$/),
    'issuer: gateway.example',
    'claims: 11 disclosed',
    'charge: 1500 atomic units',
    'served-model: snapshot: small-1-2026',
    'evidence-accepted: SIMULATED: no hardware stands behind this key',
  ])
})

test('evidence of another kind is named, not called simulated', async () => {
  const other = forgeBundle(refusedCall, { evidence: { kind: 'tdx' } })
  const policy = policyFile({ evidence: [{ kind: 'tdx', roots: 'any' }] })
  const { checks } = await verify(other, policy, signedAtMs)
  expect(find(checks, 'evidence-accepted')).toMatchObject({ status: 'passed', detail: 'tdx' })
})

test('a failed check carries the message of its code', async () => {
  const { checks, verdict, policy } = await verify(makeBundle(), productionPolicy, signedAtMs)
  expect(find(checks, 'evidence-accepted')).toEqual({
    id: 'evidence-accepted',
    clause: 'BU3.6',
    status: 'failed',
    code: 'evidence-kind-refused',
    message: describeCode('evidence-kind-refused').message,
  })
  expect([verdict, policy]).toEqual(['invalid', 'production'])
})

test('a policy that cannot be read has no name', async () => {
  expect((await verify(makeBundle(), encodeUtf8(''), signedAtMs)).policy).toBe('')
})

test('a time that is not a number is refused, not passed', async () => {
  const { checks, verdict } = await verify(makeBundle(), defaultPolicy, Number.NaN)
  expect(find(checks, 'time')).toMatchObject({ code: 'statement-in-future' })
  expect(verdict).toBe('invalid')
})

test('what the caller gives becomes required', async () => {
  const withheld = forgeBundle(smallCall)
  const judge = async (held: Parameters<typeof verify>[3]): Promise<string> =>
    (await verify(withheld, defaultPolicy, signedAtMs, held)).verdict
  expect(await judge({})).toBe('valid')
  expect(await judge({ request: smallCall.request })).toBe('incomplete')
  expect(await judge({ response: smallCall.response })).toBe('incomplete')
  expect(await judge({ nonce: new Uint8Array(1) })).toBe('invalid')
  expect(await judge({ responseIsPrefix: true })).toBe('valid')
})

test('whatever the bytes of bundle and policy, there is a verdict and it is not valid', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, bytes, fc.boolean(), async (first, second, isBundle) => {
      const given = isBundle ? [first, defaultPolicy] : [makeBundle(), second]
      const { verdict, checks } = await verify(given[0] ?? first, given[1] ?? second, signedAtMs)
      expect(verdict).toBe('invalid')
      expect(checks).toHaveLength(25)
    }),
    runs(1000),
  )
})

function find(checks: readonly Check[], id: string): Check | undefined {
  return checks.find((check) => check.id === id)
}
