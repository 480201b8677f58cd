import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { scanTopLevel } from '../src/call/scan-json.ts'
import { applySplices } from '../src/call/splice.ts'
import { createUsageOption } from '../src/call/usage-option.ts'

function rewrite(text: string): string | undefined {
  const body = Buffer.from(text)
  const members = scanTopLevel(body)
  if (typeof members === 'string') throw new Error(members)
  const splice = createUsageOption(body, members)
  return splice && applySplices(body, [splice]).toString()
}

const added = ',"stream_options":{"include_usage":true}'

test.each([
  ['{"stream":true}', `{"stream":true${added}}`],
  ['{ "stream" : true , "n":1.0 }', `{ "stream" : true${added} , "n":1.0 }`],
  [
    '{"stream_options":null,"stream":true}',
    '{"stream_options":{"include_usage":true},"stream":true}',
  ],
  [
    '{"stream":true,"stream_options":{}}',
    '{"stream":true,"stream_options":{"include_usage":true}}',
  ],
  [
    '{"stream":true,"stream_options":{ \n}}',
    '{"stream":true,"stream_options":{"include_usage":true \n}}',
  ],
  [
    '{"stream":true,"stream_options":{"include_obfuscation":false}}',
    '{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}',
  ],
  ['{"str\\u0065am":true}', `{"str\\u0065am":true${added}}`],
])('asks for usage in %s', (body, expected) => {
  expect(rewrite(body)).toBe(expected)
})

test.each([
  '{}',
  '{"stream":false}',
  '{"stream":null}',
  '{"stream":"true"}',
  '{"stream":true,"stream_options":{"include_usage":true}}',
  '{"stream":true,"stream_options":{"include_usage":false}}',
  '{"stream":true,"stream_options":{"include_usage":null}}',
  '{"stream":true,"stream_options":{"include\\u005fusage":false}}',
  '{"stream":true,"stream_options":{"Include_Usage":false}}',
  '{"stream":true,"Stream_Options":{}}',
  '{"stream":true,"stream_options":{"a":1,"a":2}}',
  '{"stream":true,"stream_options":[]}',
  '{"stream":true,"stream_options":"include_usage"}',
  '{"stream":true,"stream_options":true}',
])('leaves %s alone', (body) => {
  expect(rewrite(body)).toBeUndefined()
})

const space = fc.stringMatching(/^[ \t\n\r]{0,3}$/)
const members = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.json(), space))
const options = fc.option(
  fc.oneof(
    fc.constant('null'),
    fc.array(fc.tuple(fc.constantFrom('a', 'b\\u00e9', 'ü'), fc.json(), space), { maxLength: 3 }),
  ),
  { nil: undefined },
)

test('changes no other byte, and gives the body that was meant', () => {
  let rewritten = 0
  fc.assert(
    fc.property(members, options, fc.nat(), space, (others, given, at, around) => {
      const unique = new Map(others.map(([name, json, after]) => [name, json + after]))
      const parts = Array.from(unique, ([name, json]) => `${around}${JSON.stringify(name)}:${json}`)
      const inner =
        typeof given === 'object'
          ? `{${around}${Array.from(new Map(given.map(([name, json, after]) => [name, json + after])), ([name, json]) => `"${name}":${json}`).join(',')}}`
          : given
      if (inner !== undefined) parts.splice(at % (parts.length + 1), 0, `"stream_options":${inner}`)
      parts.splice(at % (parts.length + 1), 0, `"stream"${around}:${around}true${around}`)
      const text = `${around}{${parts.join(',')}}${around}`
      const result = rewrite(text)
      if (result === undefined) throw new Error(`not rewritten: ${text}`)
      rewritten++
      const meant: unknown = JSON.parse(text)
      const before = Object(meant).stream_options ?? {}
      expect(JSON.parse(result)).toEqual({
        ...Object(meant),
        stream_options: { ...before, include_usage: true },
      })
      // What was there is still there, byte for byte, but for a null that was replaced.
      expect(withoutInsertion(result, inner)).toBe(text)
    }),
    { numRuns: 3000 },
  )
  expect(rewritten).toBe(3000)
})

/** Undoes each form of the rewrite by its text. */
function withoutInsertion(result: string, inner: string | undefined): string {
  const option = '"include_usage":true'
  if (inner === undefined) return result.replace(added, '')
  if (inner === 'null') return result.replace(`{${option}}`, 'null')
  const isEmpty = inner.slice(1, -1).trim() === ''
  return result.replace(isEmpty ? option : `${option},`, '')
}
