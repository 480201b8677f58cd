import { expect, test } from 'vitest'
import { toClaude, toGemini, translate, user } from '../support/translate-request.ts'

const call = { id: 'c1', type: 'function', function: { name: 'w', arguments: '{}' } }
const tool = { type: 'function', function: { name: 'w', parameters: { type: 'object' } } }
const refusedForClaude: readonly (readonly [member: string, more: object])[] = [
  ['unknown_member', { unknown_member: null }],
  ['seed', { seed: 1 }],
  ['frequency_penalty', { frequency_penalty: 0.5 }],
  ['presence_penalty', { presence_penalty: -1 }],
  ['temperature', { temperature: 1.5 }],
  ['temperature', { temperature: 'hot' }],
  ['top_p', { temperature: 0.5, top_p: 0.5 }],
  ['max_tokens', { max_tokens: 1e6 }],
  ['max_tokens', { max_tokens: 1, max_completion_tokens: 2 }],
  ['n', { n: 2 }],
  ['logprobs', { logprobs: true }],
  ['top_logprobs', { top_logprobs: 3 }],
  ['logit_bias', { logit_bias: { 1: 1 } }],
  ['store', { store: true }],
  ['metadata', { metadata: { a: 'b' } }],
  ['service_tier', { service_tier: 'priority' }],
  ['modalities', { modalities: ['text', 'audio'] }],
  ['audio', { audio: { voice: 'x' } }],
  ['prediction', { prediction: { type: 'content', content: 'x' } }],
  ['functions', { functions: [{ name: 'w' }] }],
  ['function_call', { function_call: 'auto' }],
  ['web_search_options', { web_search_options: {} }],
  ['reasoning_effort', { reasoning_effort: 'high' }],
  ['verbosity', { verbosity: 'low' }],
  ['prompt_cache_key', { prompt_cache_key: 'x' }],
  ['safety_identifier', { safety_identifier: 'x' }],
  ['stream', { stream: 'yes' }],
  ['stream_options', { stream_options: { include_usage: true } }],
  ['stream_options.other', { stream: true, stream_options: { other: 1 } }],
  ['stop', { stop: 5 }],
  ['stop[0]', { stop: [5] }],
  ['parallel_tool_calls', { parallel_tool_calls: false }],
  ['tools', { tools: {} }],
  ['tools[0].type', { tools: [{ type: 'custom', custom: { name: 'w' } }] }],
  ['tools[0].function.other', { tools: [{ ...tool, function: { name: 'w', other: 1 } }] }],
  [
    'tools[0].function.parameters',
    { tools: [{ ...tool, function: { name: 'w', parameters: 1 } }] },
  ],
  ['tool_choice', { tool_choice: 'required' }],
  ['tool_choice', { tools: [tool], tool_choice: 'maybe' }],
  ['tool_choice.type', { tools: [tool], tool_choice: { type: 'allowed_tools' } }],
  ['response_format', { response_format: { type: 'json_object' } }],
  ['response_format.type', { response_format: { type: 'grammar' } }],
  [
    'response_format.json_schema.description',
    {
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'a', schema: {}, description: 'x' },
      },
    },
  ],
  [
    'the schema of the answer',
    {
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'a',
          schema: { type: 'object', properties: { a: { type: 'integer', minimum: 1 } } },
        },
      },
    },
  ],
]

test.each(refusedForClaude)(
  'a chat request with %s is refused for Claude by that name: %j',
  async (member, more) => {
    expect(await translate(toClaude, { model: 'm', messages: [user], ...more })).toBe(member)
  },
)

