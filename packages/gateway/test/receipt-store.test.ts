import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  openReceiptStore,
  type ReceiptStore,
  type StoredReceipt,
} from '../src/receipts/receipt-store.ts'

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-receipts-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

function open(folder: string, errors: unknown[] = []): ReceiptStore {
  return openReceiptStore(folder, (error) => {
    errors.push(error)
  })
}

function receiptAt(timeMs: number): StoredReceipt {
  return {
    id: randomBytes(16).toString('hex'),
    timeMs,
    tokenDigest: randomBytes(32),
    statement: randomBytes(300),
    claims: [
      { kind: 'claim', bytes: randomBytes(40) },
      { kind: 'claim', bytes: randomBytes(1) },
    ],
    keysetDigest: randomBytes(32),
    events: randomBytes(64),
  }
}

/** Its members with byte strings in hex, for comparing: Buffers and Uint8Arrays are equal bytes here. */
function plain(receipt: StoredReceipt | undefined): unknown {
  if (receipt === undefined) return undefined
  const { claims, ...rest } = receipt
  const members = Object.entries(rest).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? toHex(value) : value,
  ])
  return {
    ...Object.fromEntries(members),
    claims: claims.map((entry) => (entry.kind === 'claim' ? toHex(entry.bytes) : entry)),
  }
}

function countStored(folder: string): number {
  const database = new DatabaseSync(join(folder, 'receipts.db'), { readOnly: true })
  const row = database.prepare('SELECT count(*) AS n FROM receipt').get()
  database.close()
  return Number(row?.['n'])
}

test('gives a receipt back at once, from the disk, and after a restart', async () => {
  const folder = createFolder()
  const store = open(folder)
  const receipt = receiptAt(5)
  store.put(receipt)
  expect(plain(store.get(receipt.id))).toEqual(plain(receipt))
  while (countStored(folder) === 0) await nextTurn()
  expect(plain(store.get(receipt.id))).toEqual(plain(receipt))
  store.close()
  const again = open(folder)
  expect(plain(again.get(receipt.id))).toEqual(plain(receipt))
  expect(again.get('0'.repeat(32))).toBeUndefined()
  again.close()
})

test('writes what still waits when it is closed', () => {
  const folder = createFolder()
  const store = open(folder)
  const receipts = Array.from({ length: 10 }, (_, index) => receiptAt(index))
  for (const receipt of receipts) store.put(receipt)
  expect(countStored(folder)).toBe(0)
  store.close()
  expect(countStored(folder)).toBe(10)
})

test('writes at once when much waits', () => {
  const folder = createFolder()
  const store = open(folder)
  for (let index = 0; index < 1024; index++) store.put(receiptAt(index))
  expect(countStored(folder)).toBe(1024)
  store.close()
})

test('says that it cannot write, keeps what waits, and writes it when it can', async () => {
  const folder = createFolder()
  const errors: unknown[] = []
  const store = open(folder, errors)
  const blocker = new DatabaseSync(join(folder, 'receipts.db'))
  blocker.exec('BEGIN IMMEDIATE')
  const receipts = Array.from({ length: 1500 }, (_, index) => receiptAt(index))
  for (const receipt of receipts) store.put(receipt)
  while (errors.length < 2) await nextTurn()
  expect(errors.length).toBeLessThan(5)
  for (const receipt of receipts) expect(store.get(receipt.id)).toBe(receipt)
  blocker.exec('ROLLBACK')
  blocker.close()
  while (countStored(folder) === 0) await nextTurn()
  expect(countStored(folder)).toBe(receipts.length)
  store.close()
})

test('removes receipts that are older than asked', () => {
  const folder = createFolder()
  const first = open(folder)
  const receipts = [10, 20, 30].map(receiptAt)
  for (const receipt of receipts) first.put(receipt)
  first.close()
  const store = open(folder)
  store.removeOlderThan(20)
  expect(receipts.map(({ id }) => store.get(id)?.timeMs)).toEqual([undefined, 20, 30])
  store.close()
})

test('keeps keysets with their evidence and knows the last one, also after a restart', () => {
  const folder = createFolder()
  const store = open(folder)
  expect(store.lastKeysetDigest()).toBeUndefined()
  const keysets = Array.from({ length: 3 }, () => ({
    keysetDigest: randomBytes(32),
    keysetStatement: randomBytes(200),
    evidence: { kind: 'simulated', nonce: randomBytes(32), data: randomBytes(100) },
  }))
  for (const keyset of keysets) store.putKeyset(keyset)
  store.close()
  const again = open(folder)
  const last = keysets.at(-1)
  expect(Buffer.from(again.lastKeysetDigest() ?? [])).toEqual(last?.keysetDigest)
  for (const { keysetDigest, keysetStatement, evidence } of keysets) {
    const kept = again.getKeyset(keysetDigest)
    expect(Buffer.from(kept?.keysetStatement ?? [])).toEqual(keysetStatement)
    expect(kept?.evidence.kind).toBe('simulated')
    expect(Buffer.from(kept?.evidence.nonce ?? [])).toEqual(evidence.nonce)
    expect(Buffer.from(kept?.evidence.data ?? [])).toEqual(evidence.data)
  }
  expect(again.getKeyset(randomBytes(32))).toBeUndefined()
  again.close()
})

test('keeps of a refusal its own bytes, not the pools that they were cut from', () => {
  const store = open(createFolder())
  const pool = Buffer.alloc(65_536, 7)
  const receipt = receiptAt(1)
  const cut: StoredReceipt = {
    ...receipt,
    tokenDigest: pool.subarray(0, 32),
    statement: pool.subarray(100, 400),
    claims: [{ kind: 'claim', bytes: pool.subarray(500, 520) }],
    keysetDigest: pool.subarray(600, 632),
    events: pool.subarray(0, 0),
  }
  store.putTransient(cut)
  const kept = store.get(cut.id)
  expect(plain(kept)).toEqual(plain(cut))
  const claims = kept?.claims.flatMap((entry) => (entry.kind === 'claim' ? [entry.bytes] : []))
  const parts = [kept?.tokenDigest, kept?.statement, kept?.keysetDigest, ...(claims ?? [])]
  expect(parts).toHaveLength(4)
  for (const part of parts) expect(part?.buffer.byteLength).toBeLessThan(400)
  store.close()
})

test('forgets the oldest of more refusals than it keeps', () => {
  const store = open(createFolder())
  const refusals = Array.from({ length: 4098 }, (_, index) => receiptAt(index))
  for (const refusal of refusals) store.putTransient(refusal)
  const known = refusals.map(({ id }) => store.get(id) !== undefined)
  expect(known.filter(Boolean)).toHaveLength(4096)
  expect(known.slice(0, 3)).toEqual([false, false, true])
  store.close()
})
