import { expect, test } from 'vitest'
import { openTpmReader } from '@countersign/protocol/attestation/tpm/tpm-reader'

test('reads numbers with the high byte first, and never past the end', () => {
  const reader = openTpmReader(Uint8Array.from([1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 9, 8]))
  expect([reader.u8(), reader.u16(), reader.u32(), reader.take(8)[7]]).toEqual([1, 2, 3, 4])
  expect(() => reader.take(3)).toThrow('tpm-malformed')
  expect(() => reader.u32()).toThrow('tpm-malformed')
  expect(reader.rest()).toEqual(Uint8Array.of(9, 8))
  reader.end()
  expect(() => reader.u8()).toThrow('tpm-malformed')
})

test('what it gives are copies', () => {
  const bytes = Uint8Array.of(0, 1, 7)
  const taken = openTpmReader(bytes).sized(1)
  bytes[2] = 0
  expect(taken).toEqual(Uint8Array.of(7))
})
