import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  measureForm,
  measureRequest,
  type RequestMeasure,
} from '../../src/metering/measure-request.ts'
import { meterWires, type MeterWire } from '../../src/metering/observe-usage.ts'

function measure(wire: MeterWire, body: unknown): RequestMeasure {
  const measured = measureRequest(
    wire,
    Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
  )
  if (typeof measured === 'string') throw new Error(measured)
  return measured
}

const messages = [{ role: 'user', content: 'hi' }]

test('measures a plain call', () => {
  const body = JSON.stringify({ model: 'm', messages, max_completion_tokens: 50, n: 3 })
  expect(measure('openai-chat', body)).toEqual({
    bodyBytes: body.length,
    attachments: 0,
    maxOutputTokens: 50,
    choices: 3,
    isOpenEnded: false,
    hasCacheControl: false,
  })
})

const outputs: readonly (readonly [wire: MeterWire, body: string, expected: number | undefined])[] =
  [
    ['openai-chat', '{}', undefined],
    ['openai-chat', '{"max_tokens":7}', 7],
    ['openai-chat', '{"max_tokens":7,"max_completion_tokens":9}', 9],
    ['openai-chat', '{"max_tokens":null}', undefined],
    ['openai-chat', '{"max_tokens":"7"}', undefined],
    ['openai-chat', '{"max_tokens":7.0}', undefined],
    ['openai-chat', '{"max_tokens":7e3}', undefined],
    ['openai-chat', '{"max_tokens":-7}', undefined],
    ['openai-chat', '{"max_tokens":5,"max_completion_tokens":"9"}', undefined],
    ['openai-responses', '{"max_output_tokens":8}', 8],
    ['anthropic', '{"max_tokens":1024}', 1024],
    ['google', '{"generationConfig":{"maxOutputTokens":5}}', 5],
    [
      'google',
      '{"generation_config":{"max_output_tokens":6},"generationConfig":{"maxOutputTokens":5}}',
      6,
    ],
    ['google', '{"generationConfig":{"maxOutputTokens":"5"}}', undefined],
    // Whoever passes over the limit of another wire writes as much as the model can.
    ['openai-chat', '{"max_output_tokens":1}', undefined],
    ['xai-chat', '{"maxOutputTokens":1}', undefined],
    ['xai-responses', '{"max_tokens":1}', undefined],
    ['xai-responses', '{"max_tokens":1,"max_output_tokens":9}', 9],
    ['google', '{"maxOutputTokens":1}', undefined],
    ['google', '{"generationConfig":{"max_tokens":1}}', undefined],
    ['openai-images', '{"max_tokens":1}', undefined],
    // To some no limit, to others none at all.
    ['openai-chat', '{"max_tokens":0}', undefined],
    ['openai-chat', '{"max_tokens":5,"max_completion_tokens":0}', undefined],
  ]

test.each(outputs)('reads the output limit of %s: %s', (wire, body, expected) => {
  expect(measure(wire, body).maxOutputTokens).toBe(expected)
})

const refused: readonly (readonly [wire: MeterWire, body: string, fault: string])[] = [
  ['openai-chat', 'x', 'request-unreadable'],
  ['openai-chat', '[]', 'request-unreadable'],
  ['openai-chat', '{"max_tokens":1,"max_tokens":9}', 'request-unreadable'],
  ['openai-chat', '{"N":9}', 'request-unreadable'],
  ['openai-chat', '{"Max_Tokens":9}', 'request-unreadable'],
  ['openai-chat', '{"n":"9"}', 'request-unreadable'],
  ['openai-chat', '{"n":1.5}', 'request-unreadable'],
  ['google', '{"generationConfig":{"candidateCount":"8"}}', 'request-unreadable'],
  [
    'google',
    '{"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}',
    'request-unreadable',
  ],
  ['google', '{"generationConfig":[]}', 'request-unreadable'],
  ['google', '{"GenerationConfig":{"maxOutputTokens":1}}', 'request-unreadable'],
  ['openai-chat', '{"service_tier":"priority"}', 'service-not-priced'],
  ['openai-responses', '{"service_tier":"PRIORITY"}', 'service-not-priced'],
  ['openai-responses', '{"service_tier":7}', 'service-not-priced'],
  ['anthropic', '{"speed":"fast"}', 'service-not-priced'],
  ['anthropic', '{"inference_geo":"us"}', 'service-not-priced'],
  ['anthropic', '{"fallbacks":[{"model":"dearer"}]}', 'service-not-priced'],
  ['anthropic', '{"fallbacks":"default"}', 'service-not-priced'],
  [
    'anthropic',
    '{"tools":[{"type":"advisor_20260301","name":"advisor","model":"dearer"}]}',
    'service-not-priced',
  ],
  ['google', '{"serviceTier":"priority"}', 'service-not-priced'],
  ['google', '{"service_tier":"flex","serviceTier":"priority"}', 'service-not-priced'],
]

