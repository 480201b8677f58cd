import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  countMeasured,
  encodeMeasuredLog,
  listGatewayEvents,
  parseMeasuredLog,
  replayEvents,
  toExtension,
} from '@countersign/protocol/attestation/tpm/measured-log'

const events = listGatewayEvents(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2))

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

test('extends the way that spec/attestation.md says', () => {
  const extensions = ['build', 'configuration'].map((name, at) =>
    sha256(
      Buffer.from(`countersign/measure/v1\0countersign/${name}\0`),
      new Uint8Array(32).fill(at + 1),
    ),
  )
  expect(events.map((event) => Buffer.from(toExtension(event)))).toEqual(extensions)
  let value: Buffer = Buffer.alloc(32)
  for (const extension of extensions) value = sha256(value, extension)
  expect(Buffer.from(replayEvents(events))).toEqual(value)
})

test('knows how much of a log a PCR has taken', () => {
  expect(countMeasured(events, new Uint8Array(32))).toBe(0)
  expect(countMeasured(events, replayEvents(events.slice(0, 1)))).toBe(1)
  expect(countMeasured(events, replayEvents(events))).toBe(2)
  expect(countMeasured(events, replayEvents(events.slice(1)))).toBeUndefined()
  expect(countMeasured(events, replayEvents([...events, ...events]))).toBeUndefined()
})

test('a log comes back as it was', () => {
  const log = { pcr: 14, events }
  expect(parseMeasuredLog(encodeMeasuredLog(log))).toEqual(log)
})
