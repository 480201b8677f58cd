import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { JournalDamaged } from '../src/payment/ledger/journal-frame.ts'
import { createJournalStorage, type JournalStorage } from '../src/payment/ledger/journal-storage.ts'
import { findJournal, type Journal, type JournalFound } from '../src/payment/ledger/journal.ts'
import { createWatchedStorage, temporaryDirectory, type DiskOperation } from './ledger/storage.ts'

type Opened = {
  readonly journal: Journal
  readonly found: JournalFound
  /** What the journal should hold: its checkpoints are made of it. */
  readonly lines: string[]
  readonly faults: unknown[]
}

async function open(storage: JournalStorage, segmentBytes = 1 << 16): Promise<Opened> {
  const lines: string[] = []
  const faults: unknown[] = []
  const found = await findJournal({
    storage,
    intervalMs: 0,
    segmentBytes,
    dump: () => [...lines],
    onFault: (error) => faults.push(error),
  })
  lines.push(...found.lines)
  return { found, lines, faults, journal: await found.open() }
}

function append({ journal, lines }: Opened, line: string): void {
  lines.push(line)
  journal.append(line)
}

function fileOf(directory: string): string {
  const name = readdirSync(directory).find((each) => each.endsWith('.journal'))
  if (name === undefined) throw new Error('no segment')
  return join(directory, name)
}

/** Three groups of two records each. */
async function writeThreeGroups(directory: string): Promise<readonly string[]> {
  const opened = await open(createJournalStorage(directory), 1000)
  for (const group of ['a', 'b', 'c']) {
    append(opened, `${group}1`)
    append(opened, `${group}2`)
    await opened.journal.durable()
  }
  await opened.journal.close()
  return opened.lines
}

test('records come back in order after a restart, and again after the next', async () => {
  const directory = temporaryDirectory()
  const lines = await writeThreeGroups(directory)
  const second = await open(createJournalStorage(directory))
  expect(second.found.lines).toEqual(lines)
  append(second, 'd1')
  await second.journal.close()
  const third = await open(createJournalStorage(directory))
  expect(third.found.lines).toEqual([...lines, 'd1'])
  expect(third.found.torn).toBe(false)
  await third.journal.close()
})

test('nothing is durable before its group is synced, and what comes meanwhile is one group', async () => {
  const directory = temporaryDirectory()
  const seen = { writes: 0 }
  let blocked: PromiseWithResolvers<void> | undefined
  const opened = await open(
    createWatchedStorage(directory, async (operation) => {
      if (operation === 'write') seen.writes++
      if (operation === 'sync') await blocked?.promise
    }),
  )
  seen.writes = 0
  blocked = Promise.withResolvers()
  append(opened, 'first')
  const order: string[] = []
  const first = opened.journal.durable().then(() => order.push('first durable'))
  while (seen.writes === 0) await new Promise(setImmediate)
  for (let index = 0; index < 50; index++) append(opened, `later ${index}`)
  const later = opened.journal.durable().then(() => order.push('later durable'))
  order.push('sync returns')
  blocked.resolve()
  await Promise.all([first, later])
  expect(order).toEqual(['sync returns', 'first durable', 'later durable'])
  expect(seen.writes).toBe(2)
  await opened.journal.durable()
  await opened.journal.close()
})

test('a file cut anywhere in its last group loses that group only', async () => {
  const directory = temporaryDirectory()
  const lines = await writeThreeGroups(directory)
  const file = fileOf(directory)
  const whole = readFileSync(file)
  const start = whole.lastIndexOf('CSJ1')
  const end = whole.indexOf('c2') + 2
  let checked = 0
  for (let cut = start; cut < end; cut++) {
    const torn = Buffer.from(whole)
    torn.fill(0, cut)
    writeFileSync(file, torn)
    const opened = await open(createJournalStorage(directory))
    expect(opened.found.lines).toEqual(lines.slice(0, 4))
    expect(opened.found.torn).toBe(cut > start)
    // What is appended now stands where the torn group stood, and nothing of that one is left behind it.
    append(opened, 'x')
    await opened.journal.close()
    const again = await open(createJournalStorage(directory))
    expect(again.found.lines).toEqual([...lines.slice(0, 4), 'x'])
    await again.journal.close()
    checked++
  }
  expect(checked).toBeGreaterThan(20)
})

