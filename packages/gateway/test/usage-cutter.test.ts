import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createUsageCutter } from '../src/call/usage-cutter.ts'
import { sha256Hex } from './support/chat-call.ts'

const usage = 'data: {"id":"ü","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
const content = 'data: {"choices":[{"delta":{"content":"Grüße \\"usage\\""}}],"usage":null}'
const done = 'data: [DONE]'

/** Cuts a body that comes in pieces of these sizes. */
function cut(
  body: Buffer,
  sizes: readonly number[],
): {
  readonly returned: Buffer
  readonly observed: readonly string[]
  readonly end: ReturnType<ReturnType<typeof createUsageCutter>['end']>
} {
  const observed: string[] = []
  const cutter = createUsageCutter((event) => observed.push(event.toString()))
  const returned: Buffer[] = []
  let offset = 0
  for (let at = 0; offset < body.length; at++) {
    const size = sizes[at % sizes.length] ?? 1
    returned.push(cutter.push(body.subarray(offset, offset + size)))
    offset += size
  }
  returned.push(cutter.flush())
  return { returned: Buffer.concat(returned), observed, end: cutter.end() }
}

test.each(['\n\n', '\r\n\r\n', '\r\r'])(
  'keeps back the one chunk however it is cut, and the rest can be put together again: %j',
  (end) => {
    const chunk = usage + end
    const body = Buffer.from([content + end, `: ping${end}`, chunk, done + end].join(''))
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
        const { returned, observed, end: result } = cut(body, sizes)
        expect(returned.toString()).toBe(body.toString().replace(chunk, ''))
        expect(observed).toEqual([chunk])
        const { data, start } = result?.removed ?? { data: Buffer.alloc(0), start: 0 }
        const whole = [returned.subarray(0, start), data, returned.subarray(start)]
        expect(Buffer.concat(whole).equals(body)).toBe(true)
        expect(Buffer.from(result?.upstreamBody.sha256 ?? '').toString('hex')).toBe(sha256Hex(body))
        expect(result?.upstreamBody.bytes).toBe(body.length)
      }),
      { numRuns: 300 },
    )
  },
)

test.each([
  ['no usage', content],
  ['usage beside content', content.replace('null', '{}')],
  ['no choices', 'data: {"usage":{"prompt_tokens":1}}'],
  ['a filter result', 'data: {"choices":[],"prompt_filter_results":[]}'],
  ['usage that is null', 'data: {"choices":[],"usage":null}'],
  ['choices that are no array', 'data: {"choices":{},"usage":{}}'],
  ['no JSON', 'data: {"choices":[],"usage":{}'],
  ['an array', 'data: ["choices","usage"]'],
  ['too much', `data: {"choices":[],"usage":{},"x":"${'x'.repeat(8200)}"}`],
])('passes an event on that has %s', (_, event) => {
  const body = Buffer.from(`${event}\n\n${done}\n\n`)
  const { returned, observed, end } = cut(body, [7])
  expect(returned.equals(body)).toBe(true)
  expect([observed, end]).toEqual([[], undefined])
})

test('keeps back the first such chunk only, and passes on what has no end', () => {
  const chunk = `${usage}\n\n`
  const { returned, observed } = cut(Buffer.from(`${chunk}${chunk}${done}`), [1])
  expect(returned.toString()).toBe(`${chunk}${done}`)
  expect(observed).toEqual([chunk])
})
