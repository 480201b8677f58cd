import * as fc from 'fast-check'
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import {
  checkClaimShapes,
  checkClaimsPresent,
  checkIdentity,
  priceOf,
  requestOf,
  responseOf,
  streamOf,
} from '@countersign/protocol/receipt/call-claims'
import { expect, test } from 'vitest'
import { zeros } from '../../../../test/vectors/edits.ts'
import {
  abortedCall,
  fields,
  jsonCall,
  recoveredCall,
  refusedCall,
  streamCall,
  withClaim,
  withMembers,
  type SampleCall,
} from '../../../../test/vectors/sample-call.ts'
import { cborValue, manyRuns, refusalOf } from '../arbitrary.ts'

type Claims = SampleCall['claims']

const shapeOf = (name: string, value: CborValue): string | undefined =>
  refusalOf(() => {
    checkClaimShapes(new Map([[name, value]]))
  })
const all = new Map<string, CborValue>([
  ...streamCall.claims,
  ...refusedCall.claims,
  ...recoveredCall.claims,
])

test('there are fourteen claims, and the samples have the shape of each', () => {
  expect(all.size).toBe(14)
  for (const [name, value] of all) expect(shapeOf(name, value), name).toBeUndefined()
})

test('every member is needed, none may be added, and no member takes a value of any other type', () => {
  let judged = 0
  for (const [name, value] of all) {
    if (!(value instanceof Map) || name === 'parameters') continue
    const members = new Map<string, CborValue>(value)
    expect(shapeOf(name, new Map([...members, ['more', 1]])), name).toBe('claim-schema')
    for (const key of members.keys()) {
      const rest = new Map([...members].filter(([other]) => other !== key))
      expect(shapeOf(name, rest), `${name} without ${key}`).toBe('claim-schema')
      for (const other of [false, [null], new Map([['a', 1]]), -1]) {
        expect(shapeOf(name, new Map(members).set(key, other)), `${name} ${key}`).toBe(
          'claim-schema',
        )
        judged++
      }
    }
  }
  expect(judged).toBeGreaterThan(4 * 30)
})

const nullable: readonly (readonly [string, string, CborValue])[] = [
  ['model', 'asserted', 'm'],
  ['outcome', 'error', 'e'],
  ['outcome', 'finish', 'stop'],
  ['timing', 'firstByte', 0],
  ['upstream', 'requestId', 'r'],
  ['upstream', 'tls', null],
  ['upstream-response', 'status', 200],
  ['usage', 'input', 0],
  ['usage', 'output', 0],
  ['usage', 'raw', ''],
]

test('just the members marked with ? may be null', () => {
  for (const [name, value] of all) {
    if (!(value instanceof Map) || name === 'parameters') continue
    for (const key of new Map<string, CborValue>(value).keys()) {
      const isNullable = nullable.some(([claim, member]) => claim === name && member === key)
      const nulled = new Map<string, CborValue>(value).set(key, null)
      expect(shapeOf(name, nulled), `${name} ${key}`).toBe(isNullable ? undefined : 'claim-schema')
    }
  }
  for (const [name, key, value] of nullable) {
    const claim = all.get(name)
    if (!(claim instanceof Map)) throw new Error(name)
    const members = new Map<string, CborValue>(claim)
    expect(shapeOf(name, members.set(key, value)), `${name} ${key}`).toBeUndefined()
  }
})

test.each([
  [
    'outcome',
    'state',
    ['complete', 'aborted-by-client', 'upstream-error', 'timeout'],
    ['', 'Complete', 'failed'],
  ],
  ['usage', 'source', ['provider', 'none'], ['', 'caller']],
] as const)('%s.%s is one of a few words', (name, key, good, bad) => {
  const claim = all.get(name)
  if (!(claim instanceof Map)) throw new Error(name)
  const members = new Map<string, CborValue>(claim)
  for (const word of good) expect(shapeOf(name, members.set(key, word)), word).toBeUndefined()
  for (const word of bad) expect(shapeOf(name, members.set(key, word)), word).toBe('claim-schema')
})