test('sectors of the last group that the disk wrote in another order are a torn group', async () => {
  const directory = temporaryDirectory()
  const lines = await writeThreeGroups(directory)
  const file = fileOf(directory)
  const whole = readFileSync(file)
  whole.fill(0, whole.lastIndexOf('CSJ1'), whole.lastIndexOf('CSJ1') + 12)
  writeFileSync(file, whole)
  const opened = await open(createJournalStorage(directory))
  expect(opened.found).toMatchObject({ lines: lines.slice(0, 4), torn: true })
  await opened.journal.close()
})

test('a change of any byte before the last group is no crash', async () => {
  const directory = temporaryDirectory()
  await writeThreeGroups(directory)
  const file = fileOf(directory)
  const whole = readFileSync(file)
  const last = whole.lastIndexOf('CSJ1')
  for (let at = 0; at < last; at++) {
    const changed = Buffer.from(whole)
    changed.writeUInt8(changed.readUInt8(at) ^ 0x40, at)
    writeFileSync(file, changed)
    await expect(open(createJournalStorage(directory))).rejects.toBeInstanceOf(JournalDamaged)
  }
  expect(last).toBeGreaterThan(60)
})

test('a full segment gives way to a checkpoint while records go on', async () => {
  const directory = temporaryDirectory()
  const opened = await open(createJournalStorage(directory), 2000)
  for (let index = 0; index < 600; index++) {
    append(opened, `record ${index} ${'x'.repeat(20)}`)
    if (index % 3 === 0) await opened.journal.durable()
  }
  await opened.journal.durable()
  await opened.journal.close()
  const segments = readdirSync(directory).filter((name) => name.endsWith('.journal'))
  expect(segments).toHaveLength(1)
  expect(Number(/[0-9]+/.exec(segments.join())?.[0])).toBeGreaterThan(3)
  const again = await open(createJournalStorage(directory), 2000)
  expect(again.found.lines).toEqual(opened.lines)
  await again.journal.close()
  expect(opened.faults).toEqual([])
})

test('a crash between two segments leaves both, and the newer one is read', async () => {
  const directory = temporaryDirectory()
  const opened = await open(
    createWatchedStorage(directory, (operation) => {
      if (operation === 'remove') throw new Error('died here')
    }),
    500,
  )
  for (let index = 0; opened.faults.length === 0; index++) {
    append(opened, `record ${index}`)
    await opened.journal.durable().catch(() => undefined)
  }
  await opened.journal.close()
  expect(readdirSync(directory).filter((name) => name.endsWith('.journal'))).toHaveLength(2)
  const again = await open(createJournalStorage(directory))
  // The record whose group was not written any more was never called durable.
  expect(again.found.lines).toEqual(opened.lines.slice(0, again.found.lines.length))
  expect(again.found.lines.length).toBeGreaterThanOrEqual(opened.lines.length - 1)
  expect(readdirSync(directory).filter((name) => name.endsWith('.journal'))).toHaveLength(1)
  await again.journal.close()
})

test.each<DiskOperation>(['write', 'sync', 'create', 'publish'])(
  'when the disk refuses to %s, nothing more is durable and the process is told once',
  async (failing) => {
    const directory = temporaryDirectory()
    const error = new Error(`EIO: ${failing}`)
    let armed = false
    const opened = await open(
      createWatchedStorage(directory, (operation) => {
        if (armed && operation === failing) throw error
      }),
      300,
    )
    append(opened, 'durable')
    await opened.journal.durable()
    armed = true
    const confirmed: string[] = ['durable']
    let rejected: unknown
    for (let index = 0; index < 200 && rejected === undefined; index++) {
      const line = `record ${index}`
      try {
        append(opened, line)
        await opened.journal.durable()
        confirmed.push(line)
      } catch (cause) {
        rejected = cause
      }
    }
    expect(rejected).toBe(error)
    expect(opened.faults).toEqual([error])
    expect(() => {
      opened.journal.append('later')
    }).toThrow(error)
    await expect(opened.journal.durable()).rejects.toBe(error)
    await opened.journal.close()
    const again = await open(createJournalStorage(directory))
    expect(again.found.lines).toEqual(expect.arrayContaining(confirmed))
    await again.journal.close()
  },
)