test.each(refused)('refuses on %s: %s', (wire, body, fault) => {
  expect(measureRequest(wire, Buffer.from(body))).toBe(fault)
})

test('refuses other models also where a tool is added in the middle', () => {
  const advisor = added({ type: 'advisor_20260301', name: 'advisor', model: 'dearer' })
  expect(measureRequest('anthropic', Buffer.from(JSON.stringify(advisor)))).toBe(
    'service-not-priced',
  )
})

test('an empty list of fallbacks names no other model', () => {
  expect(measureRequest('anthropic', Buffer.from('{"fallbacks":[]}'))).toBeTypeOf('object')
})

test('looks at more tools in a message than a call takes arguments', () => {
  const tools = Array.from({ length: 300_000 }, () => 0)
  expect(measure('openai-responses', { input: [{ type: 'x', tools }] }).isOpenEnded).toBe(true)
})

test('takes the most answers that any member asks for', () => {
  expect(measure('openai-chat', { n: 2, best_of: 5 }).choices).toBe(5)
  expect(measure('google', { generationConfig: { candidateCount: 4 } }).choices).toBe(4)
  expect(measure('openai-chat', { n: null }).choices).toBe(1)
})

function choicesOf(body: object): number {
  return measure('openai-chat', body).choices
}

test('counts the answers to each of several prompts', () => {
  expect(choicesOf({ prompt: 'x' })).toBe(1)
  expect(choicesOf({ prompt: ['x', 'y', 'z'] })).toBe(3)
  expect(choicesOf({ prompt: ['x', 'y'], n: 4 })).toBe(8)
  expect(choicesOf({ prompt: [[1, 2], [3]], best_of: 2 })).toBe(4)
  // One prompt, as tokens.
  expect(choicesOf({ prompt: [1, 2, 3] })).toBe(1)
  expect(choicesOf({ prompt: [] })).toBe(1)
})

const content = (...parts: readonly unknown[]): unknown => ({
  messages: [{ role: 'user', content: parts }],
})
const attached: readonly (readonly [wire: MeterWire, body: unknown, attachments: number])[] = [
  ['openai-chat', content({ type: 'text', text: 'x' }), 0],
  ['openai-chat', content({ type: 'image_url', image_url: { url: 'https://a.example' } }), 1],
  ['openai-chat', content({ type: 'input_audio' }, { type: 'file' }, { type: 'hologram' }), 3],
  ['openai-chat', { messages: [{ role: 'assistant', audio: { id: 'a' } }] }, 1],
  [
    'openai-chat',
    {
      messages: [
        { role: 'assistant', tool_calls: [{ type: 'function', function: { arguments: '{}' } }] },
      ],
    },
    0,
  ],
  ['openai-responses', { input: 'text', instructions: 'text' }, 0],
  [
    'openai-responses',
    { input: [{ type: 'message', content: [{ type: 'input_image' }, { type: 'input_file' }] }] },
    2,
  ],
  ['openai-responses', { input: [{ type: 'function_call_output', output: 'x' }] }, 0],
  [
    'anthropic',
    content(
      { type: 'image' },
      { type: 'document' },
      { type: 'text', cache_control: { type: 'ephemeral' } },
    ),
    2,
  ],
  ['anthropic', content({ type: 'tool_use', input: { type: 'image' } }), 0],
  ['anthropic', content({ type: 'tool_result', content: [{ type: 'image' }] }), 1],
  ['google', { contents: [{ parts: [{ text: 'x' }, { inlineData: {} }, { file_data: {} }] }] }, 2],
  ['google', { contents: [{ parts: [{ functionCall: { args: { type: 'x' } } }] }] }, 0],
  ['openai-images', { prompt: 'x' }, 0],
  ['openai-images', { images: [{ image_url: 'https://a.example' }, {}], mask: {}, prompt: 'x' }, 3],
  ['openai-images', { image: { url: 'https://a.example' } }, 1],
]

