import { createPrivateKey, sign as signWithNode } from 'node:crypto'
import * as fc from 'fast-check'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { judgeEs256, toLowS } from '@countersign/protocol/crypto/es256'
import { afterEach, expect, test, vi } from 'vitest'
import { groupOrder, toHighS, toScalar } from '../../../../test/vectors/edits.ts'
import { seededBytes, seededSigner } from '../../../../test/vectors/signers.ts'

const signer = seededSigner('es256 test')
const message = seededBytes('message')
const signature = signer.sign(message)
const r = signature.slice(0, 32)
const s = signature.slice(32)
const zero = new Uint8Array(32)

afterEach(() => {
  vi.unstubAllGlobals()
})

test('a right signature holds', async () => {
  expect(await judgeEs256(signer.publicKey, message, signature)).toBeUndefined()
})

test('a signature that Node made holds once its s is low, and is the same when it was', async () => {
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    d: Buffer.from(seededBytes('key/es256 test')).toString('base64url'),
    x: Buffer.from(signer.publicKey.slice(0, 32)).toString('base64url'),
    y: Buffer.from(signer.publicKey.slice(32)).toString('base64url'),
  }
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  let changed = 0
  for (let round = 0; round < 64; round++) {
    const made = new Uint8Array(signWithNode('sha256', message, { key, dsaEncoding: 'ieee-p1363' }))
    const low = toLowS(made)
    if (low !== made) changed++
    expect(await judgeEs256(signer.publicKey, message, low)).toBeUndefined()
    expect(low.slice(0, 32)).toEqual(made.slice(0, 32))
  }
  // Each is high with probability one half: 2^-64 for none or all.
  expect(changed).toBeGreaterThan(0)
  expect(changed).toBeLessThan(64)
})

test('the high s is turned into the low one and a low one is kept', () => {
  expect(toLowS(toHighS(signature))).toEqual(signature)
  expect(toLowS(signature)).toBe(signature)
  const half = groupOrder / 2n
  const smallestHigh = concatBytes(r, toScalar(half + 1n))
  const largestLow = concatBytes(r, toScalar(half))
  expect(toLowS(largestLow)).toBe(largestLow)
  expect(toLowS(smallestHigh)).toEqual(largestLow)
})

test('n - s is computed for every s', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: groupOrder / 2n + 1n, max: groupOrder - 1n }), (high) => {
      expect(toLowS(concatBytes(r, toScalar(high)))).toEqual(
        concatBytes(r, toScalar(groupOrder - high)),
      )
    }),
  )
})

test.each([
  ['no bytes', () => new Uint8Array(0), 'cose-signature-malformed'],
  ['63 bytes', () => signature.slice(1), 'cose-signature-malformed'],
  ['65 bytes', () => concatBytes(signature, Uint8Array.of(0)), 'cose-signature-malformed'],
  ['r = 0', () => concatBytes(zero, s), 'cose-signature-malformed'],
  ['s = 0', () => concatBytes(r, zero), 'cose-signature-malformed'],
  ['r = n', () => concatBytes(toScalar(groupOrder), s), 'cose-signature-malformed'],
  ['r = n - 1', () => concatBytes(toScalar(groupOrder - 1n), s), 'signature-invalid'],
  ['r = 1', () => concatBytes(toScalar(1n), s), 'signature-invalid'],
  ['s = 1', () => concatBytes(r, toScalar(1n)), 'signature-invalid'],
  ['s = n', () => concatBytes(r, toScalar(groupOrder)), 'cose-signature-high-s'],
  [
    'the smallest high s',
    () => concatBytes(r, toScalar(groupOrder / 2n + 1n)),
    'cose-signature-high-s',
  ],
  ['the largest low s', () => concatBytes(r, toScalar(groupOrder / 2n)), 'signature-invalid'],
  ['the high s of the same signature', () => toHighS(signature), 'cose-signature-high-s'],
] as const)('a signature with %s is refused', async (_, make, code) => {
  expect(await judgeEs256(signer.publicKey, message, make())).toBe(code)
})

test('another message, another key or no key at all is refused', async () => {
  const other = seededSigner('another')
  expect(await judgeEs256(signer.publicKey, zero, signature)).toBe('signature-invalid')
  expect(await judgeEs256(other.publicKey, message, signature)).toBe('signature-invalid')
  for (const key of [
    new Uint8Array(64),
    new Uint8Array(0),
    signer.publicKey.slice(1),
    new Uint8Array(64).fill(255),
  ]) {
    expect(await judgeEs256(key, message, signature)).toBe('signature-invalid')
  }
})

test('a page without WebCrypto learns so, instead of calling every receipt forged', async () => {
  vi.stubGlobal('crypto', {})
  await expect(judgeEs256(signer.publicKey, message, signature)).rejects.toThrow(
    'no WebCrypto here: a page needs https or localhost',
  )
})
