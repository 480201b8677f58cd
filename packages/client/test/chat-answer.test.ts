import { expect, test } from 'vitest'
import { createStreamText, createWholeText, type ChatText } from '../src/cli/chat-answer.ts'

function feed(text: ChatText, bytes: Uint8Array, size: number): string {
  let shown = ''
  for (let at = 0; at < bytes.length; at += size) shown += text.push(bytes.subarray(at, at + size))
  return shown + text.end()
}

function delta(content: unknown): string {
  return `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}`
}

test('the text of a stream is the same however it is cut, and whatever ends its lines', () => {
  const events = [
    delta('Grüße '),
    ': comment',
    'event: x',
    delta('👩‍🔬'),
    delta(null),
    'data: [DONE]',
  ]
  for (const end of ['\n', '\r\n', '\r']) {
    const bytes = new TextEncoder().encode(events.join(end + end))
    for (let size = 1; size <= bytes.length; size++) {
      expect(feed(createStreamText(), bytes, size)).toBe('Grüße 👩‍🔬')
    }
  }
})

test.each([
  'data: {',
  'data: null',
  'data: {"choices":{}}',
  'data: {"choices":[{"delta":7}]}',
  '\u0000',
])('a stream that is no chat has no text: %j', (line) => {
  expect(feed(createStreamText(), new TextEncoder().encode(`${line}\n\n`), 3)).toBe('')
})

test('an answer without end has no text and takes no memory without end', () => {
  const text = createWholeText()
  const piece = new TextEncoder().encode(' '.repeat(1_048_576))
  const before = process.memoryUsage().rss
  for (let part = 0; part < 600; part++) text.push(piece)
  // Kept whole it would be longer than the longest string, which is an error of the engine.
  expect(text.end()).toBe('')
  expect(process.memoryUsage().rss - before).toBeLessThan(400_000_000)
})

test('the text of a whole answer is that of its first choice', () => {
  const answer = { choices: [{ message: { content: 'Grüße' } }, { message: { content: 'no' } }] }
  expect(feed(createWholeText(), new TextEncoder().encode(JSON.stringify(answer)), 1)).toBe('Grüße')
  expect(feed(createWholeText(), new TextEncoder().encode('<html>'), 1)).toBe('')
})
