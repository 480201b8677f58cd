import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import { expect, test } from 'vitest'
import { createKeccak256 } from '../src/payment/keccak-wasm.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('the hash of nothing and of "abc" are those of the EVM', () => {
  const hash = createKeccak256()
  expect(hex(hash(new Uint8Array()))).toBe(
    'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470',
  )
  expect(hex(hash(Buffer.from('abc')))).toBe(
    '4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45',
  )
})

test('every length up to five blocks has the hash that the portable code finds', () => {
  const hash = createKeccak256()
  for (let length = 0; length <= 5 * 136 + 1; length++) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 167 + length * 31) % 256)
    expect(hex(hash(bytes)), String(length)).toBe(hex(keccak256(bytes)))
  }
})

test('a digest stays what it is when the next one is made', () => {
  const hash = createKeccak256()
  const first = hash(Uint8Array.of(1))
  const kept = hex(first)
  hash(Uint8Array.of(2))
  expect(hex(first)).toBe(kept)
})
