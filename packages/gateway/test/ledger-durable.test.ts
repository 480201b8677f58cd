import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { DatabaseFault } from '../src/payment/database.ts'
import { openDurableLedger, type DurableLedger } from '../src/payment/ledger/durable-ledger.ts'
import { JournalDamaged } from '../src/payment/ledger/journal-frame.ts'
import { createJournalStorage } from '../src/payment/ledger/journal-storage.ts'
import { findJournal } from '../src/payment/ledger/journal.ts'
import {
  addressOf,
  callOf,
  permitOf,
  reservationOf,
  sampleConfig,
  viewOf,
  wordOf,
} from './ledger/sample-events.ts'
import { temporaryDirectory } from './ledger/storage.ts'

const program = fileURLToPath(new URL('./ledger/ledger-child.ts', import.meta.url))
const channelId = wordOf(1)
const payer = addressOf(1)

function open(directory: string): Promise<DurableLedger> {
  return openDurableLedger({
    directory,
    clock: () => 42,
    onFault: (error) => {
      throw error
    },
  })
}

async function openWithRunning(directory: string): Promise<DurableLedger> {
  const ledger = await open(directory)
  const events = [
    { type: 'channel-opened', channelId, config: sampleConfig, view: viewOf(1000n) },
    reservationOf(channelId, 1, 100n, 100n, { mode: 'unique-ceiling' }),
    reservationOf(channelId, 2, 100n, 200n, { mode: 'unique-ceiling' }),
    { type: 'call-progressed', channelId, callId: callOf(1), provenAtomic: 30n },
    { type: 'channel-opened', channelId: wordOf(2), config: sampleConfig, view: viewOf(1000n) },
    reservationOf(wordOf(2), 3, 100n, 100n),
    {
      type: 'upto-reserved',
      payer,
      permit: permitOf(1n, 100n),
      callId: callOf(4),
      requestHash: wordOf(1),
      fundsAtomic: 1000n,
      maxExposureAtomic: 1000n,
    },
  ] as const
  for (const event of events) expect(ledger.apply(event).kind).toBe('accepted')
  await ledger.durable()
  return ledger
}

test('calls that ran when the process ended are charged what is proven, through ordinary events', async () => {
  const directory = temporaryDirectory()
  const first = await openWithRunning(directory)
  await first.close()
  const second = await open(directory)
  // 30 are proven; the other call of the channel is used up with a charge of 0.
  expect(second.state.channels.get(channelId)).toMatchObject({
    chargedAtomic: 30n,
    reservedAtomic: 0n,
    running: [],
    unclaimedSinceMs: 42,
    usedCeilings: [100n, 200n],
  })
  // A strict voucher that bought nothing complete is usable again.
  expect(second.state.channels.get(wordOf(2))).toMatchObject({ chargedAtomic: 0n, running: [] })
  expect(second.apply(reservationOf(wordOf(2), 9, 100n, 100n)).kind).toBe('accepted')
  expect(second.state.payers.has(payer)).toBe(false)
  expect([...second.state.owedReceipts.values()].map((each) => each.amountAtomic)).toEqual([
    30n,
    0n,
    0n,
  ])
  await second.close()
  // What recovery did is itself durable.
  const third = await open(directory)
  expect(third.state.channels.get(channelId)?.chargedAtomic).toBe(30n)
  await third.close()
})

test('a refused event is not journaled', async () => {
  const directory = temporaryDirectory()
  const first = await open(directory)
  expect(first.apply({ type: 'channel-frozen', channelId })).toEqual({
    kind: 'refused',
    code: 'channel-unknown',
  })
  await first.close()
  const second = await open(directory)
  expect(second.state.channels.size).toBe(0)
  await second.close()
})

test('a second process may not open the ledger', async () => {
  const directory = temporaryDirectory()
  const first = await open(directory)
  await expect(open(directory)).rejects.toBeInstanceOf(DatabaseFault)
  await first.close()
  const second = await open(directory)
  await second.close()
})

test.each([
  ['{"type":"channel-frozen","channelId":"' + channelId + '"}', 'an event that the state refuses'],
  ['{"type":"channel-frozen","channelId":"0x1"}', 'an ill-formed member'],
  ['{"type":"unheard-of"}', 'an event of another version'],
  ['{"type":"receipt-issued","callId":"' + callOf(1) + '","more":1}', 'a member too many'],
  ['nonsense', 'no JSON'],
])('a journal that holds %s is refused', async (line) => {
  const directory = temporaryDirectory()
  const found = await findJournal({
    storage: createJournalStorage(directory),
    intervalMs: 0,
    segmentBytes: 1000,
    dump: () => [],
    onFault: () => undefined,
  })
  const journal = await found.open()
  journal.append(line)
  await journal.close()
  await expect(open(directory)).rejects.toBeInstanceOf(JournalDamaged)
})

test('a process whose disk is full ends at once', async () => {
  const directory = temporaryDirectory()
  // A file size limit is the disk that is full: the write fails, and SIGXFSZ is ignored.
  const child = spawn(
    'sh',
    [
      '-c',
      `trap '' XFSZ; ulimit -f 300; exec "$0" --conditions=source ${program} "$1" 1`,
      process.execPath,
      directory,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const errors: string[] = []
  child.stdout.resume()
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()))
  const [code] = await once(child, 'close')
  expect(code).not.toBe(0)
  expect(errors.join('')).toContain('EFBIG')
  const ledger = await open(directory)
  expect(readdirSync(join(directory)).length).toBeGreaterThan(0)
  await ledger.close()
})

test('kill -9 at random moments loses no charge and invents none', async () => {
  // The long run is this program with 200.
  const kills = fileURLToPath(new URL('./ledger/run-kills.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=source',
    kills,
    '20',
    '20261121',
  ])
  const tally = new Map(Object.entries(Object(JSON.parse(stdout))))
  expect(tally.get('kills')).toBe(20)
  expect(tally.get('compared')).toBeGreaterThan(100)
  expect(tally.get('receipts')).toBeGreaterThan(500)
  expect(tally.get('interrupted')).toBeGreaterThan(10)
  expect(tally.get('retired')).toBeGreaterThan(0)
  expect(tally.get('refundSteps')).toBeGreaterThan(50)
}, 600_000)
