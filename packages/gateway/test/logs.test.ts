import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { receiptOf } from './support/receipts.ts'
import { disposeGateway, startGateway } from './support/start-gateway.ts'

const operatorKey = 'sk-operator-canary-9a1b'
const callerKey = 'sk-caller-canary-5c2d'
const prompt = 'prompt-canary-77e0 with words'

let provider: TlsLoopbackProvider

beforeAll(async () => {
  provider = await startLoopbackProvider({ apiKey: operatorKey })
})

afterAll(async () => {
  await provider.stop()
})

const models = [
  'loopback-echo',
  'hostile-error-in-stream',
  'hostile-status-400',
  'hostile-status-401',
  'hostile-status-500',
  'hostile-reset',
  'hostile-not-http',
  'hostile-crlf-header',
  'hostile-big-header',
  'hostile-json-truncated',
  'hostile-malformed-sse',
  'hostile-usage',
  'hostile-redirect',
]

test.each(['error', 'warn', 'info', 'debug', 'silent'] as const)(
  'writes no prompt, answer, credential or token to its log at level %s',
  async (logLevel) => {
    const { url: baseUrl, caFile } = provider
    const upstream = {
      name: 'loopback',
      baseUrl,
      caFile,
      apiKeyEnv: 'LOOPBACK_KEY',
      models: [{ id: '*', priceAtomic: '1' }],
    }
    const gateway = await startGateway({
      logLevel,
      config: { upstreams: [upstream] },
      environment: { LOOPBACK_KEY: operatorKey },
    })
    const headers = { authorization: `Bearer ${callerKey}`, 'x-api-key': callerKey }
    const calls = models.flatMap((model) => [true, false].map((stream) => ({ model, stream })))
    const secrets = await Promise.all(
      calls.map(async ({ model, stream }) => {
        const body = createChatBody({ model, stream, prompt })
        return receiptOf((await postChat(gateway.url, body, { headers })).headers).token
      }),
    )
    await postChat(gateway.url, `{"model":"${prompt}"`, { headers })
    await postChat(`${gateway.url}/${prompt}`, 'x', { headers })
    await disposeGateway(gateway)
    const log = gateway.stderr()
    for (const word of [...secrets, 'canary', 'You asked', 'loopback provider']) {
      expect(log).not.toContain(word)
    }
    expect(secrets).toHaveLength(2 * models.length)
    const lines = log.split('\n').filter((line) => line !== '')
    const isTalkative = logLevel === 'info' || logLevel === 'debug'
    expect(lines.length > 0).toBe(isTalkative)
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: 30 })
  },
)
