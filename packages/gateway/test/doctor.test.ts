import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { examine, formatFindings } from '../src/doctor/run-doctor.ts'
import type { Finding } from '../src/doctor/finding.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { startRpcProxy } from './payment/rpc-proxy.ts'
import { startOtlpCollector } from './support/otlp-collector.ts'
import { createConfig, createGatewayFolder, runToEnd } from './support/start-gateway.ts'

const key = 'sk-doctor-canary-1c7e'
const environment = { PROVIDER_KEY: key }
const usdc = {
  asset: baseSepoliaUsdc.address,
  assetName: baseSepoliaUsdc.eip712Name,
  assetVersion: baseSepoliaUsdc.eip712Version,
}

let provider: TlsLoopbackProvider
let chain: TestChain

beforeAll(async () => {
  provider = await startLoopbackProvider({ apiKey: key })
  chain = await startTestChain()
})

afterAll(async () => {
  await provider.stop()
  await chain.stop()
})

function writeConfig(config: object): string {
  const folder = createGatewayFolder()
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const file = join(folder, 'countersign.config.json')
  writeFileSync(file, JSON.stringify({ ...createConfig({}), ...config }))
  return file
}

/** The loopback provider as an upstream. */
function loopback(more: object = {}): object {
  const { url: baseUrl, caFile } = provider
  const models = [{ id: 'loopback-echo', priceAtomic: '1' }]
  return { name: 'loopback', baseUrl, caFile, apiKeyEnv: 'PROVIDER_KEY', models, ...more }
}

async function examineConfig(
  config: object,
  env: Readonly<Record<string, string>> = environment,
  nowMs = Date.now,
): Promise<readonly Finding[]> {
  return examine(writeConfig(config), { environment: env, nowMs })
}

/** What is not well. */
function problemsOf(findings: readonly Finding[]): readonly string[] {
  return findings
    .filter(({ status, check }) => status !== 'ok' && check !== 'attestation')
    .map(({ status, check, message, hint }) => {
      expect(hint === '', `${check} has a hint`).toBe(status === 'skipped')
      return `${status} ${check}: ${message}`
    })
}

test('finds nothing wrong where nothing is, as a program', async () => {
  const collector = await startOtlpCollector()
  onTestFinished(async () => collector.stop())
  const file = writeConfig({
    upstreams: [loopback()],
    models: [
      {
        name: 'house',
        upstream: 'loopback',
        provider: 'openai',
        upstreamModel: 'loopback-echo',
        price: { perCallAtomic: '1' },
      },
    ],
    telemetry: { otlpUrl: collector.url },
  })
  const text = await runToEnd(['--doctor', file], environment)
  expect(text, text.stdout + text.stderr).toMatchObject({ code: 0, stderr: '' })
  for (const line of [
    /^ok {3}configuration +digest [0-9a-f]{64}$/m,
    /^ok {3}data folder /m,
    /^ok {3}prices +1 models/m,
    /^WARN attestation +simulated$/m,
    /^ok {3}telemetry +the collector answers$/m,
    /^ok {3}upstream loopback tcp +\S+ answers$/m,
    /^ok {3}upstream loopback tls +TLSv1\.[23], certificate for [0-9]+ days$|^WARN upstream loopback tls/m,
    /^ok {3}upstream loopback clock +this clock is 0 s|^ok {3}upstream loopback clock +this clock is [0-9] s/m,
    /^ok {3}upstream loopback key +accepted$/m,
    /^ok {3}upstream loopback models +1 of [0-9]+ are used$/m,
  ]) {
    expect(text.stdout).toMatch(line)
  }
  const json = await runToEnd(['--doctor', file, '--json'], environment)
  const report = z
    .strictObject({
      ok: z.literal(true),
      checks: z
        .array(
          z.strictObject({
            check: z.string(),
            status: z.enum(['ok', 'warning', 'failed', 'skipped']),
            message: z.string(),
            hint: z.string(),
          }),
        )
        .min(9),
    })
    .parse(JSON.parse(json.stdout))
  expect(report.ok).toBe(true)
  expect(text.stdout + json.stdout).not.toContain(key)
})

