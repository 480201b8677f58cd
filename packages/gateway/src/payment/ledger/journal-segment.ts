/** One file of the journal: a checkpoint, the groups after it, and zeros where later groups will stand. */
import { setImmediate } from 'node:timers/promises'
import { encodeFrame } from './journal-frame.ts'
import type { JournalFile, JournalStorage } from './journal-storage.ts'

/** A segment that is being written. */
export type Segment = {
  readonly number: number
  readonly file: JournalFile
  /** Where the checkpoint ends. */
  readonly beginOffset: number
  /** Where the next group stands. */
  readonly endOffset: number
  readonly lastSequence: number
}

const linesPerTurn = 256
const zeros = new Uint8Array(1 << 20)

/**
 * Writes a checkpoint under a temporary name, synced. Syncing a group later is cheaper when its place in the file
 * exists already, hence the zeros. Other work goes on in between.
 */
export async function createSegment(
  storage: JournalStorage,
  number: number,
  sequence: number,
  lines: Iterable<string>,
  spareBytes: number,
): Promise<Segment> {
  const texts: string[] = []
  for (const line of lines) {
    texts.push(line)
    if (texts.length % linesPerTurn === 0) await setImmediate()
  }
  const frame = encodeFrame(sequence, Buffer.from(texts.join('\n')))
  const file = await storage.create()
  await file.write(frame, 0)
  await fillWithZeros(file, frame.length, frame.length + spareBytes)
  await file.sync()
  const endOffset = frame.length
  return { number, file, beginOffset: endOffset, endOffset, lastSequence: sequence }
}

/** Overwrites a part of a file; the caller syncs. */
export async function fillWithZeros(
  file: JournalFile,
  fromOffset: number,
  toOffset: number,
): Promise<void> {
  for (let offset = fromOffset; offset < toOffset; offset += zeros.length) {
    await file.write(zeros.subarray(0, Math.min(zeros.length, toOffset - offset)), offset)
  }
}
