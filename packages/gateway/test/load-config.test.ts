import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { ConfigError, loadConfig, parseConfig } from '../src/config/load-config.ts'
import { createConfigJsonSchema } from '../src/config/schema.ts'

const folder = '/etc/countersign'
const upstream = {
  name: 'openai',
  baseUrl: 'https://api.openai.com/v1',
  apiKeyEnv: 'OPENAI_API_KEY',
  caFile: 'ca.pem',
  models: [
    { id: 'gpt-5', priceAtomic: '10000' },
    { id: '*', priceAtomic: '0' },
  ],
}
const minimal = {
  issuer: 'https://gateway.example',
  listen: { port: 8080 },
  dataDir: 'data',
  upstreams: [upstream],
  payment: 'none',
  attestation: { kind: 'simulated' },
}

function parse(value: unknown): ReturnType<typeof parseConfig> {
  return parseConfig(JSON.stringify(value), folder)
}

test('fills in the defaults and makes paths absolute', () => {
  const { config } = parse(minimal)
  expect(config).toMatchObject({
    listen: { host: '127.0.0.1', port: 8080 },
    dataDir: `${folder}/data`,
    upstreams: [{ connections: 256, caFile: `${folder}/ca.pem` }],
    limits: { maxRequestBytes: 33_554_432, firstByteTimeoutMs: 900_000, drainTimeoutMs: 30_000 },
    receipts: { enabled: true, keepDays: 30 },
    log: { level: 'info' },
  })
})

const without = (name: string): unknown =>
  Object.fromEntries(Object.entries(minimal).filter(([key]) => key !== name))
const withUpstream = (changes: object): unknown => ({
  ...minimal,
  upstreams: [{ ...upstream, ...changes }],
})

const faults: readonly (readonly [what: string, value: unknown, message: RegExp])[] = [
  ['an unknown member', { ...minimal, apiKey: 'sk-1' }, /apiKey/],
  ['an unknown member below', { ...minimal, listen: { port: 1, hots: '' } }, /hots/],
  // What no verifier could read again would stand in every statement (ST2.2, RC2.1).
  ['an issuer of more than 255 bytes', { ...minimal, issuer: 'ü'.repeat(128) }, /issuer/],
  [
    'an asset of more than 128 bytes',
    { ...minimal, payment: { apiKeys: { asset: '€'.repeat(43) } } },
    /asset|payment/,
  ],
  ['an unknown member of an upstream', withUpstream({ key: 'a' }), /key/],
  [
    'an unknown member of a model',
    withUpstream({ models: [{ id: 'a', priceAtomic: '1', price: 1 }] }),
    /price/,
  ],
  ...['issuer', 'listen', 'dataDir', 'upstreams', 'payment', 'attestation'].map(
    (name) => [`no ${name}`, without(name), new RegExp(name)] as const,
  ),
  ['no upstream', { ...minimal, upstreams: [] }, /upstreams/],
  [
    'a model twice',
    withUpstream({ models: [upstream.models[0], upstream.models[0]] }),
    /gpt-5.*twice/,
  ],
  [
    'a model in two upstreams',
    { ...minimal, upstreams: [upstream, { ...upstream, name: 'b' }] },
    /twice/,
  ],
  [
    'two upstreams of one name',
    { ...minimal, upstreams: [upstream, { ...upstream, models: [{ id: 'c', priceAtomic: '1' }] }] },
    /one name/,
  ],
  ...['1.5', '-1', '01', '1e3', '', ' 1', 1, '9'.repeat(40)].map(
    (price) =>
      [
        `the price ${price}`,
        withUpstream({ models: [{ id: 'a', priceAtomic: price }] }),
        /priceAtomic/,
      ] as const,
  ),
  ...['', 'a b', 'ä', 'a?b', 'x'.repeat(129)].map(
    (id) =>
      [
        `the model ${JSON.stringify(id.slice(0, 5))}`,
        withUpstream({ models: [{ id, priceAtomic: '1' }] }),
        /models/,
      ] as const,
  ),
  ...[
    'ftp://a.example/v1',
    'a',
    'https://user:pw@a.example/v1',
    'https://a.example/v1?key=1',
    'https://a.example/v1#a',
  ].map((baseUrl) => [`the base URL ${baseUrl}`, withUpstream({ baseUrl }), /baseUrl/] as const),
  ['a port that is too large', { ...minimal, listen: { port: 65_536 } }, /port/],
  ['a port that is a text', { ...minimal, listen: { port: '80' } }, /port/],
  ['a payment that nobody can make', { ...minimal, payment: {} }, /payment/],
  ['an unknown payment', { ...minimal, payment: 'free' }, /payment/],
  ['another attestation', { ...minimal, attestation: { kind: 'tdx' } }, /attestation/],
  ...[
    { sources: [{ kind: 'tsm' }] },
    { sources: [{ kind: 'tsm' }, { kind: 'simulated' }] },
    { sources: [{ kind: 'tsm' }, { kind: 'auto' }] },
    { sources: [{ kind: 'tsm' }, { kind: 'tpm' }], atLeast: 3 },
    { sources: [{ kind: 'tsm' }, { kind: 'tpm' }], atLeast: 0 },
    { sources: [{ kind: 'tsm' }, { kind: 'tpm' }], timeoutMs: 1 },
  ].map(
    (several) =>
      [
        `several sources of evidence like ${JSON.stringify(several)}`,
        { ...minimal, attestation: { kind: 'several', ...several } },
        /attestation/,
      ] as const,
  ),
  ['a limit of 0', { ...minimal, limits: { totalTimeoutMs: 0 } }, /totalTimeoutMs/],
  ['a log level that does not exist', { ...minimal, log: { level: 'trace' } }, /log/],
  ['an array', [], /./],
  ['null', null, /./],
]

