import { expect, test } from 'vitest'
import { createEventSplitter } from '@countersign/protocol/receipt/event-chain'
import { createUsageObserver, type MeterWire } from '../../src/metering/observe-usage.ts'
import type { Observation } from '../../src/metering/usage.ts'
import { absence, hasRecordings } from '../../../../test/provider/recordings.ts'
import { readRecordings } from './recordings.ts'

type Stream = { readonly wire: MeterWire; readonly bytes: Buffer; readonly expected: string }

const seed = 20_261_121

/** A small generator, so that a failure can be had again (xorshift). */
function createRandom(start: number): (below: number) => number {
  let state = start
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

function observeCut(wire: MeterWire, bytes: Buffer, nextLength: () => number): Observation {
  const splitter = createEventSplitter()
  const observer = createUsageObserver(wire)
  for (let start = 0; start < bytes.length;) {
    const end = start + nextLength()
    for (const event of splitter.push(bytes.subarray(start, end))) observer.observe(event)
    start = end
  }
  observer.observe(splitter.end().element)
  return observer.result()
}

/** Streams and the ends of streams: of long ones the first events and the last, where all that matters stands. */
function readStreams(maxBytes: number): readonly Stream[] {
  return readRecordings().flatMap(({ wire, answers }) =>
    answers.flatMap((answer) => {
      if (answer.kind === 'body') return []
      const { events } = answer
      const kept = events.length > 6 ? [...events.slice(0, 2), ...events.slice(-3)] : events
      const bytes = Buffer.concat(kept)
      if (bytes.length > maxBytes) return []
      const whole = observeCut(wire, bytes, () => bytes.length)
      return [{ wire, bytes, expected: JSON.stringify(whole) }]
    }),
  )
}

test.skipIf(!hasRecordings)(
  `sees the same usage in 100,000 ways to cut a stream${absence}`,
  () => {
    const streams = readStreams(1800)
    expect(streams.length).toBeGreaterThan(15)
    const random = createRandom(seed)
    let metered = 0
    for (let run = 0; run < 100_000; run++) {
      const stream = streams[random(streams.length)]
      if (stream === undefined) throw new Error('no stream')
      // From pieces of a few bytes to nearly whole streams.
      const most = 2 ** (6 + random(6))
      const seen = observeCut(stream.wire, stream.bytes, () => 1 + random(most))
      if (JSON.stringify(seen) !== stream.expected) {
        expect(seen, `run ${String(run)} of seed ${String(seed)}`).toEqual(
          JSON.parse(stream.expected),
        )
      }
      if (seen.usage.kind === 'exact') metered++
    }
    expect(metered).toBeGreaterThan(80_000)
  },
  600_000,
)

test.skipIf(!hasRecordings)(`sees the same usage byte by byte, in every stream${absence}`, () => {
  const streams = readStreams(Infinity)
  expect(streams.length).toBeGreaterThan(34)
  for (const { wire, bytes, expected } of streams) {
    expect(JSON.stringify(observeCut(wire, bytes, () => 1))).toBe(expected)
  }
})
