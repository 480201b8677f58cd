import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import {
  openUpstreamAnswerStore,
  type UpstreamAnswerStore,
} from '../src/receipts/upstream-answer-store.ts'

const token = 'A'.repeat(43)
const other = `${'A'.repeat(42)}E`

function open(maxBytes: number, folder = createFolder()): UpstreamAnswerStore {
  const store = openUpstreamAnswerStore(folder, maxBytes)
  onTestFinished(() => {
    store.close()
  })
  return store
}

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-answers-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

const idOf = (number: number): string => number.toString(16).padStart(32, '0')

test('bytes come back for the token that they were sealed with, and for no other', () => {
  const store = open(1000)
  store.put(idOf(1), token, Buffer.from('secret prompt'), 1)
  expect(store.get(idOf(1), token)?.toString()).toBe('secret prompt')
  expect(store.get(idOf(1), other)).toBeUndefined()
  expect(store.get(idOf(2), token)).toBeUndefined()
})

test('an empty body is kept too', () => {
  const store = open(1000)
  store.put(idOf(1), token, Buffer.alloc(0), 1)
  expect(store.get(idOf(1), token)).toEqual(Buffer.alloc(0))
})

test('the file holds neither the bytes nor the token', () => {
  const folder = createFolder()
  const store = openUpstreamAnswerStore(folder, 1000)
  store.put(idOf(1), token, Buffer.from('secret prompt'), 1)
  store.close()
  const file = readFileSync(join(folder, 'upstream-answers.db'))
  expect(file.length).toBeGreaterThan(1000)
  expect(file.includes('secret')).toBe(false)
  expect(file.includes(token)).toBe(false)
})

test('the oldest go first when the room is used up, also after a new start', () => {
  const folder = createFolder()
  const store = openUpstreamAnswerStore(folder, 25)
  for (const number of [1, 2, 3]) store.put(idOf(number), token, Buffer.alloc(10, number), number)
  expect([1, 2, 3].map((number) => store.get(idOf(number), token)?.length)).toEqual([
    undefined,
    10,
    10,
  ])
  store.put(idOf(9), token, Buffer.alloc(26), 9)
  expect(store.get(idOf(9), token)).toBeUndefined()
  expect(store.get(idOf(2), token)).toHaveLength(10)
  store.close()
  const again = open(25, folder)
  again.put(idOf(4), token, Buffer.alloc(10), 4)
  expect([2, 3, 4].map((number) => again.get(idOf(number), token)?.length)).toEqual([
    undefined,
    10,
    10,
  ])
})

test('what is too old is removed', () => {
  const store = open(1000)
  store.put(idOf(1), token, Buffer.from('a'), 10)
  store.put(idOf(2), token, Buffer.from('b'), 20)
  store.removeOlderThan(20)
  expect(store.get(idOf(1), token)).toBeUndefined()
  expect(store.get(idOf(2), token)?.toString()).toBe('b')
})

test('two processes keep no more than one may, whoever adds and whoever removes', () => {
  const folder = createFolder()
  const [one, two] = [open(25, folder), open(25, folder)]
  one.put(idOf(1), token, Buffer.alloc(10), 1)
  two.put(idOf(2), token, Buffer.alloc(10), 2)
  // A third one opens the file while they have it.
  const three = open(25, folder)
  one.put(idOf(3), token, Buffer.alloc(10), 3)
  two.put(idOf(4), token, Buffer.alloc(10), 4)
  const lengths = (store: UpstreamAnswerStore): readonly (number | undefined)[] =>
    [1, 2, 3, 4].map((number) => store.get(idOf(number), token)?.length)
  for (const store of [one, two, three]) {
    expect(lengths(store)).toEqual([undefined, undefined, 10, 10])
  }
  // The room of what is too old is free again for the other one.
  one.removeOlderThan(4)
  two.put(idOf(5), token, Buffer.alloc(10), 5)
  expect(lengths(one)).toEqual([undefined, undefined, undefined, 10])
  expect(one.get(idOf(5), token)).toHaveLength(10)
})

test('the bytes of one call are kept once: its key is for one message', () => {
  const store = open(1000)
  store.put(idOf(1), token, Buffer.from('first'), 1)
  store.put(idOf(1), token, Buffer.from('other'), 2)
  expect(store.get(idOf(1), token)?.toString()).toBe('first')
})
