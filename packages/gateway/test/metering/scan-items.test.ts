import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseLongJson } from '../../src/metering/read-json.ts'
import { scanItems } from '../../src/metering/scan-items.ts'

function items(text: string): readonly string[] | undefined {
  const bytes = Buffer.from(text)
  return scanItems(bytes)?.map(({ start, end }) => bytes.toString('utf8', start, end))
}

test('finds the items of any array, as JSON has them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue(), { minLength: 1 }),
      fc.nat({ max: 3 }),
      (values, indent) => {
        const found = items(` ${JSON.stringify(values, undefined, indent)}\n`)
        const parsed: unknown[] | undefined = found?.map((item) => JSON.parse(item))
        expect(JSON.stringify(parsed)).toBe(JSON.stringify(values))
      },
    ),
  )
})

test.each(['', '{}', '"[]"', '[', '[1', '["a]', '["a\\"]', '[1]x', '[1] [2]', '[{"a":1]', '1,2'])(
  'finds none in %j',
  (text) => {
    expect(items(text)).toBeUndefined()
  },
)

test('gives up on more items than any answer has', () => {
  expect(scanItems(Buffer.from(`[${'1,'.repeat(4095)}1]`))).toHaveLength(4096)
  expect(scanItems(Buffer.from(`[${'1,'.repeat(4096)}1]`))).toBeUndefined()
})

test('reads long JSON like short JSON, but for what is long all the way down', () => {
  const long = 'x'.repeat(70_000)
  const value = { a: 1, deep: { b: [1, { c: 2, long }], long }, long, __proto__x: 3 }
  const read = parseLongJson(Buffer.from(JSON.stringify(value)))
  expect(read).toEqual({ a: 1, deep: { b: [1, { c: 2 }] }, __proto__x: 3 })
  expect(parseLongJson(Buffer.from(`{"a":${long}}`))).toBeUndefined()
  expect(parseLongJson(Buffer.from(`{"a":1,"a":2,"b":"${long}"}`))).toBeUndefined()
  const nested = Buffer.from(`${'{"a":'.repeat(9)}{"b":"${long}"}${'}'.repeat(9)}`)
  expect(JSON.stringify(parseLongJson(nested))).toBe('{"a":{"a":{"a":{"a":{}}}}}')
})
