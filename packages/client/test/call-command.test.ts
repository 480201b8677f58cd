/** `countersign call` in every way to pay, against a real gateway and a real chain. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { planRegistry } from '@countersign/contracts/operator'
import { startRpcProxy } from '../../gateway/test/payment/rpc-proxy.ts'
import { encryptKeystore } from '../src/wallet/keystore.ts'
import { startMeteredFixture, type MeteredFixture } from './kit/metered-fixture.ts'
import { runInProcess, type Ended } from './kit/run-cli-process.ts'

let fixture: MeteredFixture
const folder = mkdtempSync(join(tmpdir(), 'countersign-call-'))
const saved = join(folder, 'answer.countersign.json')
const terms = join(folder, 'terms.json')

beforeAll(async () => {
  fixture = await startMeteredFixture()
  const known = { network: 'eip155:84532', ...fixture.operator.terms, trustsProposers: true }
  writeFileSync(terms, JSON.stringify(known))
})
afterAll(async () => {
  await fixture.stop()
  rmSync(folder, { recursive: true })
})

let keystores = 0
async function keep(key: Hex): Promise<string> {
  const path = join(folder, `wallet-${keystores++}.json`)
  const text = await encryptKeystore(Buffer.from(key.slice(2), 'hex'), Buffer.from('secret'), 1024)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

function call(...options: readonly string[]): Promise<Ended> {
  const base = ['--base-url', `${fixture.gateway.url}/v1`, '--model', 'loopback-echo']
  return runInProcess(['call', ...base, '--no-stream', '--out', saved, ...options, 'hello'], {
    COUNTERSIGN_WALLET_PASSWORD: 'secret',
  })
}

function chargeIn({ err }: Ended): bigint {
  return BigInt(/charged (\d+) atomic/.exec(err)?.[1] ?? '0')
}

const metered = (): readonly string[] => [
  '--rpc',
  fixture.network.chain.rpcUrl,
  '--operator',
  terms,
]

test('terms that the gateway announces are judged by a policy in a file', async () => {
  const { registry } = planRegistry({ x402: baseSepoliaX402, ...fixture.operator.terms })
  const rpc = ['--rpc', fixture.network.chain.rpcUrl]
  const pay = async (name: string, policy: object): Promise<Ended> => {
    const file = join(folder, `${name}.json`)
    writeFileSync(file, JSON.stringify(policy))
    const keystore = await keep(fixture.network.createChannelPayer())
    const state = join(folder, `${name}-state.json`)
    const payer = ['--channel', '--state', state, '--keystore', keystore, '--max-price', '20000']
    return call(...payer, ...rpc, '--operator-policy', file)
  }
  const trusted = { minDelaySeconds: 0, registries: [registry.address], trustsProposers: true }
  expect(await pay('trusted', trusted)).toMatchObject({ code: 0 })
  const slow = await pay('slow', { ...trusted, minDelaySeconds: 86_400 })
  expect(slow).toMatchObject({ code: 69, err: expect.stringContaining('terms-refused') })
  for (const faulty of [{ ...trusted, registry: [] }, { ...trusted, registries: ['0x'] }, [], {}]) {
    expect((await pay('faulty', faulty)).err).toContain('state-malformed')
  }
  expect((await pay('any', { minDelaySeconds: 0 })).err).toContain('options-invalid')
  const both = await call('--upto', ...metered(), '--operator-policy', terms)
  expect(both).toMatchObject({ code: 64, err: expect.stringContaining('--operator-policy') })
})

test('by a signed maximum a call costs what it used', async () => {
  const keystore = await keep(await fixture.network.createPayer())
  const ended = await call('--upto', '--keystore', keystore, '--max-price', '20000', ...metered())
  expect(ended).toMatchObject({ code: 0, out: expect.stringContaining('hello') })
  expect(chargeIn(ended)).toBeGreaterThan(0n)
  expect(chargeIn(ended)).toBeLessThan(4000n)
  expect(readFileSync(saved, 'utf8')).toContain('"statement"')
})

test('two calls from one channel cost one deposit, and its state is there for the other commands', async () => {
  const key = fixture.network.createChannelPayer()
  const payer = privateKeyToAddress(key)
  const state = join(folder, 'channel-state.json')
  const options = ['--channel', '--deposit', '30000', '--state', state, '--keystore']
  const keystore = await keep(key)
  const before = await fixture.network.balanceOf(payer)
  const first = await call(...options, keystore, ...metered())
  const second = await call(...options, keystore, ...metered())
  expect([first.code, second.code]).toEqual([0, 0])
  expect(await fixture.network.balanceOf(payer)).toBe(before - 30_000n)
  const listed = await runInProcess(['channel', 'list', '--state', state, '--json'])
  expect(JSON.parse(listed.out)).toMatchObject({
    balanceAtomic: '30000',
    settledAtomic: `${chargeIn(first) + chargeIn(second)}`,
  })
  const dayIsOver = await call(...options, keystore, ...metered(), '--per-day', '1')
  expect(dayIsOver.code).toBe(69)
  expect(dayIsOver.err).toContain('day-limit')
})

test('a payee that is not the one of the terms gets nothing', async () => {
  const other = join(folder, 'other.json')
  const known = JSON.parse(readFileSync(terms, 'utf8'))
  writeFileSync(other, JSON.stringify({ ...known, gatewayId: `0x${'ab'.repeat(32)}` }))
  const key = await fixture.network.createPayer()
  const before = await fixture.network.balanceOf(privateKeyToAddress(key))
  const rpc = ['--rpc', fixture.network.chain.rpcUrl]
  const ended = await call('--upto', '--keystore', await keep(key), ...rpc, '--operator', other)
  expect(ended.code).toBe(69)
  expect(ended.err).toContain('payee')
  expect(await fixture.network.balanceOf(privateKeyToAddress(key))).toBe(before)
})

test('the receipt is judged by the policy that is given', async () => {
  const keystore = await keep(await fixture.network.createPayer())
  const options = ['--upto', '--keystore', keystore, ...metered()]
  const ended = await call(...options, '--policy', 'production')
  expect(ended.code).toBe(1)
  expect(ended.err).toContain('INVALID')
  const nonsense = join(folder, 'policy.json')
  writeFileSync(nonsense, '{}')
  const refused = await call(...options, '--evidence-policy', nonsense)
  expect(refused).toMatchObject({ code: 64, out: '' })
})

test('every node that is named must find right who is paid', async () => {
  const { rpcUrl } = fixture.network.chain
  const other = await startRpcProxy(rpcUrl)
  onTestFinished(() => other.stop())
  const key = await fixture.network.createPayer()
  const pay = async (): Promise<Ended> =>
    call('--upto', '--keystore', await keep(key), ...metered(), '--rpc', other.url)
  other.rule = (method) => (method === 'eth_getCode' ? { result: '0x' } : 'forward')
  const before = await fixture.network.balanceOf(privateKeyToAddress(key))
  expect(await pay()).toMatchObject({ code: 69, err: expect.stringContaining('payee-foreign') })
  other.rule = (method) => (method === 'eth_chainId' ? { result: '0x1' } : 'forward')
  expect(await pay()).toMatchObject({ code: 69, err: expect.stringContaining('chain-mismatch') })
  other.rule = () => 'drop'
  expect(await pay()).toMatchObject({ code: 69, err: expect.stringContaining('chain-unreachable') })
  expect(await fixture.network.balanceOf(privateKeyToAddress(key))).toBe(before)
  other.rule = undefined
  expect(await pay()).toMatchObject({ code: 0 })
})

test('options that do not fit together are refused before anything is read', async () => {
  const rpc = ['--rpc', 'http://127.0.0.1:1']
  for (const [options, says] of [
    [['--upto', '--channel'], 'exclude'],
    [['--upto', '--api-key', 'k'], 'excludes'],
    [['--upto'], '--rpc'],
    [['--upto', ...rpc], '--operator'],
    [['--upto', ...rpc, ...rpc, '--unchecked'], 'twice'],
    [['--upto', ...rpc, '--rpc', 'x', '--unchecked'], '--rpc takes a URL'],
    [['--upto', ...rpc, '--operator', terms, '--unchecked'], '--operator'],
    [['--channel', ...rpc, '--unchecked'], '--state'],
    [['--deposit', '1'], '--channel'],
    [['--per-day', '1'], '--state'],
    [['--unchecked'], '--upto'],
    [['--max-price', 'x'], '--max-price'],
  ] as const) {
    const ended = await call(...options)
    expect([ended.code, ended.err], options.join(' ')).toEqual([64, expect.stringContaining(says)])
  }
})