test('digests have 32 bytes, neither more nor fewer', () => {
  const digests = [
    ['forwarded', 'sha256'],
    ['request', 'sha256'],
    ['response', 'sha256'],
    ['upstream-response', 'sha256'],
    ['price', 'sheet'],
    ['stream', 'head'],
  ] as const
  for (const [name, key] of digests) {
    const claim = all.get(name)
    if (!(claim instanceof Map)) throw new Error(name)
    const members = new Map<string, CborValue>(claim)
    for (const length of [31, 33]) {
      expect(shapeOf(name, members.set(key, zeros(length))), `${name} ${key}`).toBe('claim-schema')
    }
  }
})

const judgeTls = (changed: Readonly<Record<string, CborValue>>): string | undefined => {
  const tls = fields({ chain: [zeros(32)], spki: zeros(32), version: 'TLSv1.3', ...changed })
  return shapeOf('upstream', fields({ host: 'h', requestId: null, tls }))
}
const certificates = (count: number): CborValue => Array.from({ length: count }, () => zeros(32))
test('a TLS session has 1 to 10 certificates, a key hash and a version', () => {
  expect(judgeTls({})).toBeUndefined()
  expect(judgeTls({ chain: certificates(10) })).toBeUndefined()
  for (const changed of [
    { chain: [] },
    { chain: certificates(11) },
    { chain: zeros(32) },
    { chain: [zeros(32), zeros(31)] },
    { chain: [zeros(33)] },
    { chain: ['a'.repeat(32)] },
    { spki: zeros(31) },
    { spki: zeros(33) },
    { version: 3 },
    { more: 1 },
  ]) {
    expect(judgeTls(changed), JSON.stringify(changed)).toBe('claim-schema')
  }
})

test('parameters are texts by texts', () => {
  expect(shapeOf('parameters', new Map())).toBeUndefined()
  expect(shapeOf('parameters', new Map([['', '']]))).toBeUndefined()
  expect(shapeOf('parameters', new Map([['a', 1]]))).toBe('claim-schema')
  expect(shapeOf('parameters', new Map([[1, 'a']]))).toBe('claim-schema')
  expect(shapeOf('parameters', ['a'])).toBe('claim-schema')
})

test('names that are not listed are not judged', () => {
  expect(shapeOf('other', 1)).toBeUndefined()
  expect(shapeOf('constructor', 1)).toBeUndefined()
})

test('any value of any claim is taken or refused as claim-schema', () => {
  fc.assert(
    fc.property(fc.constantFrom(...all.keys()), cborValue, (name, value) => {
      expect(shapeOf(name, value) ?? 'claim-schema').toBe('claim-schema')
    }),
    manyRuns,
  )
})

const judgePresent = (type: 'receipt' | 'refusal', claims: Claims): string | undefined =>
  refusalOf(() => {
    checkClaimsPresent(type, claims)
  })

test('a receipt needs eleven claims and a refusal three', () => {
  expect(judgePresent('receipt', jsonCall.claims)).toBeUndefined()
  expect(judgePresent('refusal', refusedCall.claims)).toBeUndefined()
  expect(jsonCall.claims.size).toBe(11)
  for (const name of jsonCall.claims.keys()) {
    expect(judgePresent('receipt', without(jsonCall.claims, name)), name).toBe('claim-missing')
  }
  for (const name of refusedCall.claims.keys()) {
    expect(judgePresent('refusal', without(refusedCall.claims, name)), name).toBe('claim-missing')
  }
  expect(judgePresent('receipt', refusedCall.claims)).toBe('claim-missing')
  expect(judgePresent('refusal', jsonCall.claims)).toBe('claim-missing')
})

