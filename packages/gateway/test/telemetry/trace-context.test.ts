import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTraceparent } from '../../src/telemetry/trace-context.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentSpanId = 'b7ad6b7169203331'

test.each([
  [`00-${traceId}-${parentSpanId}-01`, true],
  [`00-${traceId}-${parentSpanId}-00`, false],
  [`00-${traceId}-${parentSpanId}-03`, true],
  [`01-${traceId}-${parentSpanId}-01-more`, true],
])('takes %s', (header, isSampled) => {
  expect(parseTraceparent(header)).toEqual({ traceId, parentSpanId, isSampled })
})

test.each([
  '',
  `ff-${traceId}-${parentSpanId}-01`,
  `00-${traceId}-${parentSpanId}-01-more`,
  `00-${traceId.toUpperCase()}-${parentSpanId}-01`,
  `00-${'0'.repeat(32)}-${parentSpanId}-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId}-${parentSpanId}-0`,
  `00-${traceId}-${parentSpanId}-01\n`,
  `01-${traceId}-${parentSpanId}-01-${'x'.repeat(600)}`,
])('takes no part of %j', (header) => {
  expect(parseTraceparent(header)).toBeUndefined()
})

test('never throws, and gives hex of the right length or nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.constant(undefined), fc.array(fc.string())), (header) => {
      const parsed = parseTraceparent(header)
      expect(parsed?.traceId ?? traceId).toMatch(/^[0-9a-f]{32}$/)
    }),
    { numRuns: 500 },
  )
})
