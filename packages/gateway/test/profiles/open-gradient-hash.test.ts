import { execFileSync, spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { chooseSeed, createRandom, type Random } from '../../../../test/tampering/random.ts'
import {
  describeRequest,
  describeToolCall,
  hashMessage,
  hashRequest,
  hashText,
  NotHashable,
} from '../../src/profiles/open-gradient-hash.ts'
import { dumpPythonJson, parsePythonJson } from '../../src/profiles/python-json.ts'

const python = '/usr/bin/python3'
const hasPython = spawnSync(python, ['--version']).status === 0
const cases = 3000

/** What Python makes of each line. */
function askPython(lines: readonly string[]): readonly string[] {
  const script = `
import json, sys
for line in sys.stdin.buffer.read().decode('utf-8').split('\\n'):
    print(json.dumps(json.loads(line), sort_keys=True))`
  const output = execFileSync(python, ['-c', script], { input: lines.join('\n'), maxBuffer: 1e9 })
  return output.toString('ascii').trimEnd().split('\n')
}

const strings = [
  'a',
  'Z',
  'é',
  '\u{1f600}',
  '\u{fffd}',
  '\u007f',
  '\u0000',
  '"\\/',
  '\n\t',
  '__proto__',
]
const numbers = [
  '0',
  '-0',
  '1',
  '1.0',
  '-0.0',
  '1e16',
  '1E15',
  '1e-5',
  '0.0001',
  '123456789012345678901234567890',
]

function createNumber(random: Random): string {
  if (random.below(2) === 0) return random.pick(numbers)
  const digits = String(random.below(2 ** 31))
  const exponent = random.below(60) - 30
  return `${random.pick(['', '-'])}${digits}.${String(random.below(10_000))}e${String(exponent)}`
}

function createText(random: Random, depth: number): string {
  const items = (): string[] =>
    Array.from({ length: random.below(4) }, () => createText(random, depth - 1))
  switch (random.below(depth > 0 ? 6 : 3)) {
    case 0:
      return JSON.stringify(random.pick(strings) + random.pick(strings))
    case 1:
      return createNumber(random)
    case 2:
      return random.pick(['true', 'false', 'null', String.raw`"\ud800"`, String.raw`"\/"`])
    case 3:
      return `[${items().join(' , ')}]`
    default:
      return `{${items()
        .map((item) => `${JSON.stringify(random.pick(strings) + random.pick(strings))} :${item}`)
        .join(',')}}`
  }
}

test('JSON is written as Python writes it, byte for byte', ({ skip }) => {
  if (!hasPython) return skip(`${python} is not installed`)
  const random = createRandom(chooseSeed())
  const texts = Array.from({ length: cases }, () => createText(random, 4))
  const expected = askPython(texts)
  expect(expected).toHaveLength(cases)
  const made = texts.map((text) => dumpPythonJson(parsePythonJson(text)))
  const wrong = made.flatMap((text, index) =>
    text === expected[index] ? [] : [[texts[index], text, expected[index]]],
  )
  expect(wrong.slice(0, 3), `seed ${String(random.seed)}`).toEqual([])
  expect(new Set(made).size).toBeGreaterThan(cases / 4)
})

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Grüße 😀\u007f/' },
]

test('the known request, output and message have their known hashes', () => {
  const body = JSON.stringify({ model: 'gpt-4.1', messages, temperature: 1, max_tokens: 64 })
  expect(dumpPythonJson(describeRequest('openai-chat', body))).toBe(
    String.raw`{"max_tokens": 64, "messages": [{"content": "Be brief.", "role": "system"}, {"content": "Gr\u00fc\u00dfe \ud83d\ude00\u007f/", "role": "user"}], "model": "gpt-4.1", "temperature": 1.0}`,
  )
  const requestHash = hashRequest('openai-chat', body)
  const outputHash = hashText('Hallo.')
  expect(toHex(requestHash)).toBe(
    '9032b93a919cec4d97158d2aa93482a6a5625f5c4b22bc36b0a08089ad4eb7cf',
  )
  expect(toHex(outputHash)).toBe('72b97837cd09238a81dcc979519024668976cba316c0bf32f6f7214f1a5ba682')
  expect(toHex(hashMessage(requestHash, outputHash, 1_763_700_000))).toBe(
    '9bb82db5b823161afdb18edce7712ae40c28c30c367c4e17da78289f1d1d62f5',
  )
  const call = parsePythonJson(
    String.raw`{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}`,
  )
  expect(toHex(hashText(dumpPythonJson([describeToolCall(call)])))).toBe(
    'af046be33b880f441130c0e607c2a0c6097326fbb5df742329cc5a483409bbfc',
  )
})

