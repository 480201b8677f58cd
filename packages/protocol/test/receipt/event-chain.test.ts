import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import {
  chainDigests,
  createEventChain,
  createEventSplitter,
  emptyEventChain,
  readElements,
  splitEvents,
} from '@countersign/protocol/receipt/event-chain'
import { expect, test } from 'vitest'
import { streamElements } from '../../../../test/vectors/sample-call.ts'
import { portion, runs } from '../arbitrary.ts'

const split = (text: string): { events: string[]; rest: string } => {
  const { events, rest } = splitEvents(encodeUtf8(text))
  return { events: events.map(toText), rest: toText(rest) }
}

test.each([
  ['', [], ''],
  ['a', [], 'a'],
  ['a\n', [], 'a\n'],
  ['a\n\n', ['a\n\n'], ''],
  ['a\r\n\r\n', ['a\r\n\r\n'], ''],
  ['a\r\r', ['a\r\r'], ''],
  ['a\n\r\n', ['a\n\r\n'], ''],
  ['a\r\n\n', ['a\r\n\n'], ''],
  ['a\n\r', ['a\n\r'], ''],
  ['a\r\n\rb', ['a\r\n\r'], 'b'],
  ['a\r\r\nb', ['a\r\r\n'], 'b'],
  ['\n', ['\n'], ''],
  ['\r\n', ['\r\n'], ''],
  ['\r', ['\r'], ''],
  ['\n\n\n', ['\n', '\n', '\n'], ''],
  ['\r\r\r', ['\r', '\r', '\r'], ''],
  ['\r\n\r\n', ['\r\n', '\r\n'], ''],
  ['a\n\nb\n\nc', ['a\n\n', 'b\n\n'], 'c'],
  ['a\nb\n\n\nc\n', ['a\nb\n\n', '\n'], 'c\n'],
  ['a\n \n\n', ['a\n \n\n'], ''],
])('%j is cut after the end of each empty line', (body, events, rest) => {
  expect(split(body)).toEqual({ events, rest })
})

const piece = fc.constantFrom('a', '\n', '\r', '\r\n', 'data: x', '\n\n', 'ü')
const body = fc.array(piece, { maxLength: 20 }).map((parts) => parts.join(''))

test('events and rest are the body again, and every event ends with its first empty line', () => {
  fc.assert(
    fc.property(body, (text) => {
      const { events, rest } = split(text)
      expect([...events, rest].join('')).toBe(text)
      for (const event of events) {
        expect(event).toMatch(/^(?:(?:[^\r\n]+(?:\r\n|\n|\r))+)?(?:\r\n|\n|\r)$/)
      }
      expect(rest).toMatch(/^(?:[^\r\n]+(?:\r\n|\n|\r))*(?:[^\r\n]+)?$/)
    }),
    runs(5000),
  )
})

test('the pieces in which a stream arrives do not matter', () => {
  fc.assert(
    fc.property(body, fc.array(fc.nat({ max: 5 }), { maxLength: 40 }), (text, lengths) => {
      const bytes = encodeUtf8(text)
      const splitter = createEventSplitter()
      const events: string[] = []
      let offset = 0
      for (const length of lengths) {
        events.push(...splitter.push(bytes.subarray(offset, offset + length)).map(toText))
        offset = Math.min(bytes.length, offset + length)
      }
      events.push(...splitter.push(bytes.subarray(offset)).map(toText))
      const { element, isEvent } = splitter.end()
      const whole = split(text)
      expect(isEvent ? [...events, toText(element)] : events).toEqual(whole.events)
      expect(isEvent ? '' : toText(element)).toBe(whole.rest)
    }),
    runs(5000),
  )
})

test('an event under way is kept even when its piece is used again', () => {
  const splitter = createEventSplitter()
  const buffer = encodeUtf8('abc')
  expect(splitter.push(buffer)).toEqual([])
  buffer.fill(0)
  expect(splitter.push(encodeUtf8('d\n\n')).map(toText)).toEqual(['abcd\n\n'])
  expect(splitter.end()).toEqual({ element: new Uint8Array(0), isEvent: false })
})

test('an event in a million pieces is cut in good time', () => {
  const splitter = createEventSplitter()
  const byte = encodeUtf8('x')
  const startedMs = performance.now()
  const pieces = portion(1_000_000)
  for (let count = 0; count < pieces; count++) splitter.push(byte)
  expect(splitter.push(encodeUtf8('\n\n'))[0]).toHaveLength(pieces + 2)
  // Copying all that is held for each piece would move 500 GB.
  expect(performance.now() - startedMs).toBeLessThan(20_000)
})

const link = (head: Uint8Array, digest: Uint8Array): Buffer =>
  createHash('sha256').update(Uint8Array.of(2)).update(head).update(digest).digest()

test('the chain is SHA-256 over 2, the head before and the digest', () => {
  const first = createHash('sha256').update('first').digest()
  const second = createHash('sha256').update('second').digest()
  const start = createHash('sha256').update('countersign/events/v1').digest()
  expect(emptyEventChain).toEqual({ events: 0, head: new Uint8Array(start) })
  const chain = createEventChain()
  chain.append(first)
  const one = chain.current()
  expect(one).toEqual({ events: 1, head: new Uint8Array(link(start, first)) })
  const both = chainDigests(concatBytes(first, second))
  chain.append(second)
  expect([chain.current(), chain.events]).toEqual([both, 2])
  expect(one.head).toEqual(new Uint8Array(link(start, first)))
  expect(both).toEqual({ events: 2, head: new Uint8Array(link(link(start, first), second)) })
  expect(chainDigests(new Uint8Array(0))).toEqual(emptyEventChain)
})

test('the chain takes the SHA-256 that it is given', () => {
  const seen: number[] = []
  const chain = createEventChain((bytes, target, offset) => {
    seen.push(bytes.length)
    target.fill(7, offset, offset + 32)
  })
  chain.append(new Uint8Array(32))
  expect([chain.current(), seen]).toEqual([{ events: 1, head: new Uint8Array(32).fill(7) }, [65]])
})

test('an event that is given itself is chained by its digest', () => {
  const chain = createEventChain()
  const digests = ['first', '', 'third'].map((text) => {
    const digest = chain.appendEvent(encodeUtf8(text)).slice()
    expect(digest).toEqual(new Uint8Array(createHash('sha256').update(text).digest()))
    return digest
  })
  expect(chain.current()).toEqual(chainDigests(concatBytes(...digests)))
})

test('the elements of the sample stream are what the splitter finds', () => {
  const { events, rest } = split(streamElements.join(''))
  expect([...events, rest]).toEqual(streamElements)
})

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}

test('elements are read one after another as they are split, also from a body of several slices', () => {
  for (const end of ['', '\n\n', '\r\r', 'rest']) {
    const long = encodeUtf8(`${'data: x\r\n\r\n'.repeat(20_000)}${'y'.repeat(200_000)}${end}`)
    const { events, rest } = splitEvents(long)
    const elements = Array.from(readElements(long))
    const bytes = elements.map((element) => element.bytes)
    expect(bytes).toEqual(rest.length === 0 ? events : [...events, rest])
    expect(elements.filter(({ isEvent }) => !isEvent)).toHaveLength(rest.length === 0 ? 0 : 1)
  }
  expect(Array.from(readElements(new Uint8Array(0)))).toEqual([])
})
