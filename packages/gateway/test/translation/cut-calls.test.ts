/** A caller of another wire who leaves in the middle of a call of a tool. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fetchReceipt, receiptOf } from '../support/receipts.ts'
import {
  startScriptedUpstream,
  type Script,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'
import { translatedConfig, translatedModels } from '../support/translated-models.ts'

let upstream: ScriptedUpstream
let gateway: RunningGateway

function chunk(call: object): string {
  const choices = [{ index: 0, delta: { tool_calls: [{ index: 0, ...call }] } }]
  return `data: ${JSON.stringify({ id: 'c', model: translatedModels.gpt, choices })}\n\n`
}

const half: Script = (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(chunk({ id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }))
  response.write(chunk({ function: { arguments: '{"a":"half' } }))
}

beforeAll(async () => {
  upstream = await startScriptedUpstream(new Map([[translatedModels.gpt, half]]))
  gateway = await startGateway({ config: translatedConfig(new URL(upstream.url).origin) })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

test('who leaves in the middle of a call has left, and no answer was at fault', async () => {
  const left = new AbortController()
  const answer = await fetch(`${gateway.url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'gpt',
      stream: true,
      max_tokens: 50,
      messages: [{ role: 'user', content: 'Why?' }],
      tools: [{ name: 'f', input_schema: { type: 'object', properties: {} } }],
    }),
    signal: left.signal,
  })
  const reader = answer.body?.getReader()
  let text = ''
  while (!text.includes('half')) text += new TextDecoder().decode((await reader?.read())?.value)
  left.abort()
  const { id, token } = receiptOf(Object.fromEntries(answer.headers))
  const { claims } = await fetchReceipt(gateway.url, id, token, 60)
  expect(claims['outcome']).toMatchObject({ state: 'aborted-by-client', error: null })
})