test('says what is wrong with a configuration, a folder, a price and a collector', async () => {
  const broken = await examineConfig({ upstreams: 1 })
  expect(problemsOf(broken)[0]).toMatch(/^failed configuration: /)
  const folder = createGatewayFolder()
  writeFileSync(join(folder, 'file'), '')
  const findings = await examineConfig({
    dataDir: join(folder, 'file', 'data'),
    upstreams: [loopback()],
    models: [
      { name: 'no-such-model', upstream: 'loopback', provider: 'openai', price: { builtIn: {} } },
    ],
    telemetry: { otlpUrl: provider.url.replace('https:', 'http:') },
  })
  rmSync(folder, { recursive: true })
  const problems = problemsOf(findings)
  expect(problems).toHaveLength(4)
  expect(problems[0]).toMatch(/^failed data folder: .*ENOTDIR/)
  expect(problems[1]).toMatch(/^failed prices: .*no-such-model/)
  expect(problems[2]).toMatch(/^failed telemetry: /)
  expect(problems[3]).toMatch(/^failed upstream loopback models: no-such-model is not among/)
  const program = await runToEnd(['--doctor', writeConfig({ upstreams: 1 })])
  expect(program).toMatchObject({ code: 1 })
  expect(program.stdout).toMatch(/^FAIL configuration/)
})

test.each([
  ['no key', {}, {}, /^failed upstream loopback key: environment variable PROVIDER_KEY/],
  ['a key with a line end', {}, { PROVIDER_KEY: `${key}\n` }, /loopback key: environment/],
  ['another key', {}, { PROVIDER_KEY: 'wrong' }, /^failed upstream loopback key: refused with 401/],
  ['no authority', { caFile: undefined }, environment, /^failed upstream loopback tls: /],
  ['no file', { caFile: 'absent.pem' }, environment, /^failed configuration: .*absent\.pem/],
  [
    'another model',
    { models: [{ id: 'loopback-ecco', priceAtomic: '1' }] },
    environment,
    /^failed upstream loopback models: loopback-ecco is not among/,
  ],
  [
    'no such name',
    // No name server is asked for a label that is too long.
    { baseUrl: `https://${'a'.repeat(64)}.invalid/v1` },
    environment,
    /^failed upstream loopback dns: a{64}\.invalid: /,
  ],
  [
    'nobody there',
    { baseUrl: 'https://127.0.0.1:1/v1' },
    environment,
    /^failed upstream loopback tcp: 127\.0\.0\.1:1: ECONNREFUSED/,
  ],
] as const)('says of a provider: %s', async (_, more, env, problem) => {
  const findings = await examineConfig({ upstreams: [loopback(more)] }, env)
  const problems = problemsOf(findings)
  expect(problems).toHaveLength(1)
  expect(problems[0]).toMatch(problem)
  expect(formatFindings(findings, false)).not.toContain(key)
})

async function skewed(skewMs: number): Promise<readonly string[]> {
  const nowMs = (): number => Date.now() + skewMs
  return problemsOf(await examineConfig({ upstreams: [loopback()] }, environment, nowMs))
}

test('says whose clock is wrong', async () => {
  expect(await skewed(100_000)).toEqual([
    expect.stringMatching(
      /^warning upstream loopback clock: this clock is (?:9|10|11|12)[0-9] s ahead$/,
    ),
  ])
  expect(await skewed(-400_000)).toEqual([
    expect.stringMatching(
      /^failed upstream loopback clock: this clock is (?:3[89]|4[01])[0-9] s behind$/,
    ),
  ])
})

