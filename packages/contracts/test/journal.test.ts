import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openJournal, startSegment } from '../src/chain/journal.ts'
import type { JournalRecord } from '../src/chain/journal.ts'
import { temporaryDirectory } from './local-chain.ts'

const records: JournalRecord[] = [
  { kind: 'transaction', raw: '0x02aa' },
  { kind: 'block', timestampSeconds: 1_790_000_001 },
  { kind: 'transaction', raw: '0x02bb' },
  { kind: 'transaction', raw: '0x02cc' },
  { kind: 'block', timestampSeconds: 1_790_000_002 },
]

async function writeJournal(directory: string): Promise<string> {
  const { journal } = await openJournal(directory, 0)
  for (const record of records) await journal.append(record)
  await journal.close()
  return join(directory, 'journal-0.ndjson')
}

async function reopen(directory: string, headBlock = 0) {
  const { journal, ...found } = await openJournal(directory, headBlock)
  await journal.close()
  return found
}

test('gives back every record in order', async () => {
  const directory = temporaryDirectory()
  await writeJournal(directory)
  expect(await reopen(directory)).toEqual({ records, truncatedBytes: 0 })
})

test('cuts off a last line torn at any byte, and appends after it', async () => {
  const directory = temporaryDirectory()
  const path = await writeJournal(directory)
  const whole = readFileSync(path)
  const lastLine = whole.lastIndexOf('\n', -2) + 1
  expect(whole.length - lastLine).toBeGreaterThan(10)
  for (let size = lastLine + 1; size < whole.length; size += 1) {
    writeFileSync(path, whole.subarray(0, size))
    const opened = await openJournal(directory, 0)
    expect(opened.records).toEqual(records.slice(0, -1))
    expect(opened.truncatedBytes).toBe(size - lastLine)
    await opened.journal.append({ kind: 'block', timestampSeconds: 7 })
    await opened.journal.close()
    const after = [...records.slice(0, -1), { kind: 'block', timestampSeconds: 7 }]
    expect(await reopen(directory)).toEqual({ records: after, truncatedBytes: 0 })
  }
})

test('cuts off a last line with a hole where a sector was not written', async () => {
  const directory = temporaryDirectory()
  const path = await writeJournal(directory)
  appendFileSync(path, '{"t":"0x02\0\0\0\0\0\0aa"}\n')
  expect(await reopen(directory)).toEqual({ records, truncatedBytes: 21 })
  appendFileSync(path, '\0'.repeat(4096))
  expect(await reopen(directory)).toEqual({ records, truncatedBytes: 4096 })
})

test('refuses a journal with a damaged line instead of guessing', async () => {
  const directory = temporaryDirectory()
  const path = await writeJournal(directory)
  const whole = readFileSync(path, 'utf8')
  const damaged = [
    whole.replace('0x02bb', '0x02b'),
    whole.replace('0x02bb', '0x02BB'),
    whole.replace('1790000001', '01'),
    whole.replace('1790000001', '-1'),
    whole.replace('1790000001', '1.5'),
    whole.replace('{"t"', '{"x"'),
    whole.replace('{"t"', ' {"t"'),
    `\n${whole}`,
    `${whole}{"b":0}\n`,
  ]
  for (const text of damaged) {
    expect(text).not.toBe(whole)
    writeFileSync(path, text)
    await expect(openJournal(directory, 0), text).rejects.toThrow('journal-damaged')
    // Nothing was repaired behind our back.
    expect(readFileSync(path, 'utf8')).toBe(text)
  }
})

test('replays only what follows the snapshot when its segment was not started yet', async () => {
  const directory = temporaryDirectory()
  await writeJournal(directory)
  expect((await reopen(directory, 1)).records).toEqual(records.slice(2))
  expect((await reopen(directory, 2)).records).toEqual([])
  await expect(openJournal(directory, 3)).rejects.toThrow('the snapshot is ahead of the journal')
})

test('starts a new segment after a snapshot and removes the old one', async () => {
  const directory = temporaryDirectory()
  const old = await writeJournal(directory)
  const segment = await startSegment(directory, 2)
  await segment.append({ kind: 'transaction', raw: '0x02dd' })
  await segment.close()
  expect(existsSync(old)).toBe(false)
  const found = await reopen(directory, 2)
  expect(found.records).toEqual([{ kind: 'transaction', raw: '0x02dd' }])
})

test('finishes removing old segments after a crash in between', async () => {
  const directory = temporaryDirectory()
  const old = await writeJournal(directory)
  writeFileSync(join(directory, 'journal-2.ndjson'), '')
  expect((await reopen(directory, 2)).records).toEqual([])
  expect(existsSync(old)).toBe(false)
})

test('refuses a journal whose snapshot is gone or older', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'journal-2.ndjson'), '')
  await expect(openJournal(directory, 0)).rejects.toThrow('journal-damaged')
  await expect(openJournal(directory, 1)).rejects.toThrow('journal-damaged')
  await expect(openJournal(temporaryDirectory(), 5)).rejects.toThrow('journal-damaged')
})

test('refuses every record after one that the disk refused', async () => {
  const { journal } = await openJournal(temporaryDirectory(), 0)
  await journal.close()
  const record: JournalRecord = { kind: 'block', timestampSeconds: 1 }
  await expect(journal.append(record)).rejects.toThrow('the disk refused a record')
  await expect(journal.append(record)).rejects.toThrow('an earlier write failed')
})
