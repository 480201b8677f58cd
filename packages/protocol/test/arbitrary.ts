/** Arbitrary values for properties, and the seed that they print when they fail. */
import * as fc from 'fast-check'
import type { CborKey, CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { ProtocolError, type ErrorCode } from '@countersign/protocol/errors'

/** What part of all repetitions this run makes: less than 1 when thousands of mutants are judged one by one. */
const share = Number(process.env['COUNTERSIGN_TEST_SHARE'] ?? 1)

/** So many repetitions, or the share of them that this run makes. */
export function portion(count: number): number {
  return Math.floor(count * share)
}

/** So many runs of a property; always the same ones when only a share of them is made. */
export function runs(count: number): { readonly numRuns: number; readonly seed?: number } {
  return share < 1 ? { numRuns: portion(count), seed: 1 } : { numRuns: count }
}

/** Runs of a property over hostile bytes. */
export const manyRuns: ReturnType<typeof runs> = runs(10_000)

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
