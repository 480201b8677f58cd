import { expect, test } from 'vitest'
import { findReferenceReader } from '../src/references/read-references.ts'

const event = (payload: object): Buffer => Buffer.from(`data: ${JSON.stringify(payload)}\n\n`)

test('reads the ids that the provider gave to responses, items and containers', () => {
  const reader = findReferenceReader('openai-responses')
  const item = { type: 'code_interpreter_call', id: 'ci_1', container_id: 'cntr_1' }
  const response = { id: 'resp_1', output: [item, { type: 'message', id: 'msg_1' }] }
  expect(reader?.inBody(Buffer.from(JSON.stringify(response)))).toEqual([
    'resp_1',
    'ci_1',
    'cntr_1',
    'msg_1',
  ])
  expect(reader?.inEvent(event({ type: 'response.created', response: { id: 'resp_1' } }))).toEqual([
    'resp_1',
  ])
  expect(reader?.inEvent(event({ type: 'response.output_item.done', item }))).toEqual([
    'ci_1',
    'cntr_1',
  ])
})

test('reads the container of a message', () => {
  const reader = findReferenceReader('anthropic-messages')
  const container = { id: 'container_1', expires_at: 'x' }
  for (const payload of [
    { type: 'message_delta', delta: { container } },
    { type: 'message_start', message: { container } },
  ]) {
    expect(reader?.inEvent(event(payload))).toEqual(['container_1'])
  }
  expect(reader?.inBody(Buffer.from(JSON.stringify({ id: 'msg_1', container })))).toEqual([
    'container_1',
  ])
})

test('reads nothing of what a caller could have put there', () => {
  const reader = findReferenceReader('openai-responses')
  const echoed = {
    id: 'resp_1',
    metadata: { id: 'resp_2', container_id: 'cntr_2' },
    tools: [{ id: 'resp_3', container: 'cntr_3' }],
    instructions: '{"id":"resp_4"}',
    previous_response_id: 'resp_5',
    output: [{ id: 'msg_1', content: [{ id: 'resp_6', annotations: [{ container_id: 'c' }] }] }],
  }
  expect(reader?.inBody(Buffer.from(JSON.stringify(echoed)))).toEqual(['resp_1', 'msg_1'])
  expect(reader?.inEvent(event({ type: 'response.created', response: echoed }))).toEqual([
    'resp_1',
    'msg_1',
  ])
  const delta = { type: 'response.output_text.delta', item: { id: 'x' }, delta: 'response.created' }
  expect(reader?.inEvent(event(delta))).toEqual([])
})

test('believes no id that is none', () => {
  const reader = findReferenceReader('openai-responses')
  for (const id of ['', null, 1, {}, 'x'.repeat(257)]) {
    expect(reader?.inBody(Buffer.from(JSON.stringify({ id, output: [{ id }, null, 3] })))).toEqual(
      [],
    )
  }
  for (const text of ['', 'null', '[]', '{"output":{}}', '{"id":']) {
    expect(reader?.inBody(Buffer.from(text))).toEqual([])
  }
})

test('knows no other wire whose answers keep something', () => {
  expect(findReferenceReader('openai-chat')).toBeUndefined()
  expect(findReferenceReader('google-generate')).toBeUndefined()
})
