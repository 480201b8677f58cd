import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createByteArena, type Place } from '../src/call/byte-arena.ts'

type Held = { readonly place: Place; readonly fill: number; readonly sizeBytes: number }

test('no two places overlap, in whatever order they are taken and given back', () => {
  const steps = fc.array(fc.tuple(fc.nat({ max: 300 }), fc.nat({ max: 20 }), fc.boolean()), {
    minLength: 50,
    maxLength: 100,
  })
  let held = 0
  fc.assert(
    fc.property(steps, (all) => {
      const arena = createByteArena(1024)
      const places: Held[] = []
      for (const [index, [sizeBytes, at, gives]] of all.entries()) {
        const fill = (index % 255) + 1
        const place = arena.take(sizeBytes)
        arena.view(place).fill(fill)
        places.push({ place, fill, sizeBytes })
        const [given] = gives ? places.splice(Math.min(at, places.length - 1), 1) : []
        if (given !== undefined) arena.give(given.place)
        for (const each of places) {
          held++
          const expected = Buffer.alloc(each.sizeBytes, each.fill)
          expect(arena.view(each.place).equals(expected)).toBe(true)
        }
      }
    }),
    { numRuns: 20 },
  )
  expect(held).toBeGreaterThan(1000)
})

test('uses a block again that nobody holds a part of', () => {
  const arena = createByteArena(1024)
  const first = arena.take(100)
  const others = Array.from({ length: 10 }, () => arena.take(100))
  expect(others.at(-1)?.block).not.toBe(first.block)
  for (const place of [first, ...others.slice(0, 9)]) arena.give(place)
  const later = Array.from({ length: 10 }, () => arena.take(100))
  expect(later.at(-1)).toEqual(expect.objectContaining({ block: first.block, start: 0 }))
})

test('gives what is large a block of its own', () => {
  const arena = createByteArena(1024)
  const small = arena.take(10)
  const large = arena.take(129)
  expect(large.block).not.toBe(small.block)
  expect(large.block.bytes).toHaveLength(129)
  expect(arena.take(10).block).toBe(small.block)
})