test('takes several sources of evidence, with absolute paths in each', () => {
  const sources = [
    { kind: 'tsm', collateralDir: 'collateral' },
    { kind: 'tpm', enrolmentFile: 'record.cbor' },
  ]
  const attestation = { kind: 'several', sources, atLeast: 1 }
  const { config } = parse({ ...minimal, attestation })
  expect(config.attestation).toMatchObject({
    atLeast: 1,
    sources: [
      { kind: 'tsm', collateralDir: join(folder, 'collateral'), timeoutMs: 60_000 },
      { kind: 'tpm', enrolmentFile: join(folder, 'record.cbor'), applicationPcr: 14 },
    ],
  })
})

test.each(faults)('refuses %s', (_, value, message) => {
  expect(() => parse(value)).toThrow(ConfigError)
  expect(() => parse(value)).toThrow(message)
})

test('refuses a member that stands twice, wherever that is', () => {
  const text = JSON.stringify(minimal)
  expect(() =>
    parseConfig(text.replace('"payment":', '"payment":"none","payment":'), folder),
  ).toThrow(/two members/)
  expect(() => parseConfig(text.replace('"port":', '"port":1,"p\\u006frt":'), folder)).toThrow(
    /two members/,
  )
})

test('names every fault at once', () => {
  expect(() => parse({ ...minimal, listen: { port: -1 }, payment: 'x', more: 1 })).toThrow(
    /port[^]*payment|payment[^]*port/,
  )
})

test('refuses files that are missing, too large, not UTF-8 or not JSON', () => {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-config-'))
  onTestFinished(() => {
    rmSync(directory, { recursive: true })
  })
  const file = join(directory, 'countersign.config.json')
  expect(() => loadConfig(file)).toThrow(/cannot be read/)
  for (const [content, message] of [
    [Buffer.alloc(1_048_577, 0x20), /larger than 1 MiB/],
    [Buffer.from([0x7b, 0xff, 0x7d]), /UTF-8/],
    [Buffer.from('{'), /not JSON/],
    [Buffer.from(''), /not JSON/],
  ] as const) {
    writeFileSync(file, content)
    expect(() => loadConfig(file)).toThrow(message)
  }
  writeFileSync(file, JSON.stringify(minimal))
  expect(() => loadConfig(file)).toThrow(/ca\.pem cannot be read/)
  writeFileSync(join(directory, 'ca.pem'), 'one authority')
  const first = loadConfig(file)
  expect(first.config.dataDir).toBe(join(directory, 'data'))
  writeFileSync(join(directory, 'ca.pem'), 'another authority')
  expect(toHex(loadConfig(file).digest)).not.toBe(toHex(first.digest))
})

function shuffle(value: unknown, order: readonly number[]): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffle(item, order))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, member], index) => ({
    name,
    member: shuffle(member, order),
    rank: order[index % order.length] ?? 0,
  }))
  const sorted = entries.toSorted((a, b) => a.rank - b.rank)
  return Object.fromEntries(sorted.map(({ name, member }) => [name, member]))
}

