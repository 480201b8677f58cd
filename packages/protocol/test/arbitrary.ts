/** Arbitrary values for properties, and the seed that they print when they fail. */
import * as fc from 'fast-check'
import type { CborKey, CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { ProtocolError, type ErrorCode } from '@countersign/protocol/errors'

/** Runs of a property over hostile bytes. */
export const manyRuns = { numRuns: 10_000 } as const

/** Text of paired surrogates only. */
export const text: fc.Arbitrary<string> = fc.string({ unit: 'binary', maxLength: 40 })

/** Byte strings. */
export const bytes: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 300 })

const key: fc.Arbitrary<CborKey> = fc.oneof(fc.maxSafeInteger(), text)

/** Any value that statements can hold, up to five deep. */
export const cborValue: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.maxSafeInteger(),
    text,
    fc.boolean(),
    fc.constant(null),
    bytes,
    fc.array(tie('value'), { maxLength: 6 }),
    fc
      .array(fc.tuple(key, tie('value')), { maxLength: 6 })
      .map((entries) => new Map<CborKey, CborValue>(entries)),
  ),
})).value

/** The code that is refused with; `undefined` when nothing is; any other error is passed on. */
export function refusalOf(act: () => unknown): ErrorCode | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}

/** The bytes of a hex text. */
export function hex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits, 'hex'))
}