test.each(attached)('counts what is no text on %s: %j', (wire, body, attachments) => {
  expect(measure(wire, body).attachments).toBe(attachments)
})

function added(definition: object): object {
  const tool = { type: 'tool_definition', definition }
  return { messages: [{ role: 'system', content: [{ type: 'tool_addition', tool }] }] }
}

const open: readonly (readonly [wire: MeterWire, body: unknown, isOpenEnded: boolean])[] = [
  ['openai-chat', { tools: [{ type: 'function', function: {} }, { type: 'custom' }] }, false],
  ['openai-chat', { web_search_options: {} }, true],
  ['xai-chat', { search_parameters: { mode: 'on' } }, true],
  ['openai-responses', { tools: [{ type: 'function', name: 'f' }] }, false],
  ['openai-responses', { tools: [{ type: 'web_search' }] }, true],
  ['openai-responses', { tools: [{ type: 'function' }, { type: 'mcp' }] }, true],
  ['openai-responses', { previous_response_id: 'r' }, true],
  ['openai-responses', { previous_response_id: null, conversation: null }, false],
  ['openai-responses', { prompt: { id: 'p' } }, true],
  ['openai-chat', { prompt: 'text' }, false],
  [
    'anthropic',
    {
      tools: [
        { name: 'f', input_schema: {} },
        { type: 'bash_20250124', name: 'bash' },
      ],
    },
    false,
  ],
  ['anthropic', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, true],
  ['anthropic', { mcp_servers: [] }, true],
  ['anthropic', { context_management: { edits: [{ type: 'compact_20260112' }] } }, true],
  ['anthropic', { context_management: { edits: [{ type: 'clear_tool_uses' }] } }, false],
  ['openai-responses', { context_management: [{ type: 'compaction' }] }, true],
  ['google', { tools: [{ functionDeclarations: [] }] }, false],
  ['google', { tools: [{ functionDeclarations: [], googleSearch: {} }] }, true],
  ['google', { cachedContent: 'c' }, true],
  ['openai-chat', { tools: ['x'] }, true],
  ['anthropic', added({ type: 'web_search_20260318', name: 'web_search' }), true],
  ['anthropic', added({ type: 'custom', name: 'f', input_schema: {} }), false],
  [
    'openai-responses',
    { input: [{ type: 'tool_search_output', tools: [{ type: 'web_search' }] }] },
    true,
  ],
]

test.each(open)(
  'knows whether a prompt can grow at the provider: %s %j',
  (wire, body, isOpenEnded) => {
    expect(measure(wire, body).isOpenEnded).toBe(isOpenEnded)
  },
)

test('sees cache control, also where it could be hidden in escapes', () => {
  const part = { type: 'text', text: 'x', cache_control: { type: 'ephemeral', ttl: '1h' } }
  expect(measure('anthropic', content(part)).hasCacheControl).toBe(true)
  const hidden = JSON.stringify(content(part)).replace('cache_control', 'cache\\u005fcontrol')
  expect(measure('anthropic', hidden).hasCacheControl).toBe(true)
  expect(measure('anthropic', content({ type: 'text', text: 'x' })).hasCacheControl).toBe(false)
})

test('measures a form by its files, at least one', () => {
  for (const [files, attachments] of [
    [0, 1],
    [1, 1],
    [16, 16],
  ] as const) {
    expect(measureForm(Buffer.alloc(9), 2, files)).toMatchObject({
      bodyBytes: 9,
      attachments,
      choices: 2,
    })
  }
})

test('throws at nothing that a caller can send', () => {
  const names = fc.constantFrom(
    'messages',
    'content',
    'type',
    'tools',
    'n',
    'generationConfig',
    'input',
    'max_tokens',
    'cachedContent',
    '__proto__',
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...meterWires),
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.dictionary(names, fc.jsonValue({ maxDepth: 3 })).map((value) => JSON.stringify(value)),
      ),
      (wire, body) => {
        const measured = measureRequest(wire, Buffer.from(body))
        if (typeof measured === 'string') return
        expect(measured.choices).toBeGreaterThanOrEqual(0)
        expect(measured.attachments).toBeGreaterThanOrEqual(0)
      },
    ),
    { numRuns: 1000 },
  )
})
