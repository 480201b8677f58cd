import { afterAll, beforeAll, expect, test } from 'vitest'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import {
  startScriptedUpstream,
  type Script,
  type ScriptedUpstream,
} from './support/scripted-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

const maxResponseBytes = 65_536
const stream = { 'content-type': 'text/event-stream' }
const json = { 'content-type': 'application/json' }
const usage = '"usage":{"prompt_tokens":3,"completion_tokens":4}'

const deepUsage = `"usage":{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`

const answerJson =
  (text: string): Script =>
  (response) => {
    response.writeHead(200, json).end(text)
  }
const answerEvents =
  (events: readonly string[], headers: Record<string, string> = stream): Script =>
  (response) => {
    response.writeHead(200, headers)
    for (const event of events) response.write(event)
    response.end()
  }

/** Writes without end, as fast as the reader takes it. */
const pour =
  (headers: Record<string, string>, first: string): Script =>
  (response) => {
    response.writeHead(200, headers).write(first)
    const more = (): void => {
      while (response.write('x'.repeat(4096)));
    }
    response.on('drain', more)
    more()
  }

const scripts = new Map<string, Script>([
  [
    'surrogate-json',
    answerJson('{"model":"\\ud83d","choices":[{"finish_reason":"\\udc00"}],"usage":{"\\ud800":1}}'),
  ],
  [
    'surrogate-sse',
    answerEvents([
      'data: {"model":"a\\ud83d","choices":[{"finish_reason":"\\udc00"}]}\n\n',
      'data: [DONE]\n\n',
    ]),
  ],
  [
    'long-names',
    answerJson(
      `{"model":"${'\u{1f600}'.repeat(200)}","choices":[{"finish_reason":"${'é'.repeat(500)}"}],${usage}}`,
    ),
  ],
  ['huge-usage', answerJson(`{"model":"m","usage":{"prompt_tokens":3,"x":"${'y'.repeat(5000)}"}}`)],
  ['deep-usage-json', answerJson(`{"model":"m",${deepUsage}}`)],
  ['deep-usage-sse', answerEvents([`data: {"model":"m",${deepUsage}}\n\n`, 'data: [DONE]\n\n'])],
  ['quoted-done', answerEvents(['data: {"choices":[{"delta":{"content":"[DONE]"}}]}\n\n'])],
  ['spaced-done', answerEvents([`data: {"model":"m",${usage}}\n\n`, ': note\ndata:[DONE] \n\n'])],
  ['done-without-blank-line', answerEvents([`data: {"model":"m",${usage}}\n\n`, 'data: [DONE]'])],
  [
    'after-done',
    answerEvents([`data: {"model":"m",${usage}}\n\n`, 'data: [DONE]\n\n', ': bye\n\n']),
  ],
  [
    'upper-case',
    answerEvents([`data: {"model":"m",${usage}}\n\n`, 'data: [DONE]\n\n'], {
      'content-type': 'Text/Event-Stream;charset=UTF-8',
    }),
  ],
  [
    'late-usage',
    answerEvents([
      'data: {"model":"m","usage":null}\n\n',
      `data: {"model":"m","usage" : {"prompt_tokens" : 5,"completion_tokens":6}}\n\n`,
      'data: [DONE]\n\n',
    ]),
  ],
  ['endless-json', pour(json, '{"a":"')],
  ['endless-event', pour(stream, 'data: ')],
  ['empty-200', answerJson('')],
  ['array-200', answerJson('[]')],
  ['empty-sse', answerEvents([])],
  [
    'error-type-sse',
    (response) => {
      response.writeHead(500, stream).end('data: {"error":{}}\n\n')
    },
  ],
  // The operator's account is empty: to a caller it would read like an offer of ours.
  ['status-402', (response) => response.writeHead(402, json).end('{"error":{}}')],
  ['status-999', (response) => response.writeHead(999, json).end('{}')],
])

let upstream: ScriptedUpstream
let gateway: RunningGateway

beforeAll(async () => {
  upstream = await startScriptedUpstream(scripts)
  gateway = await startGateway({ provider: upstream, limits: { maxResponseBytes } })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

const stateOf = (state: string, error: string | null): unknown =>
  expect.objectContaining({ state, error })

const noUsage = { input: null, output: null, raw: null, source: 'none' }

const outcomes: readonly (readonly [
  model: string,
  status: number,
  isWhole: boolean,
  claims: object,
])[] = [
  [
    'surrogate-json',
    200,
    true,
    {
      outcome: { state: 'complete', error: null, finish: '\ufffd' },
      model: { requested: 'surrogate-json', asserted: '\ufffd' },
    },
  ],
  [
    'surrogate-sse',
    200,
    true,
    {
      outcome: { state: 'complete', error: null, finish: '\ufffd' },
      model: { requested: 'surrogate-sse', asserted: 'a\ufffd' },
    },
  ],
  ['long-names', 200, true, { outcome: stateOf('complete', null) }],
  [
    'huge-usage',
    200,
    true,
    {
      outcome: stateOf('complete', null),
      // The provider's own words are longer than a claim may be; its count is not.
      usage: { input: 3, output: 0, raw: null, source: 'provider' },
    },
  ],
  ['deep-usage-json', 200, true, { outcome: stateOf('complete', null), usage: noUsage }],
  ['deep-usage-sse', 200, true, { outcome: stateOf('complete', null), usage: noUsage }],
  ['quoted-done', 200, false, { outcome: stateOf('upstream-error', 'stream-incomplete') }],
  [
    'spaced-done',
    200,
    true,
    { outcome: stateOf('complete', null), usage: { input: 3, output: 4 } },
  ],
  [
    'done-without-blank-line',
    200,
    true,
    { outcome: stateOf('complete', null), stream: { events: 2 } },
  ],
  ['after-done', 200, true, { outcome: stateOf('complete', null), stream: { events: 3 } }],
  ['upper-case', 200, true, { outcome: stateOf('complete', null), stream: { events: 2 } }],
  [
    'late-usage',
    200,
    true,
    { outcome: stateOf('complete', null), usage: { input: 5, output: 6, source: 'provider' } },
  ],
  ['endless-json', 502, true, { outcome: stateOf('upstream-error', 'answer-malformed') }],
  ['endless-event', 200, false, { outcome: stateOf('upstream-error', 'answer-malformed') }],
  ['empty-200', 502, true, { outcome: stateOf('upstream-error', 'body-malformed') }],
  ['array-200', 502, true, { outcome: stateOf('upstream-error', 'body-malformed') }],
  [
    'empty-sse',
    200,
    false,
    { outcome: stateOf('upstream-error', 'stream-incomplete'), stream: { events: 0 } },
  ],
  ['error-type-sse', 500, true, { outcome: stateOf('upstream-error', 'status-500') }],
  ['status-402', 502, true, { outcome: stateOf('upstream-error', 'status-402') }],
  ['status-999', 502, true, { outcome: stateOf('upstream-error', 'status-999') }],
]

test('has a case for every script', () => {
  expect(outcomes.map(([model]) => model)).toEqual(Array.from(scripts.keys()))
})

test.each(outcomes)(
  'signs the answer of %s with status %i',
  async (model, status, isWhole, claims) => {
    const body = createChatBody({ model, stream: true })
    const answer = await postChat(gateway.url, body)
    expect(answer.status).toBe(status)
    expect(answer.failure === null).toBe(isWhole)
    const receipt = await expectVerified(gateway.url, answer, body)
    expect(receipt.payload.type).toBe('receipt')
    expect(receipt.claims).toMatchObject(claims)
    expect(answer.body.length).toBeLessThanOrEqual(maxResponseBytes)
  },
)
