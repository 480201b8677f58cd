import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { callRaw } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type RunningGateway,
} from './support/start-gateway.ts'

const folder = createGatewayFolder()
const dashboard = z
  .object({
    panels: z
      .array(
        z.object({
          id: z.int(),
          title: z.string().min(1),
          targets: z.array(z.object({ expr: z.string().min(1), refId: z.string() })).min(1),
        }),
      )
      .min(1),
  })
  .parse(
    JSON.parse(
      readFileSync(new URL('../../../docs/grafana-dashboard.json', import.meta.url), 'utf8'),
    ),
  )
const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))

let provider: TlsLoopbackProvider
let gateway: RunningGateway
let headers: Readonly<Record<string, string>>

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const { url: baseUrl, caFile } = provider
  gateway = await startGateway({
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [{ name: 'loopback', baseUrl, caFile, models: [{ id: '*', priceAtomic: '7' }] }],
      models: [
        {
          name: 'house',
          aliases: ['house-alias'],
          upstream: 'loopback',
          provider: 'openai',
          upstreamModel: 'loopback-echo',
          price: { perMillionAtomic: { input: '2000000', output: '3000000' } },
          limits: { contextTokens: 1000 },
        },
      ],
    },
  })
  const store = openApiKeyStore(join(folder, 'data', 'api-keys.db'))
  headers = { 'x-api-key': store.create('test', 1_000_000n, 1).secret }
  store.close()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

async function call(model: string): Promise<number | null> {
  return (await postChat(gateway.url, createChatBody({ model, stream: true }), { headers })).status
}

function labels(model: string, state: string): string {
  return `{wire="openai-chat",model="${model}",upstream="loopback",state="${state}"}`
}

async function scrape(): Promise<string> {
  const answer = await callRaw({ url: `${gateway.url}/metrics` })
  expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
  return answer.body.toString()
}

/** Names and types of what is exported. */
function listFamilies(text: string): ReadonlyMap<string, string> {
  return new Map(
    Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name = '', type = '']) => [name, type]),
  )
}

function valueOf(text: string, series: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? 'NaN')
}

test('counts calls by names of the configuration, never by what callers write', async () => {
  expect(await call('house')).toBe(200)
  expect(await call('house-alias')).toBe(200)
  expect(await call('loopback-echo')).toBe(200)
  expect(await call('hostile-status-500')).toBe(500)
  expect(await call('../evil')).toBe(400)
  // A call is counted when everything of it is over, which may be after its answer has arrived.
  let text = ''
  const countCalls = async (): Promise<readonly number[]> => {
    text = await scrape()
    const ends = [labels('house', 'complete'), labels('*', 'complete')]
    return [...ends, labels('*', 'upstream-error')].map((end) =>
      valueOf(text, `countersign_calls_total${end}`),
    )
  }
  await expect.poll(countCalls).toEqual([2, 1, 1])
  expect(valueOf(text, 'countersign_refusals_total{code="request-malformed"}')).toBe(1)
  expect(valueOf(text, 'countersign_metered_calls_total{source="provider"}')).toBe(2)
  expect(valueOf(text, 'countersign_served_models_total{model="house",match="renamed"}')).toBe(2)
  const input = valueOf(text, 'countersign_usage_total{model="house",kind="input"}')
  const output = valueOf(text, 'countersign_usage_total{model="house",kind="output"}')
  expect(input * output).toBeGreaterThan(0)
  expect(valueOf(text, 'countersign_charged_atomic_total{model="house"}')).toBe(
    2 * input + 3 * output,
  )
  expect(valueOf(text, 'countersign_charged_atomic_total{model="*"}')).toBe(7)
  expect(valueOf(text, 'countersign_upstream_first_byte_seconds_count{upstream="loopback"}')).toBe(
    4,
  )
  expect(valueOf(text, 'countersign_upstream_calls{upstream="loopback",state="waiting"}')).toBe(0)
  expect(text).not.toContain('loopback-echo')
  expect(text).not.toContain('evil')
})

test('names metrics as Prometheus asks', async () => {
  const families = listFamilies(await scrape())
  expect(families.size).toBeGreaterThan(10)
  for (const [name, type] of families) {
    expect(name).toMatch(/^countersign_[a-z_]+[a-z]$/)
    expect(name.endsWith('_total'), `${name} is a ${type}`).toBe(type === 'counter')
    if (type === 'histogram') expect(name).toMatch(/_(?:seconds|bytes)$/)
    expect(name).not.toMatch(/_(?:ms|milliseconds|kb|mb|count)(?:_|$)/)
  }
})

test('has everything on the dashboard, and nothing is on the dashboard that there is not', async () => {
  const exported = new Set(listFamilies(await scrape()).keys())
  const shown = new Set<string>()
  for (const expression of expressions) {
    const names = expression.match(/countersign_[a-z_]+/g) ?? []
    expect(names.length, expression).toBeGreaterThan(0)
    for (const name of names) shown.add(name.replace(/_bucket$/, ''))
  }
  expect([...shown].toSorted()).toEqual([...exported].toSorted())
  const ids = dashboard.panels.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})

test('groups only by labels that there are', () => {
  const source = readFileSync(new URL('../src/metrics.ts', import.meta.url), 'utf8')
  for (const expression of expressions) {
    const [, by = ''] = /by \(([^)]*)\)/.exec(expression) ?? []
    for (const label of by.split(', ').filter((each) => each !== '' && each !== 'le')) {
      expect(source, `${label} of ${expression}`).toContain(`'${label}'`)
    }
  }
})