test('has one digest, whatever the order of members, the white space and the folder', () => {
  const { digest } = parse(minimal)
  fc.assert(
    fc.property(fc.array(fc.integer(), { minLength: 1, maxLength: 8 }), (order) => {
      const text = JSON.stringify(shuffle(minimal, order), undefined, 3)
      expect(toHex(parseConfig(text, '/elsewhere').digest)).toBe(toHex(digest))
    }),
  )
  expect(toHex(parse({ ...minimal, log: {}, limits: {} }).digest)).toBe(toHex(digest))
})

test('has another digest for any other value', () => {
  const variants: readonly unknown[] = [
    minimal,
    { ...minimal, issuer: 'https://other.example' },
    { ...minimal, listen: { port: 8081 } },
    { ...minimal, limits: { maxCalls: 5 } },
    withUpstream({ baseUrl: 'https://api.x.ai/v1' }),
    withUpstream({ models: upstream.models.toReversed() }),
    withUpstream({ models: [{ id: 'gpt-5', priceAtomic: '10001' }] }),
    { ...minimal, receipts: { enabled: false } },
  ]
  const digests = new Set(variants.map((variant) => toHex(parse(variant).digest)))
  expect(digests.size).toBe(variants.length)
})

const metered = {
  name: 'house',
  upstream: 'openai',
  provider: 'openai',
  price: { perMillionAtomic: { input: '1' } },
  limits: { contextTokens: 1000 },
}
const openModels = { models: [{ id: '*', priceAtomic: '1' }] }

test('takes one open list of models for each wire', () => {
  const anthropic = { ...upstream, name: 'a', kind: 'anthropic', ...openModels }
  const google = { ...upstream, name: 'g', kind: 'google', ...openModels }
  expect(
    parse({ ...minimal, upstreams: [upstream, anthropic, google] }).config.upstreams,
  ).toHaveLength(3)
  const xai = { ...upstream, name: 'x', kind: 'xai', ...openModels }
  expect(() => parse({ ...minimal, upstreams: [upstream, xai] })).toThrow(/"\*" is listed twice/)
})

test('refuses models whose names meet, that are none, or that nobody could pay for', () => {
  const alias = { ...metered, aliases: ['gpt-5'] }
  expect(() => parse({ ...minimal, models: [alias] })).toThrow(/"gpt-5" is listed twice/)
  const empty = { ...upstream, models: [] }
  expect(() => parse({ ...minimal, upstreams: [empty] })).toThrow(/no model is listed/)
  expect(parse({ ...minimal, upstreams: [empty], models: [metered] }).config.models).toHaveLength(1)
  const exact = {
    network: 'eip155:1',
    asset: `0x${'a'.repeat(40)}`,
    assetName: 'USD',
    assetVersion: '1',
    payTo: `0x${'b'.repeat(40)}`,
    rpcUrl: 'http://127.0.0.1:1',
  }
  const payable = { ...minimal, payment: { exact } }
  expect(() => parse({ ...payable, models: [metered] })).toThrow(/priced by use/)
  const flat = { ...metered, price: { perCallAtomic: '1' } }
  expect(parse({ ...payable, models: [flat] }).config.models).toHaveLength(1)
})

test('publishes a JSON Schema that knows every member and takes no other', () => {
  const schema = JSON.stringify(createConfigJsonSchema())
  for (const name of [...Object.keys(minimal), 'limits', 'receipts', 'log', 'apiKeyEnv']) {
    expect(schema).toContain(`"${name}"`)
  }
  expect(schema).not.toContain('"additionalProperties":true')
  expect(schema).toContain('"additionalProperties":false')
})

/** Names of all members that a JSON Schema has, at any depth. */
function memberNames(schema: unknown): readonly string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const properties: unknown = Reflect.get(schema, 'properties')
  const own = typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
  return [...own, ...Object.values(schema).flatMap(memberNames)]
}

test('documents every member, with examples that are valid', () => {
  const text = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
  const names = new Set(memberNames(createConfigJsonSchema()))
  expect(names.size).toBeGreaterThan(30)
  const words = new Set(text.match(/[A-Za-z$]+/g))
  for (const name of names) expect(words, name).toContain(name)
  const examples = [...text.matchAll(/```json\n([^]*?)```/g)].map(([, example = '']) => example)
  expect(examples).toHaveLength(2)
  for (const example of examples) {
    expect(parseConfig(example, folder).config.issuer).toBe('https://gateway.example')
  }
})
