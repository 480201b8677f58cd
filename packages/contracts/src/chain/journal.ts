/**
 * The inputs of the chain, in order, each durable before anvil sees it: raw transactions and block timestamps.
 * One line of JSON per record, in segments named after the block they follow: `journal-120.ndjson` holds what
 * happened after block 120. anvil is a pure function of genesis and these records, so replaying them gives the
 * same blocks with the same hashes.
 */

import { open, readdir, readFile, truncate, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory } from './durable-file.ts'
import { ChainError } from './errors.ts'

/** A signed transaction offered to anvil, or a block to be mined with exactly this timestamp (seconds). */
export type JournalRecord =
  | { readonly kind: 'transaction'; readonly raw: `0x${string}` }
  | { readonly kind: 'block'; readonly timestampSeconds: number }

/** What recovery found: the segment to append to and the records anvil has to be given again. */
export type OpenedJournal = {
  readonly journal: Journal
  readonly records: readonly JournalRecord[]
  /** Bytes of a torn last line that were cut off; 0 after a clean stop. */
  readonly truncatedBytes: number
}

const TRANSACTION_LINE = /^\{"t":"(0x(?:[0-9a-f]{2})+)"\}$/
const BLOCK_LINE = /^\{"b":([1-9][0-9]{0,11})\}$/
const SEGMENT_NAME = /^journal-(0|[1-9][0-9]{0,11})\.ndjson$/

/**
 * The open segment. One owner calls `append`, one call at a time; nothing else writes the file.
 */
export class Journal {
  readonly #file: FileHandle
  /** Owned by append: the length up to which every byte is durable. */
  #sizeBytes: number
  /** Owned by append: set once the file may hold bytes we cannot vouch for. */
  #broken = false

  constructor(file: FileHandle, sizeBytes: number) {
    this.#file = file
    this.#sizeBytes = sizeBytes
  }

  /**
   * Returns once the record is on disk (fdatasync). A crash before that leaves a torn last line or a whole record
   * that nobody was told about; recovery cuts off the first and replays the second.
   *
   * @throws ChainError `journal-write-failed`. The journal then refuses every further record: whether this one is on
   * disk is found out by recovery.
   */
  async append(record: JournalRecord): Promise<void> {
    if (this.#broken) throw new ChainError('journal-write-failed', 'an earlier write failed')
    const line = new TextEncoder().encode(encodeRecord(record))
    try {
      await writeFully(this.#file, line, this.#sizeBytes)
      await this.#file.datasync()
    } catch (cause) {
      // Nobody knows what is on disk now, and a second fdatasync may lie. Recovery reads the file and decides.
      this.#broken = true
      throw new ChainError('journal-write-failed', 'the disk refused a record', { cause })
    }
    this.#sizeBytes += line.length
  }

  /** Closes the file. Every appended record is already durable. */
  async close(): Promise<void> {
    await this.#file.close()
  }
}

/**
 * Finds what has to be replayed on a chain that stands at `headBlock` (the block of the loaded snapshot, 0 after
 * genesis), cuts off a torn last line and opens the segment for appending. Removes older segments.
 *
 * @throws ChainError `journal-damaged` when a line in the middle is not a record, or when snapshot and segments do
 * not fit together.
 */
export async function openJournal(directory: string, headBlock: number): Promise<OpenedJournal> {
  const bases = await listSegments(directory)
  const newest = bases.at(-1)
  if (newest === undefined) {
    if (headBlock !== 0) throw new ChainError('journal-damaged', 'no segment after the snapshot')
    return { journal: await createSegment(directory, 0), records: [], truncatedBytes: 0 }
  }
  if (newest > headBlock) {
    throw new ChainError('journal-damaged', `segment ${newest} follows a block beyond ${headBlock}`)
  }
  const path = segmentPath(directory, newest)
  const { records, sizeBytes, truncatedBytes } = await readSegment(path)
  const remaining = afterBlocks(records, headBlock - newest)
  const journal = new Journal(await open(path, 'r+'), sizeBytes)
  await removeSegmentsBefore(directory, newest)
  return { journal, records: remaining, truncatedBytes }
}

/**
 * Starts the segment that follows a durable snapshot of `headBlock` and removes the segments it replaces. A crash
 * in between leaves the old segment, which recovery reads up to the snapshot's block.
 */
export async function startSegment(directory: string, headBlock: number): Promise<Journal> {
  const journal = await createSegment(directory, headBlock)
  await removeSegmentsBefore(directory, headBlock)
  return journal
}

/**
 * Reads one segment and truncates a torn last line: one without a line end, or one with a hole of zero bytes where
 * the disk had not written a sector. A sender was never told that such a record was accepted.
 */
async function readSegment(
  path: string,
): Promise<{ records: JournalRecord[]; sizeBytes: number; truncatedBytes: number }> {
  const bytes = await readFile(path)
  const records: JournalRecord[] = []
  let offset = 0
  while (offset < bytes.length) {
    const end = bytes.indexOf(0x0a, offset)
    if (end === -1) break
    const line = bytes.toString('latin1', offset, end)
    const record = parseRecord(line)
    if (record === undefined) {
      if (end === bytes.length - 1 && line.includes('\0')) break
      throw new ChainError('journal-damaged', `no record at byte ${offset}`)
    }
    records.push(record)
    offset = end + 1
  }
  const truncatedBytes = bytes.length - offset
  if (truncatedBytes > 0) await truncateDurably(path, offset)
  return { records, sizeBytes: offset, truncatedBytes }
}

function encodeRecord(record: JournalRecord): string {
  return record.kind === 'transaction'
    ? `{"t":"${record.raw}"}\n`
    : `{"b":${record.timestampSeconds}}\n`
}

function parseRecord(line: string): JournalRecord | undefined {
  const block = BLOCK_LINE.exec(line)?.[1]
  if (block !== undefined) return { kind: 'block', timestampSeconds: Number(block) }
  const raw = TRANSACTION_LINE.exec(line)?.[1]
  if (raw !== undefined) return { kind: 'transaction', raw: `0x${raw.slice(2)}` }
  return undefined
}

function afterBlocks(records: readonly JournalRecord[], blocks: number): readonly JournalRecord[] {
  let seen = 0
  let index = 0
  while (seen < blocks) {
    const record = records[index]
    if (record === undefined) {
      throw new ChainError('journal-damaged', 'the snapshot is ahead of the journal')
    }
    if (record.kind === 'block') seen += 1
    index += 1
  }
  return records.slice(index)
}

async function createSegment(directory: string, headBlock: number): Promise<Journal> {
  const file = await open(segmentPath(directory, headBlock), 'wx', 0o600)
  await syncDirectory(directory)
  return new Journal(file, 0)
}

async function removeSegmentsBefore(directory: string, headBlock: number): Promise<void> {
  const older = (await listSegments(directory)).filter((base) => base < headBlock)
  await Promise.all(older.map((base) => unlink(segmentPath(directory, base))))
}

async function listSegments(directory: string): Promise<number[]> {
  const bases = (await readdir(directory)).flatMap((name) => {
    const base = SEGMENT_NAME.exec(name)?.[1]
    return base === undefined ? [] : [Number(base)]
  })
  return bases.toSorted((a, b) => a - b)
}

function segmentPath(directory: string, headBlock: number): string {
  return join(directory, `journal-${headBlock}.ndjson`)
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(
      bytes,
      written,
      bytes.length - written,
      position + written,
    )
    written += bytesWritten
  }
}

async function truncateDurably(path: string, sizeBytes: number): Promise<void> {
  await truncate(path, sizeBytes)
  const file = await open(path, 'r+')
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}
