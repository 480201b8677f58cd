import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { expect, test } from 'vitest'
import { bytes } from '../arbitrary.ts'

test('SHA-256 is that of Node', () => {
  fc.assert(
    fc.property(bytes, (given) => {
      expect(Buffer.from(sha256(given))).toEqual(createHash('sha256').update(given).digest())
    }),
  )
})

test.each([0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 100_000])(
  'so is that of %i bytes',
  (length) => {
    const given = Uint8Array.from({ length }, (_, place) => place * 7)
    const before = Uint8Array.from(given)
    expect(Buffer.from(sha256(given))).toEqual(createHash('sha256').update(given).digest())
    expect(given).toEqual(before)
  },
)

test('a part of a buffer is hashed as if it stood alone', () => {
  const given = Uint8Array.from({ length: 200 }, (_, place) => place)
  const part = given.subarray(3, 103)
  expect(sha256(part)).toEqual(sha256(Uint8Array.from(part)))
})
