import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../../test/provider/start.ts'
import { callRaw } from '../../../../test/provider/raw-client.ts'
import { createChatBody, postChat } from '../support/chat-call.ts'
import { startOtlpCollector, type OtlpCollector } from '../support/otlp-collector.ts'
import { receiptOf } from '../support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentSpanId = 'b7ad6b7169203331'
const prompt = 'prompt-canary-31f9'
const callerKey = 'sk-caller-canary-77aa'
const authorization = 'Bearer collector-canary-5d10'

let provider: TlsLoopbackProvider

beforeAll(async () => {
  provider = await startLoopbackProvider()
})

afterAll(async () => {
  await provider.stop()
})

async function start(
  more: object = {},
): Promise<{ readonly gateway: RunningGateway; readonly collector: OtlpCollector }> {
  const collector = await startOtlpCollector()
  const gateway = await startGateway({
    provider,
    config: { telemetry: { otlpUrl: collector.url, authorizationEnv: 'OTLP_AUTH', ...more } },
    environment: { OTLP_AUTH: authorization },
  })
  onTestFinished(async () => {
    await disposeGateway(gateway)
    await collector.stop()
  })
  return { gateway, collector }
}

test('tells a collector of a call in the trace of its caller, without a word of it', async () => {
  const { gateway, collector } = await start()
  const traceparent = `00-${traceId}-${parentSpanId}-01`
  const headers = { traceparent, 'x-api-key': callerKey }
  const body = createChatBody({ model: 'loopback-echo', stream: false, prompt })
  const answer = await postChat(gateway.url, body, { headers })
  expect(answer.body.toString()).toContain(prompt)
  await gateway.stop()
  const spans = await collector.spans(2)
  expect(spans).toHaveLength(2)
  const [server, client] = spans
  expect(server).toMatchObject({
    traceId,
    parentSpanId,
    name: 'POST /v1/chat/completions',
    kind: 2,
    status: {},
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': '200',
      'countersign.receipt.id': receiptOf(answer.headers).id,
      'countersign.state': 'complete',
      'countersign.charge.scheme': 'none',
      'countersign.charge.amount_atomic': '0',
    },
  })
  expect(client).toMatchObject({
    traceId,
    parentSpanId: server?.spanId,
    name: 'chat loopback-echo',
    kind: 3,
    status: {},
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'loopback-echo',
      'gen_ai.response.model': 'loopback-echo',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': expect.stringMatching(/^[1-9]/),
      'gen_ai.usage.output_tokens': expect.stringMatching(/^[1-9]/),
    },
  })
  const [log] = await provider.log()
  expect(log?.headers).not.toHaveProperty('traceparent')
  for (const secret of [prompt, callerKey, answer.body.toString().slice(0, 40)]) {
    expect(collector.text()).not.toContain(secret)
  }
  expect(new Set(collector.authorizations)).toEqual(new Set([authorization]))
  expect(gateway.stderr()).not.toContain(authorization)
})

test('tells of refusals and failures as errors, each in a trace of its own', async () => {
  const { gateway, collector } = await start()
  for (const model of ['hostile-status-500', 'hostile-reset']) {
    await postChat(gateway.url, createChatBody({ model, stream: false }))
  }
  await postChat(gateway.url, '{"model":1}')
  await callRaw({ url: `${gateway.url}/v1/responses/resp_secret1/cancel`, method: 'POST' })
  await gateway.stop()
  const spans = await collector.spans(6)
  expect(new Set(spans.map((span) => span.traceId)).size).toBe(4)
  const shown = spans.map(({ name, status, attributes }) => [
    name,
    status.code ?? 0,
    attributes['error.type'] ?? '',
  ])
  expect(shown).toEqual([
    ['POST /v1/chat/completions', 2, ''],
    ['chat hostile-status-500', 2, 'status-500'],
    ['POST /v1/chat/completions', 2, ''],
    ['chat hostile-reset', 2, 'reset'],
    ['POST /v1/chat/completions', 0, 'request-malformed'],
    ['POST /v1/responses/{id}/cancel', 0, 'reference-not-found'],
  ])
  expect(collector.text()).not.toContain('resp_secret1')
})

test('sends nothing of calls that are not sampled', async () => {
  const { gateway, collector } = await start()
  const body = createChatBody({ model: 'loopback-echo', stream: false })
  const unsampled = { traceparent: `00-${traceId}-${parentSpanId}-00` }
  await postChat(gateway.url, body, { headers: unsampled })
  await postChat(gateway.url, body)
  await gateway.stop()
  const spans = await collector.spans(2)
  expect(spans).toHaveLength(2)
  expect(spans.every((span) => span.traceId !== traceId)).toBe(true)

  const none = await start({ samplePercent: 0 })
  await postChat(none.gateway.url, body)
  await none.gateway.stop()
  expect(none.collector.text()).toBe('')
})

test('serves calls while the collector is away, and counts what it could not deliver', async () => {
  const { gateway, collector } = await start()
  collector.answerWith(503, 400)
  const body = createChatBody({ model: 'loopback-echo', stream: false })
  expect((await postChat(gateway.url, body)).status).toBe(200)
  // The first attempt is taken up again, the second is not.
  await gateway.logged('the collector refused spans', 2)
  expect((await postChat(gateway.url, body)).status).toBe(200)
  await collector.spans(2)
  const metrics = await callRaw({ url: `${gateway.url}/metrics` })
  expect(metrics.body.toString()).toContain('countersign_spans_total{result="dropped"} 2')
  await collector.stop()
  expect((await postChat(gateway.url, body)).status).toBe(200)
  expect(await gateway.stop()).toEqual({ code: 0, signal: null })
})

test('refuses to start without the header that it was promised', async () => {
  const telemetry = { otlpUrl: 'http://127.0.0.1:1/v1/traces', authorizationEnv: 'OTLP_AUTH' }
  await expect(startGateway({ provider, config: { telemetry } })).rejects.toThrow('OTLP_AUTH')
})
