import * as fc from 'fast-check'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { judgeCoseSignature, keyId } from '@countersign/protocol/receipt/cose'
import type { CallPayload, KeysetPayload } from '@countersign/protocol/receipt/payload'
import {
  createStatementSigner,
  maxStatementBytes,
  parseStatement,
  signStatement,
} from '@countersign/protocol/receipt/statement'
import { expect, test } from 'vitest'
import { zeros } from '../../../../test/vectors/edits.ts'
import { seededSigner } from '../../../../test/vectors/signers.ts'
import { bytes, manyRuns, refusalOf } from '../arbitrary.ts'

const signer = seededSigner('statement')
const payload: CallPayload = {
  type: 'refusal',
  id: Uint8Array.from({ length: 16 }, (_, index) => index),
  sequence: 1,
  previous: zeros(32),
  keysetDigest: zeros(32),
  timeMs: 5,
  charge: { scheme: 'none', amountAtomic: 0n },
  claimsRoot: zeros(32),
  claimsCount: 1,
}
const sign = (): Uint8Array => signStatement(payload, 'gateway.example', signer)

test('what was signed is parsed: issuer, key, payload, signature', async () => {
  const parsed = parseStatement(sign())
  expect(parsed.payload).toStrictEqual(payload)
  expect(parsed.issuer).toBe('gateway.example')
  expect(parsed.kid).toEqual(keyId(signer.publicKey))
  expect(await judgeCoseSignature(parsed.cose, signer.publicKey)).toBeUndefined()
})

test('the subject is the type and the id', () => {
  const text = Buffer.from(sign()).toString('latin1')
  expect(text).toContain('refusal:000102030405060708090a0b0c0d0e0f')
  expect(text).toContain('application/countersign+cbor')
})

test('a signer of many statements makes the same bytes as one for each', () => {
  const signNext = createStatementSigner('gateway.example', signer)
  const other = { ...payload, id: zeros(16), type: 'receipt' as const }
  for (const given of [payload, other, payload]) {
    const { statement: made, payloadBytes } = signNext(given)
    expect(made).toEqual(signStatement(given, 'gateway.example', signer))
    expect(payloadBytes).toEqual(parseStatement(made).cose.payloadBytes)
  }
})

test('a keyset statement is judged for its sequence and digest', () => {
  const document = zeros(3)
  const keyset: KeysetPayload = {
    type: 'keyset',
    id: zeros(16),
    sequence: 0,
    previous: zeros(32),
    keysetDigest: sha256(document),
    timeMs: 5,
    document,
  }
  expect(parseStatement(signStatement(keyset, 'a', signer)).payload).toStrictEqual(keyset)
  const second = signStatement({ ...keyset, sequence: 1 }, 'a', signer)
  expect(refusalOf(() => parseStatement(second))).toBe('payload-malformed')
})

const parse = (issuer: string): string | undefined =>
  refusalOf(() => parseStatement(signStatement(payload, issuer, signer)))

test('an issuer has 1 to 255 bytes', () => {
  expect([parse(''), parse('i'), parse('i'.repeat(255)), parse('i'.repeat(256))]).toEqual([
    'cose-header-malformed',
    undefined,
    undefined,
    'cose-header-malformed',
  ])
})

test('a statement has at most 8,192 bytes', () => {
  expect(maxStatementBytes).toBe(8192)
  expect(refusalOf(() => parseStatement(zeros(8193)))).toBe('cbor-too-large')
  expect(refusalOf(() => parseStatement(zeros(8192)))).toBe('cose-malformed')
})

test('any change of a statement is refused by name or parsed', () => {
  const statement = sign()
  fc.assert(
    fc.property(fc.nat(), fc.nat({ max: 3 }), bytes, (place, removed, inserted) => {
      const at = place % statement.length
      const changed = Uint8Array.of(
        ...statement.slice(0, at),
        ...inserted.slice(0, 3),
        ...statement.slice(at + removed),
      )
      const code = refusalOf(() => parseStatement(changed))
      expect(code ?? 'cbor-').toMatch(/^(?:cbor|cose|payload|statement|keyset)-/)
    }),
    manyRuns,
  )
})
