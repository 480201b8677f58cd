import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'
import { everyUpstream } from './support/wire-calls.ts'

const model = 'loopback-echo'
const answerText = 'This is the loopback provider: no model ran. You asked: Why?'

let provider: TlsLoopbackProvider
let gateway: RunningGateway
let openai: OpenAI

beforeAll(async () => {
  provider = await startLoopbackProvider()
  gateway = await startGateway({ config: { upstreams: everyUpstream(provider) } })
  openai = new OpenAI({ apiKey: 'placeholder', baseURL: `${gateway.url}/v1`, maxRetries: 0 })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

test('the client of OpenAI reads responses, whole and streamed, and calls of tools', async () => {
  const whole = await openai.responses.create({ model, input: 'Why?' })
  expect(whole).toMatchObject({ status: 'completed', output_text: answerText })
  const stream = openai.responses.stream({ model, input: 'Why?' })
  let text = ''
  for await (const event of stream) {
    if (event.type === 'response.output_text.delta') text += event.delta
  }
  expect(text).toBe(answerText)
  expect((await stream.finalResponse()).output_text).toBe(answerText)
  const called = await openai.responses.create({
    model,
    input: 'Why?',
    tools: [{ type: 'function', name: 'f', parameters: {}, strict: false }],
    tool_choice: 'required',
  })
  expect(called.output).toMatchObject([{ type: 'function_call', name: 'f' }])
})

test('it reads chats, completions, embeddings and moderations', async () => {
  const messages = [{ role: 'user' as const, content: 'Why?' }]
  const chat = await openai.chat.completions.create({ model, messages })
  expect(chat.choices[0]?.message.content).toBe(answerText)
  let text = ''
  const stream = await openai.completions.create({ model, prompt: 'Why?', stream: true })
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? ''
  expect(text).toBe(answerText)
  const input = ['a', 'b']
  const embedded = await openai.embeddings.create({ model, input, encoding_format: 'float' })
  expect(embedded.data).toHaveLength(2)
  expect(await openai.moderations.create({ model, input })).toMatchObject({
    results: [{ flagged: false }],
  })
})

test('it reads pictures and sound, and sends forms', async () => {
  const drawn = await openai.images.generate({ model, prompt: 'A pixel' })
  expect(drawn.data?.[0]?.b64_json).toMatch(/^iVBOR/)
  const picture = await toFile(Buffer.from(drawn.data?.[0]?.b64_json ?? '', 'base64'), 'a.png')
  expect((await openai.images.edit({ model, image: [picture], prompt: 'x' })).data).toHaveLength(1)
  const spoken = await openai.audio.speech.create({ model, input: 'Why?', voice: 'alloy' })
  const sound = Buffer.from(await spoken.arrayBuffer())
  expect(sound.length).toBe(288)
  const file = await toFile(sound, 'sound.mp3')
  const heard = await openai.audio.transcriptions.create({ model, file })
  expect(heard.text).toMatch(/^This is the loopback provider: it heard \d+ bytes\.$/)
})

test('it lists models, and shows what our errors say', async () => {
  const { data } = await openai.models.list()
  expect(data.map(({ id }) => id)).toEqual(['*'])
  const refused = openai.responses.create({ model, input: 'Why?', background: true })
  await expect(refused).rejects.toMatchObject({
    status: 400,
    code: 'shared-account',
    message: expect.stringContaining('outlives its payment'),
  })
  await expect(openai.responses.retrieve('resp_1')).rejects.toMatchObject({
    status: 404,
    code: 'reference-not-found',
  })
})
