import { afterAll, beforeAll, expect, test } from 'vitest'
import { verify } from '@countersign/protocol'
import type { Check } from '@countersign/protocol/verify/verdict'
import { policyFile } from '../../../test/vectors/policy-file.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import {
  startScriptedUpstream,
  type Script,
  type ScriptedUpstream,
} from './support/scripted-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let upstream: ScriptedUpstream
let gateway: RunningGateway

const serving =
  (model: string): Script =>
  (response) => {
    const body = JSON.stringify({ model, choices: [], usage: { prompt_tokens: 1 } })
    response.writeHead(200, { 'content-type': 'application/json' }).end(body)
  }

beforeAll(async () => {
  upstream = await startScriptedUpstream(
    new Map([
      ['gpt-4o', serving('gpt-4o-2024-08-06')],
      ['gpt-5', serving('gpt-5-mini')],
    ]),
  )
  const models = ['gpt-4o', 'gpt-5'].map((id) => ({ id, priceAtomic: '0' }))
  gateway = await startGateway({
    config: {
      upstreams: [{ name: 'scripted', baseUrl: upstream.url, models }],
      models: [
        {
          name: 'fast',
          upstream: 'scripted',
          provider: 'openai',
          upstreamModel: 'gpt-4o',
          price: { perCallAtomic: '0' },
        },
      ],
    },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

test.each([
  ['gpt-4o', { status: 'passed', detail: 'snapshot: gpt-4o-2024-08-06' }, 'valid'],
  ['fast', { status: 'not-checked', reason: 'renamed' }, 'incomplete'],
  ['gpt-5', { status: 'not-checked', reason: 'other-model' }, 'invalid'],
] as const)(
  'says of a call of %s how the model stands that was served',
  async (model, shown, demanded) => {
    const body = createChatBody({ model, stream: false })
    const answer = await postChat(gateway.url, body)
    const { bundle } = await expectVerified(gateway.url, answer, body)
    const byDefault = await verify(bundle, policyFile({}), Date.now())
    expect(byDefault.checks.find(isServedModel)).toMatchObject(shown)
    expect(byDefault.verdict).toBe('valid')
    const demanding = await verify(bundle, policyFile({ require: ['served-model'] }), Date.now())
    expect(demanding.verdict).toBe(demanded)
  },
)

function isServedModel({ id }: Check): boolean {
  return id === 'served-model'
}