const described: readonly (readonly [what: string, body: object, text: string])[] = [
  [
    'a developer is a system, and no temperature is 0.0',
    { messages: [{ role: 'developer', content: 'x', name: 'y' }] },
    '{"messages": [{"content": "x", "role": "system"}], "model": "m", "temperature": 0.0}',
  ],
  [
    'pictures are named and not covered',
    {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'x', cache: 1 },
            { type: 'image_url', image_url: { url: 'data:' } },
            { type: 'file', file: { filename: 'a.pdf', file_data: 'AA' } },
          ],
        },
      ],
    },
    '{"messages": [{"content": [{"text": "x", "type": "text"}, {"type": "image_url"}, {"filename": "a.pdf", "type": "file"}], "role": "user"}], "model": "m", "temperature": 0.0}',
  ],
  [
    'calls of tools and their results are covered',
    {
      messages: [
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c', content: '4', name: 'f' },
        { role: 'function', name: 'g', content: '5' },
      ],
    },
    '{"messages": [{"content": "", "role": "assistant", "tool_calls": [{"function": {"arguments": "{}", "name": "f"}, "id": "c", "type": "function"}]}, {"content": "4", "role": "tool", "tool_call_id": "c"}, {"content": "5", "name": "g", "role": "function"}], "model": "m", "temperature": 0.0}',
  ],
  [
    'what is nothing to Python is left out',
    {
      messages: [],
      max_tokens: 0,
      stop: [],
      tools: [],
      response_format: {},
      web_search: false,
      n: 4,
    },
    '{"max_tokens": 0, "messages": [], "model": "m", "temperature": 0.0}',
  ],
  [
    'what is something is kept',
    {
      messages: [],
      max_tokens: null,
      stop: 'x',
      response_format: { type: 'json_object' },
      web_search: 1,
    },
    '{"messages": [], "model": "m", "response_format": {"type": "json_object"}, "stop": "x", "temperature": 0.0, "web_search": true}',
  ],
]

test.each(described)('of a chat %s', (_, body, text) => {
  const request = JSON.stringify({ model: 'm', ...body })
  expect(dumpPythonJson(describeRequest('openai-chat', request))).toBe(text)
})

test('of a completion the prompt is covered', () => {
  const body =
    '{"model":"m","prompt":"x","temperature":1e-7,"max_tokens":1.0,"stop":["a"],"seed":1}'
  expect(dumpPythonJson(describeRequest('openai-completions', body))).toBe(
    '{"max_tokens": 1.0, "model": "m", "prompt": "x", "stop": ["a"], "temperature": 1e-07}',
  )
})

test.each([
  ['no JSON', '{"model":'],
  ['no object', '[]'],
  ['no messages', '{"model":"m"}'],
  ['a message that is none', '{"messages":[1]}'],
  ['a role that nobody has', '{"messages":[{"role":"critic","content":"x"}]}'],
  ['a temperature that is no number', '{"messages":[],"temperature":"hot"}'],
  [
    'a text of more than a mebibyte',
    `{"messages":[{"role":"user","content":"${'x'.repeat(1_048_576)}"}]}`,
  ],
  ['a text deeper than the stack', `{"messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
])('%s is refused', (_, body) => {
  expect(() => hashRequest('openai-chat', body)).toThrow(NotHashable)
})