const refusedMessages: readonly (readonly [member: string, messages: unknown])[] = [
  ['messages', []],
  ['messages', 'Why?'],
  ['messages', [user, { role: 'assistant', content: 'Because' }]],
  ['messages[0]', ['Why?']],
  ['messages[0].role', [{ role: 'function', content: 'x', name: 'w' }]],
  ['messages[0].role', [{ content: 'x' }]],
  ['messages[0].name', [{ ...user, name: 'Ann' }]],
  ['messages[0].content', [{ role: 'user', content: [] }]],
  ['messages[0].content', [{ role: 'user' }]],
  ['messages[1]', [user, { role: 'system', content: 'Be brief.' }, user]],
  [
    'messages[0].content[0].type',
    [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }],
  ],
  [
    'messages[0].content[0].type',
    [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }],
  ],
  [
    'messages[0].content[0].cache_control',
    [{ role: 'user', content: [{ type: 'text', text: 'x', cache_control: {} }] }],
  ],
  [
    'messages[0].content[0].image_url.detail',
    [{ role: 'user', content: [image('data:image/png;base64,AAAA', { detail: 'low' })] }],
  ],
  [
    'messages[0].content[0].image_url.url',
    [{ role: 'user', content: [image('http://example.com/a.png')] }],
  ],
  [
    'messages[0].content[0].image_url.url',
    [{ role: 'user', content: [image('https://example.com/ä.png')] }],
  ],
  [
    'messages[0].content[0].image_url.url',
    [{ role: 'user', content: [image('data:image/tiff;base64,AAAA')] }],
  ],
  [
    'messages[0].content[0].image_url.url',
    [{ role: 'user', content: [image('data:image/png;base64,A?==')] }],
  ],
  ['messages[1].refusal', [user, { role: 'assistant', content: 'x', refusal: 'No.' }, user]],
  ['messages[1].audio', [user, { role: 'assistant', content: 'x', audio: { id: 'a' } }, user]],
  ['messages[1].content', [user, { role: 'assistant', content: null }, user]],
  [
    'messages[1].content',
    [
      user,
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      user,
    ],
  ],
  [
    'messages[1].content[0].type',
    [user, { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] }, user],
  ],
  [
    'messages[1].reasoning_content',
    [user, { role: 'assistant', content: 'x', reasoning_content: 'y' }, user],
  ],
  [
    'messages[1].extra_content.google',
    [
      user,
      { role: 'assistant', content: 'x', extra_content: { google: { thought_signature: 's' } } },
      user,
    ],
  ],
  ['messages[1].tool_calls[0].function.arguments', [user, assistantCall('{"a":1'), user]],
  ['messages[1].tool_calls[0].function.arguments', [user, assistantCall('[1]'), user]],
  [
    'messages[1].tool_calls[0].function.arguments',
    [user, assistantCall('{"a":12345678901234567890}'), user],
  ],
  ['messages[1].tool_calls[0].function.arguments', [user, assistantCall('{"a":1,"a":2}'), user]],
  ['messages[1].tool_calls[1].id', [user, { role: 'assistant', tool_calls: [call, call] }, user]],
  ['messages[1].tool_call_id', [user, { role: 'tool', tool_call_id: 'c9', content: 'x' }]],
  [
    'messages[2].content',
    [
      user,
      assistantCall('{}'),
      {
        role: 'tool',
        tool_call_id: 'c1',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
    ],
  ],
]

test.each(refusedMessages)(
  '%s of chat messages is refused by that name: %j',
  async (member, messages) => {
    expect(await translate(toClaude, { model: 'm', messages })).toBe(member)
  },
)

test.each([
  ['user', { user: 'u' }],
  ['parallel_tool_calls', { tools: [tool], parallel_tool_calls: false }],
  [
    'messages[0].content[0].image_url.url',
    { messages: [{ role: 'user', content: [image('https://example.com/a.png')] }] },
  ],
  [
    'the schema of the answer',
    {
      tools: [tool],
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'a', schema: { type: 'object' } },
      },
    },
  ],
  ['frequency_penalty', { frequency_penalty: 0.5 }],
])('for Gemini, %s is refused: %j', async (member, more) => {
  expect(await translate(toGemini, { model: 'm', messages: [user], ...more })).toBe(member)
})

test.each([
  ['{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}'],
  ['{"model":"m","seed":12345678901234567890,"messages":[]}'],
  ['{"model":"m","messages":[{"__proto__":{"role":"user"},"role":"user","content":"a"}]}'],
  [`{"model":"m","messages":${'['.repeat(200)}${']'.repeat(200)}}`],
])('a body that is read in two ways is refused whole: %s', async (body) => {
  expect(await translate(toClaude, body)).toBe('body')
})

test('a text that the SDK would write anew is refused, though it warns of nothing', async () => {
  const messages = [{ role: 'system', content: 'Be brief.' }, user]
  expect(await translate(toGemini, { model: 'm', messages }, 'gemma-3-27b-it')).toBe('messages')
  expect(await translate(toGemini, { model: 'm', messages }, 'gemini-2.5-flash')).toMatchObject({
    systemInstruction: { parts: [{ text: 'Be brief.' }] },
  })
})

test('what says nothing is left out, and nothing else', async () => {
  const neutral = {
    n: 1,
    logprobs: false,
    store: false,
    frequency_penalty: 0,
    presence_penalty: 0,
    tools: [],
    tool_choice: 'auto',
    service_tier: 'auto',
    user: null,
    seed: null,
    stop: null,
    response_format: { type: 'text' },
  }
  const messages = [
    { role: 'user', content: 'Why?' },
    { role: 'assistant', content: 'Because.', refusal: null, annotations: [], audio: null },
    { role: 'user', content: 'Why?' },
  ]
  expect(await translate(toClaude, { model: 'm', max_tokens: 9, messages, ...neutral })).toEqual({
    model: 'claude-sonnet-4-5',
    max_tokens: 9,
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Why?' }] },
      { role: 'assistant', content: [{ type: 'text', text: 'Because.' }] },
      { role: 'user', content: [{ type: 'text', text: 'Why?' }] },
    ],
  })
})

function image(url: string, more: object = {}): object {
  return { type: 'image_url', image_url: { url, ...more } }
}

function assistantCall(text: string): object {
  return { role: 'assistant', tool_calls: [{ ...call, function: { name: 'w', arguments: text } }] }
}
