import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { scanTopLevel } from '../src/call/scan-json.ts'

/** The members as scanned: name and the parsed value of the very slice. */
function scan(text: string): unknown {
  const body = Buffer.from(text)
  const members = scanTopLevel(body)
  if (typeof members === 'string') return members
  return Array.from(members, ([name, { start, end }]) => [name, body.toString('utf8', start, end)])
}

const space = fc.stringMatching(/^[ \t\n\r]{0,3}$/)
const tokens = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.json(), space, space))

test('finds the members that JSON.parse finds, each as its exact slice', () => {
  fc.assert(
    fc.property(tokens, space, (members, around) => {
      const unique = new Map(members.map(([name, ...rest]) => [name, rest]))
      const parts = Array.from(unique, ([name, [json, before, after]]) =>
        [before, JSON.stringify(name), after, ':', after, json, before].join(''),
      )
      const text = `${around}{${parts.join(',')}${around}}${around}`
      expect(scan(text)).toEqual(Array.from(unique, ([name, [json]]) => [name, json]))
      expect(Object.keys(Object(JSON.parse(text))).toSorted()).toEqual(
        [...unique.keys()].toSorted(),
      )
    }),
    { numRuns: 2000 },
  )
})

test('takes no object that JSON.parse refuses for its top level, and no member of another value', () => {
  let taken = 0
  const mutated = fc.tuple(
    fc.object(),
    fc.nat(),
    fc.constantFrom(...Array.from('{}[]",:\\ue1-.0tn \u0001')),
  )
  fc.assert(
    fc.property(mutated, ([value, at, character]) => {
      const original = JSON.stringify(value)
      const cut = at % original.length
      const text = original.slice(0, cut) + character + original.slice(cut + 1)
      const members = scan(text)
      let parsed: unknown
      try {
        parsed = JSON.parse(text)
      } catch {
        // Below the top level the provider judges: what is taken here need not parse as a whole.
        return
      }
      if (!Array.isArray(members)) {
        expect(members).toBe('duplicate-member')
        return
      }
      taken++
      const values = members.map(([name, token]) => [String(name), JSON.parse(String(token))])
      expect(Object.fromEntries(values)).toEqual(parsed)
    }),
    { numRuns: 5000 },
  )
  expect(taken).toBeGreaterThan(100)
})

test('finds the end of a string wherever its escapes stand, also about the length that is read by hand', () => {
  for (let length = 28; length <= 36; length++) {
    for (let at = 0; at <= length; at++) {
      for (const escape of ['\\"', '\\\\', '\\u0022', '']) {
        const text = `"${'x'.repeat(at)}${escape}${'y'.repeat(length - at)}"`
        const name = JSON.parse(text)
        expect(scan(`{${text}:${text},"last":1}`)).toEqual([
          [name, text],
          ['last', '1'],
        ])
      }
    }
  }
})

test('refuses control characters in a name, as JSON does', () => {
  for (const character of ['\u0000', '\n', '\u001f']) {
    expect(scan(`{"a${character}b":1}`)).toBe('not-an-object')
  }
  expect(scan('{"a\u007fb":1}')).toEqual([['a\u007fb', '1']])
})

test('throws at nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const members = scanTopLevel(Buffer.from(bytes))
      expect(typeof members === 'string' || members instanceof Map).toBe(true)
    }),
    { numRuns: 5000 },
  )
})

const faults: readonly (readonly [text: string, fault: string])[] = [
  ['', 'not-an-object'],
  ['null', 'not-an-object'],
  ['[]', 'not-an-object'],
  ['{', 'not-an-object'],
  ['{}x', 'not-an-object'],
  ['{"a":1,}', 'not-an-object'],
  ['{,"a":1}', 'not-an-object'],
  ['{"a" 1}', 'not-an-object'],
  ['{a:1}', 'not-an-object'],
  ["{'a':1}", 'not-an-object'],
  ['{"a":}', 'not-an-object'],
  ['{"a":01}', 'not-an-object'],
  ['{"a":+1}', 'not-an-object'],
  ['{"a":.5}', 'not-an-object'],
  ['{"a":1.}', 'not-an-object'],
  ['{"a":NaN}', 'not-an-object'],
  ['{"a":tru}', 'not-an-object'],
  ['{"a":[}', 'not-an-object'],
  ['{"a":[}]}', 'not-an-object'],
  ['{"a":"b}', 'not-an-object'],
  ['{"a":"b\\"}', 'not-an-object'],
  ['{"\\x":1}', 'not-an-object'],
  ['{"a\n":1}', 'not-an-object'],
  ['\u{feff}{}', 'not-an-object'],
  ['{"a":1,"a":1}', 'duplicate-member'],
  ['{"a":1,"\\u0061":1}', 'duplicate-member'],
  ['{"":1,"":2}', 'duplicate-member'],
  ['{"__proto__":1,"__proto__":2}', 'duplicate-member'],
  [`{"a":${'['.repeat(257)}${']'.repeat(257)}}`, 'too-deep'],
  [`{"a":${'['.repeat(1_000_000)}`, 'too-deep'],
]

test.each(faults)('refuses %j as %s', (text, fault) => {
  expect(scan(text)).toBe(fault)
})

test('refuses what is not UTF-8 wherever it stands', () => {
  const body = Buffer.from('{"a":"bcd"}')
  for (let index = 0; index < body.length; index++) {
    const bad = Buffer.from(body)
    bad[index] = 0xc0
    expect(scanTopLevel(bad)).toBe('not-utf8')
  }
})

test('keeps names apart that only look alike, and takes those of the prototype', () => {
  expect(scan('{"a":1,"A":2,"\\u00e9":3,"e\\u0301":4,"__proto__":5,"constructor":6}')).toEqual([
    ['a', '1'],
    ['A', '2'],
    ['\u00e9', '3'],
    ['e\u0301', '4'],
    ['__proto__', '5'],
    ['constructor', '6'],
  ])
})

function timeScanMs(length: number): number {
  const body = Buffer.from(
    JSON.stringify({ a: '\\"'.repeat(length), b: [{ c: '"'.repeat(length) }] }),
  )
  const start = process.cpuUsage()
  expect(scanTopLevel(body)).toBeInstanceOf(Map)
  return process.cpuUsage(start).user / 1000
}

test('is linear in strings full of quotes and backslashes', () => {
  timeScanMs(100_000)
  // A quadratic scan of 4 MB would take minutes.
  expect(timeScanMs(1_000_000)).toBeLessThan(3000)
})

test.each([
  ['line ends', '\\n'],
  ['quotes', '\\"'],
  ['backslashes', '\\\\'],
])('a text of escaped %s is searched once, not once for each', (_, escape) => {
  const text = escape.repeat(20_000)
  const body = Buffer.from(`{"a":"${text}","b":["${text}"]}`)
  const indexOf = body.indexOf.bind(body)
  // Owned by the test: how many bytes the searches went over.
  let searched = 0
  body.indexOf = (value: Parameters<typeof indexOf>[0], from?: unknown): number => {
    const start = typeof from === 'number' ? from : 0
    const found = indexOf(value, start)
    searched += (found < 0 ? body.length : found) - start
    return found
  }
  const members = scanTopLevel(body)
  expect(typeof members === 'string' ? members : [...members.keys()]).toEqual(['a', 'b'])
  expect(searched).toBeGreaterThan(0)
  expect(searched).toBeLessThan(4 * body.length)
})
