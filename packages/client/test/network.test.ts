/** `countersign up` as a person runs it: a real chain, a real gateway, the loopback provider, real processes. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { UptoEvmScheme } from '@x402/evm/upto/client'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { setTimeout } from 'node:timers/promises'
import { createPublicClient, createWalletClient, getAddress, http, parseAbi } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { runCliProcess } from './kit/run-cli-process.ts'

const cli = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
let folder: string
let provider: TlsLoopbackProvider
const children: ChildProcess[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-up-'))
  provider = await startLoopbackProvider({ apiKey: 'sk-loopback' })
})
afterAll(async () => {
  // What a failed test left behind.
  for (const child of children) child.kill('SIGKILL')
  await provider.stop()
  await rm(folder, { recursive: true })
})

type Up = { readonly lines: readonly string[]; interrupt(): Promise<number | null> }

/** Runs `up` until it says how to stop it. */
async function up(): Promise<Up> {
  const { PATH = '' } = process.env
  const upstream = ['--upstream', provider.url, '--upstream-ca', provider.caFile]
  const args = ['up', '--data', join(folder, 'net'), '--port', '0', ...upstream]
  const child = spawn(
    process.execPath,
    [
      '--conditions=source',
      cli,
      ...args,
      '--model',
      'loopback-echo',
      '--api-key-env',
      'LOOPBACK_KEY',
    ],
    { env: { PATH, LOOPBACK_KEY: 'sk-loopback' }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  children.push(child)
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (line === 'Ctrl-C stops everything.') break
  }
  const interrupt = async (): Promise<number | null> => {
    const closed = once(child, 'exit')
    child.kill('SIGINT')
    await closed
    return child.exitCode
  }
  return { lines, interrupt }
}

function run(...args: readonly string[]): ReturnType<typeof runCliProcess> {
  return runCliProcess([...args, '--data', join(folder, 'net')])
}

function row({ lines }: Up, name: string): string {
  return lines.find((text) => text.trimStart().startsWith(`${name} `)) ?? ''
}

const usdc = baseSepoliaUsdc.address
const token = parseAbi([
  'function balanceOf(address owner) view returns (uint256)',
  'function approve(address spender, uint256 amount) returns (bool)',
])

function balanceOf(chainRow: string, owner: string): Promise<bigint> {
  const client = createPublicClient({ transport: http(rpcOf(chainRow)) })
  const args = [getAddress(owner)] as const
  return client.readContract({ address: usdc, abi: token, functionName: 'balanceOf', args })
}

function offersIn(header: string): { readonly accepts: readonly { readonly scheme: string }[] } {
  return JSON.parse(Buffer.from(header, 'base64').toString())
}

function rpcOf(chainRow: string): string {
  return /http:\S+/.exec(chainRow)?.[0] ?? ''
}

/** The wallet of the network, through the unmodified client of the x402 packages. */
async function payByUpto(chainRow: string, baseUrl: string): Promise<Response> {
  const keys: { readonly walletKey: `0x${string}` } = JSON.parse(
    await readFile(join(folder, 'net', 'keys.json'), 'utf8'),
  )
  const account = privateKeyToAccount(keys.walletKey)
  const transport = http(rpcOf(chainRow))
  const wallet = createWalletClient({ account, chain: baseSepolia, transport })
  const { permit2 } = baseSepoliaX402
  const approve = { abi: token, functionName: 'approve', args: [permit2, 1n << 255n] } as const
  const hash = await wallet.writeContract({ address: usdc, ...approve })
  await createPublicClient({ transport }).waitForTransactionReceipt({ hash })
  const client = new x402Client().register('eip155:*', new UptoEvmScheme(account))
  return wrapFetchWithPayment(fetch, client)(`${baseUrl}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'loopback-echo', messages: [{ role: 'user', content: 'hi' }] }),
  })
}

/** Channels and signed maxima are offered; what is charged of one reaches the payee contract. */
async function expectMeteredSchemes(chainRow: string): Promise<void> {
  const { baseUrl }: { readonly baseUrl: string } = JSON.parse(
    await readFile(join(folder, 'net', 'network.json'), 'utf8'),
  )
  const unpaid = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'loopback-echo', messages: [] }),
  })
  const { accepts: offers } = offersIn(unpaid.headers.get('payment-required') ?? '')
  const operator: { readonly payee: string; readonly authorizer: string } = JSON.parse(
    await readFile(join(folder, 'net', 'operator.json'), 'utf8'),
  )
  expect(offers.map(({ scheme }) => scheme)).toEqual(['batch-settlement', 'upto', 'exact'])
  expect(offers[0]).toMatchObject({
    payTo: operator.payee,
    extra: { receiverAuthorizer: operator.authorizer },
  })
  const before = await balanceOf(chainRow, operator.payee)
  const metered = await payByUpto(chainRow, baseUrl)
  expect(metered.status).toBe(200)
  for (let look = 0; (await balanceOf(chainRow, operator.payee)) === before; look++) {
    if (look > 600) throw new Error('the charge was not settled')
    // The chain makes a block a second: looking more often only costs.
    await setTimeout(100)
  }
  expect((await balanceOf(chainRow, operator.payee)) - before).toBe(10_000n)
}

test(
  'a network serves paid calls and keys, and is the same after a restart',
  { timeout: 300_000 },
  async () => {
    const first = await up()
    expect(row(first, 'wallet')).toMatch(/0x[0-9a-fA-F]{40} {2}1000\.000000 test USDC$/)
    expect((await stat(join(folder, 'net', 'keys.json'))).mode & 0o777).toBe(0o600)

    const saved = join(folder, 'answer.countersign.json')
    const called = await run('call', '--out', saved, 'Is invoice 17 approved?')
    expect(called.code).toBe(0)
    expect(called.out).toContain('You asked: Is invoice 17 approved?\n')
    expect(called.err).toMatch(/charged 10000 atomic units, settled in 0x[0-9a-f]{64}\n/)
    expect((await runCliProcess(['verify', saved])).code).toBe(0)
    const whole = await run('call', '--no-stream', '--out', saved, 'again')
    expect({ code: whole.code, out: whole.out }).toMatchObject({
      code: 0,
      out: expect.stringContaining('again'),
    })

    await expectMeteredSchemes(row(first, 'chain'))

    const tooDear = await run('call', '--max-price', '9999', 'x')
    expect(tooDear).toMatchObject({ code: 69, out: '' })
    expect(tooDear.err).toContain('amount-above-limit')
    const second = await run('up', '--port', '0', '--upstream', provider.url)
    expect(second.code).toBe(69)
    expect(second.err).toContain('network-running')

    const created = await run('keys', 'create', '--name', 'test', '--budget', '10000')
    expect(created.code).toBe(0)
    const { secret, id }: { secret: string; id: string } = JSON.parse(created.out)
    const byKey = await run('call', '--out', saved, '--api-key', secret, 'x')
    expect(byKey.code).toBe(0)
    expect(byKey.err).toContain('charged 10000 atomic units\n')
    const broke = await run('call', '--out', saved, '--api-key', secret, 'x')
    expect(broke.code).toBe(69)
    expect(broke.err).toContain('api-key-budget-exhausted')
    const limited = await run(
      'keys',
      'limit',
      id,
      '--daily-budget',
      '500',
      '--calls-per-minute',
      '9',
    )
    expect(JSON.parse(limited.out)).toMatchObject({ dailyBudgetAtomic: '500', callsPerMinute: 9 })
    expect((await run('keys', 'revoke', id)).code).toBe(0)
    expect((await run('keys', 'list')).out).toContain('"state":"revoked"')
    expect(await first.interrupt()).toBe(0)
    expect((await run('call', 'x')).err).toContain('network-not-running')

    const again = await up()
    expect(row(again, 'wallet')).toBe(row(first, 'wallet').replace('1000.000000', '999.970000'))
    const config = join(folder, 'net', 'countersign.config.json')
    expect((await runCliProcess(['config', 'check', config])).out).toContain('"valid":true')
    expect(await readFile(config, 'utf8')).not.toContain('sk-loopback')
    expect(await again.interrupt()).toBe(0)
  },
)

test('a network whose upstream cannot be configured says which part failed, and leaves nothing running', async () => {
  const args = [
    'up',
    '--data',
    join(folder, 'bad'),
    '--port',
    '0',
    '--upstream',
    'ftp://127.0.0.1/v1',
  ]
  const { code, out, err } = await runCliProcess(args)
  expect({ code, out }).toEqual({ code: 69, out: '' })
  expect(err).toContain('error program-failed: a program of the network ended (gateway: ')
  // The chain's folder is free again at once.
  const retry = await runCliProcess(args)
  expect(retry.err).toContain('(gateway: ')
})