async function startList(answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((_, response) => {
    answer(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/v1`
}

test.each([
  [404, '{}', /^warning upstream loopback models: GET \/models gives 404/],
  [429, `{"error":"${key}"}`, /^warning upstream loopback key: refused with 429/],
  [302, '', /^failed upstream loopback models: GET \/models gives 302/],
  [500, `{"error":"${key}"}`, /^failed upstream loopback models: GET \/models gives 500/],
  [200, '<html>', /^warning upstream loopback models: the list is empty or no list/],
  [200, '{"data":[{"id":1},null]}', /^warning upstream loopback models: the list is empty/],
] as const)('understands an answer of %i %s', async (status, body, problem) => {
  const baseUrl = await startList((response) => {
    response.writeHead(status, { location: '/elsewhere' }).end(body)
  })
  const findings = await examineConfig({ upstreams: [loopback({ baseUrl, caFile: undefined })] })
  const problems = problemsOf(findings)
  expect(problems[0]).toBe('warning upstream loopback tls: plain HTTP')
  expect(problems.slice(1)).toEqual([expect.stringMatching(problem)])
  expect(formatFindings(findings, true)).not.toContain(key)
})

test('tries each of several chain nodes, and names them by number', async () => {
  const started = await Promise.all([1, 2, 3].map(() => startRpcProxy(chain.rpcUrl)))
  onTestFinished(async () => {
    await Promise.all(started.map((node) => node.stop()))
  })
  const [first, second, third] = started
  if (first === undefined || second === undefined || third === undefined) throw new Error('three')
  const chainId = await chain.client.getChainId()
  const tried = async (): Promise<readonly string[]> => {
    const payTo = `0x${'22'.repeat(20)}`
    const payment = {
      exact: { network: `eip155:${chainId}`, ...usdc, payTo, rpcUrl: first.url },
      chain: { otherNodes: [second.url, `${third.url}/secret`] },
    }
    const findings = await examineConfig(
      { upstreams: [loopback()], payment },
      { ...environment, COUNTERSIGN_SETTLEMENT_KEY: chain.nextSettlementKey() },
    )
    expect(formatFindings(findings, false)).not.toContain('secret')
    return problemsOf(findings)
  }
  expect(await tried()).toEqual([])
  // One that lies about everything does not decide whether the token is the right one.
  const lie = { result: `0x${'77'.repeat(32)}` }
  second.rule = (method) => (method === 'eth_call' ? lie : 'forward')
  expect(await tried()).toEqual([])
  second.rule = (method) => (method === 'eth_chainId' ? { result: '0x1' } : 'forward')
  expect(await tried()).toEqual([`warning chain node 2: is of eip155:1, not eip155:${chainId}`])
  second.rule = (_method, params) =>
    JSON.stringify(params).includes('blockHash')
      ? { error: { code: -32_602, message: 'no such parameter' } }
      : 'forward'
  expect(await tried()).toEqual([
    expect.stringMatching(/^warning chain node 2: state by block hash: /),
  ])
  third.rule = () => 'drop'
  const problems = await tried()
  expect(problems).toContainEqual(expect.stringMatching(/^failed chain node 3: /))
  expect(problems).toContain('failed chain nodes: 1 of 3 are good, 2 must agree')
})

test('tries the chain, its token and who pays for gas', async () => {
  const exact = {
    network: 'eip155:31337',
    asset: `0x${'11'.repeat(20)}`,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: `0x${'22'.repeat(20)}`,
    rpcUrl: chain.rpcUrl,
  }
  const chainId = await chain.client.getChainId()
  const tried = async (
    more: object,
    settlementKey: string = chain.nextSettlementKey(),
  ): Promise<readonly string[]> =>
    problemsOf(
      await examineConfig(
        { upstreams: [loopback()], payment: { exact: { ...exact, ...more } } },
        { ...environment, COUNTERSIGN_SETTLEMENT_KEY: settlementKey },
      ),
    )
  const network = `eip155:${chainId}`
  expect(await tried({ network, ...usdc })).toEqual([])
  expect(await tried({ network: 'eip155:1', ...usdc })).toEqual([
    `failed chain network: rpcUrl is a node of ${network}, not of eip155:1`,
  ])
  expect(await tried({ network, ...usdc, assetVersion: '1' })).toEqual([
    'failed chain token: its domain is another one: no payment would be valid',
  ])
  expect(await tried({ network })).toEqual([
    expect.stringMatching(/^failed chain token: DOMAIN_SEPARATOR: /),
  ])
  expect(await tried({ network, ...usdc }, `0x${'77'.repeat(32)}`)).toEqual([
    expect.stringMatching(/^failed chain settlement key: 0x[0-9a-fA-F]{40} has no gas$/),
  ])
  expect(await tried({ network, ...usdc }, 'none')).toEqual([
    'failed chain settlement key: there is none',
  ])
  expect(await tried({ rpcUrl: 'http://127.0.0.1:1' })).toEqual([
    expect.stringMatching(/^failed chain network: rpcUrl: /),
    `skipped collect ${exact.payTo}: Error`,
  ])
})

test('does not open a TPM, and says what other evidence lacks', async () => {
  const upstreams = [loopback()]
  const tpm = await examineConfig({ upstreams, attestation: { kind: 'tpm' } })
  expect(tpm.find(({ check }) => check === 'attestation')).toMatchObject({ status: 'skipped' })
  const socketPath = '/nowhere/dstack.sock'
  const dstack = await examineConfig({ upstreams, attestation: { kind: 'dstack', socketPath } })
  expect(dstack.find(({ check }) => check === 'attestation')).toMatchObject({ status: 'failed' })
})
