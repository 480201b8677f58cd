import { expect, test } from 'vitest'
import { toOpenAi, translate, user } from '../support/translate-request.ts'

const use = { type: 'tool_use', id: 't1', name: 'w', input: {} }
const result = { type: 'tool_result', tool_use_id: 't1', content: 'x' }
const refusedForOpenAi: readonly (readonly [member: string, more: object])[] = [
  ['unknown_member', { unknown_member: 1 }],
  ['max_tokens', { max_tokens: null }],
  ['stop_sequences', { stop_sequences: ['END'] }],
  ['top_k', { top_k: 5 }],
  ['thinking', { thinking: { type: 'enabled', budget_tokens: 1024 } }],
  ['container', { container: 'c' }],
  ['context_management', { context_management: {} }],
  ['mcp_servers', { mcp_servers: [{}] }],
  ['inference_geo', { inference_geo: 'us' }],
  ['speed', { speed: 'fast' }],
  ['cache_control', { cache_control: { type: 'ephemeral' } }],
  ['service_tier', { service_tier: 'standard_only' }],
  ['metadata.other', { metadata: { other: 1 } }],
  ['output_config.effort', { output_config: { effort: 'low' } }],
  ['output_config.format.type', { output_config: { format: { type: 'regex' } } }],
  ['system', { system: 5 }],
  ['system[0].type', { system: [{ type: 'image' }] }],
  [
    'system[0].cache_control',
    { system: [{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }] },
  ],
  ['tools[0].type', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }],
  ['tools[0].cache_control', { tools: [{ name: 'w', input_schema: {}, cache_control: {} }] }],
  ['tools[0].input_schema', { tools: [{ name: 'w' }] }],
  [
    'tools[0]',
    {
      tools: [
        {
          name: 'w',
          input_schema: { allOf: [{ $ref: '#/$defs/a' }], $defs: { a: { type: 'object' } } },
        },
      ],
    },
  ],
  [
    'JSON Schema propertyNames',
    { tools: [{ name: 'w', input_schema: { type: 'object', propertyNames: { pattern: 'a' } } }] },
  ],
  ['tool_choice', { tool_choice: { type: 'any' } }],
  ['tool_choice.type', { tools: [{ name: 'w', input_schema: {} }], tool_choice: { type: 'some' } }],
  ['messages', { messages: [user, { role: 'assistant', content: 'Because' }] }],
  ['messages[0].role', { messages: [{ role: 'system', content: 'x' }] }],
  ['messages[0].content', { messages: [{ role: 'user', content: [] }] }],
  [
    'messages[0].content[0].type',
    { messages: [{ role: 'user', content: [{ type: 'document', source: {} }] }] },
  ],
  [
    'messages[0].content[0].cache_control',
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'x', cache_control: {} }] }] },
  ],
  [
    'messages[0].content[0].citations',
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'x', citations: [{}] }] }] },
  ],
  [
    'messages[0].content[0].source.type',
    {
      messages: [
        { role: 'user', content: [{ type: 'image', source: { type: 'file', file_id: 'f' } }] },
      ],
    },
  ],
  [
    'messages[1].content[0].type',
    {
      messages: [user, { role: 'assistant', content: [{ type: 'thinking', thinking: 'x' }] }, user],
    },
  ],
  [
    'messages[1].content[1].type',
    { messages: [user, { role: 'assistant', content: [use, { type: 'text', text: 'x' }] }, user] },
  ],
  [
    'messages[1].content[1].id',
    { messages: [user, { role: 'assistant', content: [use, use] }, user] },
  ],
  [
    'messages[1].content[0].input',
    { messages: [user, { role: 'assistant', content: [{ ...use, input: 'x' }] }, user] },
  ],
  ['messages[0].content[0].tool_use_id', { messages: [{ role: 'user', content: [result] }] }],
  [
    'messages[2].content[1].type',
    {
      messages: [
        user,
        { role: 'assistant', content: [use] },
        { role: 'user', content: [{ type: 'text', text: 'x' }, result] },
      ],
    },
  ],
  [
    'messages[2].content[0].content',
    {
      messages: [
        user,
        { role: 'assistant', content: [use] },
        {
          role: 'user',
          content: [
            {
              ...result,
              content: [
                { type: 'text', text: 'a' },
                { type: 'text', text: 'b' },
              ],
            },
          ],
        },
      ],
    },
  ],
]

test.each(refusedForOpenAi)(
  'a request of the messages wire with %s is refused by that name: %j',
  async (member, more) => {
    expect(
      await translate(toOpenAi, { model: 'm', max_tokens: 9, messages: [user], ...more }),
    ).toBe(member)
  },
)

test('a result that is an error says so on the other wire', async () => {
  const messages = [
    user,
    { role: 'assistant', content: [use] },
    { role: 'user', content: [{ ...result, is_error: true }] },
  ]
  expect(await translate(toOpenAi, { model: 'm', max_tokens: 9, messages })).toMatchObject({
    messages: [{}, {}, { role: 'tool', tool_call_id: 't1', content: '{"error":"x"}' }],
  })
})
