import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { findAttachments } from '../src/call/attachments.ts'
import { sha256Hex } from './support/chat-call.ts'

const picture = randomBytes(300)
const sound = randomBytes(101)
const text = picture.toString('base64')

function found(value: unknown): readonly object[] {
  return foundIn(typeof value === 'string' ? value : JSON.stringify(value))
}

function foundIn(json: string): readonly object[] {
  const body = Buffer.from(json)
  return findAttachments(body).map(({ start, bytes, sha256 }) => {
    const end = body.indexOf('"', start)
    const decoded = Buffer.from(body.toString('latin1', start, end), 'base64')
    expect(sha256Hex(decoded)).toBe(Buffer.from(sha256).toString('hex'))
    return { bytes, sha256: Buffer.from(sha256).toString('hex') }
  })
}

const claim = (bytes: Buffer): object => ({ bytes: bytes.length, sha256: sha256Hex(bytes) })

test('hashes each attachment of every wire as the bytes that it stands for', () => {
  const url = `data:image/png;base64,${text}`
  const data = sound.toString('base64')
  expect(
    found({ messages: [{ content: [{ image_url: { url } }, { input_audio: { data } }] }] }),
  ).toEqual([claim(picture), claim(sound)])
  expect(found({ input: [{ content: [{ image_url: url }, { file_data: url }] }] })).toHaveLength(2)
  const source = { type: 'base64', media_type: 'image/png', data }
  expect(found({ messages: [{ content: [{ type: 'image', source }] }] })).toEqual([claim(sound)])
  const inlineData = { mimeType: 'image/png', data: picture.toString('base64url') }
  expect(found({ contents: [{ parts: [{ inlineData }] }] })).toEqual([claim(picture)])
})

const others: readonly (readonly [what: string, json: string])[] = [
  ['a short text', `{"data":"${'A'.repeat(63)}"}`],
  ['a text with spaces', `{"data":"${'A '.repeat(64)}"}`],
  ['an escape', `{"data":"${text.slice(0, 100)}\\n${text.slice(100)}"}`],
  ['an escaped quote', `{"data":"${text}\\"}`],
  ['a length that no base64 has', `{"data":"${'A'.repeat(65)}"}`],
  ['another member', `{"text":"${text}"}`],
  ['a picture on the web', `{"url":"https://x.example/?a=;base64,${text}"}`],
  ['a URL whose mark comes late', `{"url":"data:${'x'.repeat(260)};base64,${text}"}`],
  ['text in a URL', `{"url":"data:text/plain,;base${text}"}`],
  ['an object', `{"data":{"a":";base64,"}}`],
]

test.each(others)('takes %s for no attachment', (_, json) => {
  expect(foundIn(json)).toEqual([])
})

test('lists at most 64', () => {
  const all = Array.from({ length: 70 }, () => ({ data: text }))
  expect(found({ all })).toHaveLength(64)
})

test('throws at nothing that looks like a body', () => {
  for (let cut = 0; cut < 200; cut++) {
    const body = Buffer.from(`{"data" : "data:image/png;base64,${text}","x":[{"data":"${text}"}]}`)
    expect(() => findAttachments(body.subarray(0, body.length - cut))).not.toThrow()
  }
})
