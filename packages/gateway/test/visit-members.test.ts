import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isNothingAt, readStringAt, visitMembers } from '../src/call/visit-members.ts'

type Seen = readonly [name: string, parent: string, text: string | undefined]

function visit(json: string, opaque: readonly string[] = []): readonly Seen[] {
  const body = Buffer.from(json)
  const seen: Seen[] = []
  visitMembers(body, new Set(opaque), (name, parent, start) => {
    seen.push([name, parent, readStringAt(body, start)])
  })
  return seen
}

test('visits every member, with the member that holds it', () => {
  expect(visit('{"a":"1","b":[{"c":"2"},"x",{"c":"3"}],"d":{"e":{"f":null}}}')).toEqual([
    ['a', '', '1'],
    ['b', '', undefined],
    ['c', 'b', '2'],
    ['c', 'b', '3'],
    ['d', '', undefined],
    ['e', 'd', undefined],
    ['f', 'e', undefined],
  ])
})

test('reads names and texts with escapes, in any spacing, however often they stand there', () => {
  expect(visit(' { "\\u0061" : "b\\"c" ,\n"a"\t:"\\\\" , "a":1 } ')).toEqual([
    ['a', '', 'b"c'],
    ['a', '', '\\'],
    ['a', '', undefined],
  ])
})

const names = (json: string): readonly string[] => visit(json, ['o']).map(([name]) => name)

test('passes over the values of opaque members, and over nothing else', () => {
  expect(names('{"o":{"a":1,"b":[{"c":2}]},"d":3}')).toEqual(['o', 'd'])
  expect(names('{"o":[{"a":1}],"d":{"e":1}}')).toEqual(['o', 'd', 'e'])
  expect(names('{"o":1,"d":{"e":1}}')).toEqual(['o', 'd', 'e'])
  expect(names('{"o":"x","d":{"e":1}}')).toEqual(['o', 'd', 'e'])
  expect(names('{"x":{"o":1},"d":{"e":1}}')).toEqual(['x', 'o', 'd', 'e'])
  expect(names('{"x":[{"o":{}},{"d":{"o":{"e":1}}}],"f":1}')).toEqual(['x', 'o', 'd', 'o', 'f'])
})

const judge = (value: string): boolean => isNothingAt(Buffer.from(`${value},`), 0)

test('knows values that say nothing', () => {
  expect(['null', 'false', '[]', '{}', '[ \n]', '{ }'].map(judge)).not.toContain(false)
  expect(['true', '0', '"x"', '[0]', '{"a":1}', '""'].map(judge)).not.toContain(true)
})

function namesOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(namesOf)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) => [name, ...namesOf(member)])
}

test('sees the same names as a JSON parser, in any JSON, and throws at nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(200), (value, cut) => {
      const json = JSON.stringify(value)
      const { length } = json
      expect(visit(json).map(([name]) => name)).toEqual(namesOf(JSON.parse(json)))
      expect(() => visit(json.slice(0, Math.min(cut, length)))).not.toThrow()
    }),
    { numRuns: 1000 },
  )
})
