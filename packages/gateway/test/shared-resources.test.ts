import { expect, test } from 'vitest'
import { CallRefused } from '../src/call/call-refused.ts'
import { parseCallRequest } from '../src/call/call-request.ts'
import { findWireRoute } from '../src/http/wire-routes.ts'

const paths = {
  responses: '/v1/responses',
  messages: '/v1/messages',
  generate: '/v1beta/models/m:generateContent',
} as const
type Name = keyof typeof paths

/** The references of a body, or the code of its refusal. */
function read(name: Name, body: object | string): readonly string[] | string {
  const matched = findWireRoute('POST', paths[name])
  if (matched === undefined) throw new Error('no such path')
  const text = typeof body === 'string' ? body : JSON.stringify({ model: 'm', ...body })
  try {
    return parseCallRequest(matched, {}, Buffer.from(text)).references
  } catch (error) {
    if (error instanceof CallRefused) return error.refusal.code
    throw error
  }
}

const skill = { type: 'skill_reference', skill_id: 'skill_1' }
const tools: readonly (readonly [what: string, name: Name, body: object])[] = [
  [
    'a skill of the operator in a container',
    'responses',
    { tools: [{ type: 'shell', environment: { type: 'container_auto', skills: [skill] } }] },
  ],
  [
    'a tunnel to servers of the operator',
    'responses',
    { tools: [{ type: 'mcp', server_label: 'x', tunnel_id: 'tunnel_1' }] },
  ],
  [
    'a skill of the operator in a message',
    'messages',
    { container: { skills: [{ type: 'custom', skill_id: 'skill_1', version: 'latest' }] } },
  ],
  ['a thread', 'messages', { thread: { type: 'continue', previous_message_id: 'msg_1' } }],
  ['a new thread', 'messages', { thread: { type: 'create' } }],
  ['a comparison of messages', 'messages', { diagnostics: { previous_message_id: 'msg_1' } }],
]

test.each(tools)('refuses %s', (_, name, body) => {
  expect(read(name, body)).toBe('shared-account')
})

test('asks whose the response is that a prompt cache is compared with', () => {
  const options = { prompt_cache_options: { comparison_response_id: 'resp_1' } }
  expect(read('responses', options)).toEqual(['resp_1'])
})

test('takes what everybody has, and what names nothing', () => {
  const skills = [{ type: 'anthropic', skill_id: 'pptx' }]
  expect(read('messages', { container: { skills } })).toEqual([])
  expect(read('messages', { diagnostics: { previous_message_id: null }, thread: null })).toEqual([])
})

const uri = 'https://generativelanguage.googleapis.com/v1beta/files/1'
// Google's servers read these as members; so may others.
const lenient = [
  `{'fileData':{'fileUri':'${uri}'}}`,
  `{fileData:{fileUri:"${uri}"}}`,
  `{"fileData":{fileUri:"${uri}"}}`,
  `{"fileData":{"file\\Uri":"${uri}"}}`,
  `{"fileData":{"file\\u55ri":"${uri}"}}`,
  `{"fileData":{"fileUri"/**/:"${uri}"}}`,
  `{"text":"x"},{'text':'"'},{"fileData":{"fileUri":"${uri}"}}`,
  `{"fileData":{true:1}}`,
]

test.each(lenient)('refuses what is no JSON and is read all the same: %s', (part) => {
  expect(read('generate', `{"contents":[{"parts":[${part}]}]}`)).toBe('request-malformed')
})

test('takes every form of JSON', () => {
  const part =
    '{"text" :\r\n"\\u00e9\\"\\\\\\/\\b\\f\\n\\r\\t" , "x":[-1.5E+3,true,false,null,{ }]}'
  expect(read('generate', `{"contents":[{"parts":[${part}]}]}`)).toEqual([])
})
