import { expect, test } from 'vitest'
import { splitEvents } from '@countersign/protocol/receipt/event-chain'
import { fuzzSplits } from './campaigns/fuzz-splits.ts'
import { createDocument, cutElements } from './campaigns/stream-document.ts'
import { chooseSeed, createRandom } from './tampering/random.ts'

const count = 500

test('however a stream is split, its bytes and the hashes in its receipt are the same', async () => {
  const report = await fuzzSplits(count, chooseSeed(), { bigEvery: 20 })
  console.log(JSON.stringify(report))
  expect(report.faults, `seed ${String(report.seed)}`).toEqual([])
  expect(report.splits).toBeGreaterThanOrEqual(count)
  expect(report.pieces).toBeGreaterThan(count * 10)
  expect(report.bigEvents).toBeGreaterThan(0)
  expect(report.verified).toBeGreaterThan(count / 50)
  expect(Object.keys(report.byKind)).toHaveLength(4)
}, 900_000)

test('a byte that is turned, lost or added on the way is found', async () => {
  const spoils = [
    (body: Buffer) => Buffer.from(body.map((byte, at) => (at === 5 ? byte ^ 1 : byte))),
    (body: Buffer) => body.subarray(1),
    (body: Buffer) => Buffer.concat([body, Buffer.from('\n')]),
  ]
  // One after the other: each split of the campaign is spoiled in the next way.
  let spoiled = 0
  const { splits, faults } = await fuzzSplits(1, 3, {
    spoil: (body) => spoils[spoiled++ % spoils.length]?.(body) ?? body,
  })
  expect(spoiled).toBe(splits)
  // The first ten of them; each split has both.
  for (const text of ['other bytes', 'other claims']) {
    expect(faults.filter((fault) => fault.includes(text)).length).toBeGreaterThanOrEqual(3)
  }
})

test('both ways to cut events agree on ten thousand documents', () => {
  const random = createRandom(chooseSeed())
  let elements = 0
  for (let round = 0; round < 10_000; round++) {
    const { body } = createDocument(random)
    const { events, rest } = splitEvents(body)
    const expected = rest.length > 0 ? [...events, rest] : events
    const cut = cutElements(body)
    elements += cut.length
    const isSame =
      cut.length === expected.length &&
      expected.every((element, index) => cut[index]?.equals(element) === true)
    if (!isSame) expect(cut, `seed ${String(random.seed)}`).toEqual(expected)
  }
  expect(elements).toBeGreaterThan(50_000)
})