test('identity is judged as far as the claims are disclosed', () => {
  expect(checkIdentity(jsonCall.claims)).toBe(true)
  expect(checkIdentity(abortedCall.claims)).toBe(true)
  for (const name of ['forwarded', 'request', 'response', 'upstream-response', 'outcome']) {
    expect(checkIdentity(without(jsonCall.claims, name)), name).toBe(false)
  }
  for (const name of ['model', 'parameters', 'price', 'timing', 'upstream', 'usage']) {
    expect(checkIdentity(without(jsonCall.claims, name)), name).toBe(true)
  }
  expect(checkIdentity(new Map())).toBe(false)
})

test('another transform than identity compares nothing', () => {
  const forwarded = withMembers(jsonCall, 'forwarded', { transform: 'adapter/1', bytes: 0 })
  expect(checkIdentity(without(forwarded.claims, 'request'))).toBe(true)
  const response = withMembers(jsonCall, 'response', { transform: 'gateway-error', bytes: 1e9 })
  expect(checkIdentity(without(without(response.claims, 'outcome'), 'upstream-response'))).toBe(
    true,
  )
  expect(checkIdentity(response.claims)).toBe(true)
})

const withState = (call: SampleCall, name: string): SampleCall =>
  withMembers(call, 'outcome', { state: name })
const judgeIdentity = (call: SampleCall): string | undefined =>
  refusalOf(() => checkIdentity(call.claims))

test('bytes that are declared identical and are not are refused', () => {
  const { length } = jsonCall.response
  expect(judgeIdentity(withMembers(jsonCall, 'forwarded', { bytes: 0 }))).toBe('identity-broken')
  expect(judgeIdentity(withMembers(jsonCall, 'forwarded', { sha256: zeros(32) }))).toBe(
    'identity-broken',
  )
  expect(judgeIdentity(withMembers(jsonCall, 'response', { bytes: length - 1 }))).toBe(
    'identity-broken',
  )
  expect(judgeIdentity(withMembers(jsonCall, 'response', { sha256: zeros(32) }))).toBe(
    'identity-broken',
  )
  for (const name of ['aborted-by-client', 'upstream-error', 'timeout']) {
    const shorter = withMembers(jsonCall, 'response', { bytes: length - 1, sha256: zeros(32) })
    const longer = withMembers(jsonCall, 'response', { bytes: length + 1 })
    expect(judgeIdentity(withState(shorter, name))).toBeUndefined()
    expect(judgeIdentity(withState(jsonCall, name))).toBeUndefined()
    expect(judgeIdentity(withState(longer, name))).toBe('identity-broken')
  }
})

test('a broken identity of the request is reported though the response is withheld, and the other way round', () => {
  const request = withMembers(jsonCall, 'forwarded', { bytes: 0 })
  expect(refusalOf(() => checkIdentity(without(request.claims, 'response')))).toBe(
    'identity-broken',
  )
  const response = withMembers(jsonCall, 'response', { bytes: 0 })
  expect(refusalOf(() => checkIdentity(without(response.claims, 'forwarded')))).toBe(
    'identity-broken',
  )
})

test('price, request, response and stream are read where they are disclosed', () => {
  expect(priceOf(jsonCall.claims)).toBe(2000n)
  expect(requestOf(jsonCall.claims)?.bytes).toBe(jsonCall.request.length)
  expect(responseOf(jsonCall.claims)?.bytes).toBe(jsonCall.response.length)
  expect(streamOf(streamCall.claims)?.events).toBe(5)
  expect([
    priceOf(new Map()),
    requestOf(new Map()),
    responseOf(new Map()),
    streamOf(new Map()),
  ]).toEqual([undefined, undefined, undefined, undefined])
  expect(refusalOf(() => priceOf(withClaim(jsonCall, 'price', 1).claims))).toBe('claim-schema')
})

function without(claims: Claims, name: string): Claims {
  return new Map([...claims].filter(([other]) => other !== name))
}
