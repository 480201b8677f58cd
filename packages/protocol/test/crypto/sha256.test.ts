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
