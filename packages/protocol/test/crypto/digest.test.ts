import { createHash } from 'node:crypto'
import { digest } from '@countersign/protocol/crypto/digest'
import { afterEach, expect, test, vi } from 'vitest'

afterEach(() => {
  vi.unstubAllGlobals()
})

test('gives the hash that Node gives', async () => {
  const bytes = Uint8Array.of(1, 2, 3)
  for (const [name, node] of [
    ['SHA-256', 'sha256'],
    ['SHA-384', 'sha384'],
    ['SHA-512', 'sha512'],
  ] as const) {
    const expected = Uint8Array.from(createHash(node).update(bytes).digest())
    expect(await digest(name, bytes)).toEqual(expected)
  }
})

test('a page without WebCrypto is told so', async () => {
  vi.stubGlobal('crypto', {})
  await expect(digest('SHA-384', new Uint8Array(0))).rejects.toThrow('no WebCrypto here')
})
