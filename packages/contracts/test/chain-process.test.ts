import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import {
  anvilPid,
  isRunning,
  killAndWait,
  needsAnvil,
  payee,
  payer,
  rpc,
  runProgram,
  spawnChain,
  spawnProgram,
  temporaryDirectory,
  untilGone,
} from './local-chain.ts'

const usdc = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'

async function balances(port: number, holder: string): Promise<[unknown, bigint]> {
  const data = `0x70a08231${holder.slice(2).toLowerCase().padStart(64, '0')}`
  const wei = await rpc(port, 'eth_getBalance', [holder, 'latest'])
  const tokens = await rpc(port, 'eth_call', [{ to: usdc, data }, 'latest'])
  return [wei.result, BigInt(String(tokens.result))]
}

test(
  'prints exactly one line when it is ready, and nothing else on standard output',
  needsAnvil,
  async () => {
    const { child, readyLine, port } = await spawnChain(temporaryDirectory())
    expect(readyLine).toBe(
      `{"ready":true,"rpcUrl":"http://127.0.0.1:${port}","chainId":84532,"usdc":"${usdc}"}`,
    )
    let more = ''
    child.stdout?.on('data', (chunk: Buffer) => (more += chunk.toString()))
    expect((await rpc(port, 'eth_chainId')).result).toBe('0x14a34')
    expect(await killAndWait(child, 'SIGTERM')).toBe(0)
    expect(more).toBe('')
  },
)

test('funds accounts on the first start only and keeps them after', needsAnvil, async () => {
  const directory = temporaryDirectory()
  const first = await spawnChain(directory, [
    `--fund=${payer}=1000`,
    `--fund=${payee}=2000`,
    `--usdc=${payer}=5000000`,
  ])
  expect(await balances(first.port, payer)).toEqual(['0x3e8', 5_000_000n])
  expect(await balances(first.port, payee)).toEqual(['0x7d0', 0n])
  await killAndWait(first.child, 'SIGINT')
  const second = await spawnChain(directory, ['--fund', `${payer}=77`, '--usdc', `${payee}=9`])
  expect(await balances(second.port, payer)).toEqual(['0x3e8', 5_000_000n])
  expect(await balances(second.port, payee)).toEqual(['0x7d0', 0n])
})

/** On a port that the system gives nobody who asks for any: it is still free when it is given up. */
async function listenBelow(): Promise<{ readonly server: Server; readonly port: number }> {
  for (let tries = 0; tries < 100; tries++) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const server = createServer().listen(port, '127.0.0.1')
    const isTaken = await Promise.race([
      once(server, 'listening').then(() => false),
      once(server, 'error').then(() => true),
    ]).catch(() => true)
    if (!isTaken) return { server, port }
  }
  throw new Error('no port is free')
}

test('takes the port it is given, and says so when that port is taken', needsAnvil, async () => {
  const { server, port } = await listenBelow()
  const directory = temporaryDirectory()
  const refused = await runProgram(['--data', directory, '--port', String(port)])
  expect(refused.code).toBe(1)
  expect(refused.stdout).toBe('')
  expect(refused.stderr).toContain('EADDRINUSE')
  server.close()
  await once(server, 'close')
  const chain = await spawnChain(directory, ['--port', String(port)])
  expect(chain.port).toBe(port)
})

test('lets only one process use a data directory', needsAnvil, async () => {
  const directory = temporaryDirectory()
  const first = await spawnChain(directory)
  const second = await runProgram(['--data', directory])
  expect(second.code).toBe(1)
  expect(second.stderr).toContain('data-locked')
  expect(isRunning(anvilPid(directory))).toBe(true)
  expect((await rpc(first.port, 'eth_chainId')).result).toBe('0x14a34')
  await killAndWait(first.child)
  const third = await spawnChain(directory)
  expect((await rpc(third.port, 'eth_chainId')).result).toBe('0x14a34')
})

test('takes its anvil along whether it is stopped or killed', needsAnvil, async () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
    const directory = temporaryDirectory()
    const { child } = await spawnChain(directory)
    const pid = anvilPid(directory)
    expect(isRunning(pid)).toBe(true)
    await killAndWait(child, signal)
    await untilGone(pid)
    expect(isRunning(pid), signal).toBe(false)
  }
})

test('kills an anvil that an earlier process left, but nobody else', needsAnvil, async () => {
  const directory = temporaryDirectory()
  const bystander = spawnProgram(['--data', temporaryDirectory()])
  await once(bystander.stdout, 'data')
  writeFileSync(join(directory, 'anvil.pid'), `${bystander.pid}\n`)
  const { child } = await spawnChain(directory)
  expect(isRunning(bystander.pid ?? 0)).toBe(true)
  await killAndWait(child, 'SIGTERM')
  // A process whose command line names a file in our data directory is ours.
  const program = 'console.log("up"); setInterval(() => {}, 1000)'
  const stale = spawn(process.execPath, ['-e', program, join(directory, 'genesis.json')])
  onTestFinished(async () => void (await killAndWait(stale)))
  await once(stale.stdout, 'data')
  writeFileSync(join(directory, 'anvil.pid'), `${stale.pid}\n`)
  const ended = once(stale, 'exit')
  await spawnChain(directory)
  expect(await ended).toEqual([null, 'SIGKILL'])
})

test('stops when standard input closes, if it is asked to', needsAnvil, async () => {
  const directory = temporaryDirectory()
  const { child } = await spawnChain(directory, ['--exit-with-parent'])
  const pid = anvilPid(directory)
  child.stdin?.end()
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
  await untilGone(pid)
  const other = await spawnChain(directory)
  other.child.stdin?.end()
  expect((await rpc(other.port, 'eth_chainId')).result).toBe('0x14a34')
})

test('names the platform when there is no anvil for it', async () => {
  const missing = join(temporaryDirectory(), 'no-anvil')
  const args = ['--data', temporaryDirectory()]
  const { code, stderr } = await runProgram(args, { COUNTERSIGN_ANVIL: missing })
  expect(code).toBe(1)
  expect(stderr).toContain('anvil-missing')
  expect(stderr).toContain(missing)
})

test('fails with the last words of an anvil that does not start', async () => {
  const script = join(temporaryDirectory(), 'anvil.sh')
  writeFileSync(script, '#!/bin/sh\necho cannot go on >&2\nexit 3\n', { mode: 0o755 })
  const args = ['--data', temporaryDirectory()]
  const { code, stdout, stderr } = await runProgram(args, { COUNTERSIGN_ANVIL: script })
  expect(code).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toContain('anvil-failed: cannot go on')
})

test('refuses wrong arguments with its usage and exit code 64', needsAnvil, async () => {
  const { code, stdout, stderr } = await runProgram(['--data', temporaryDirectory(), '--port', 'x'])
  expect(code).toBe(64)
  expect(stderr).toContain('--port x')
  expect(stderr).toContain('usage:')
  expect(stdout).toBe('')
})

test('refuses data that is not its own instead of starting over', needsAnvil, async () => {
  const directory = temporaryDirectory()
  const { child } = await spawnChain(directory)
  await killAndWait(child, 'SIGTERM')
  const genesis = readFileSync(join(directory, 'genesis.json'))
  writeFileSync(join(directory, 'genesis.json'), '{}')
  const damagedGenesis = await runProgram(['--data', directory])
  expect(damagedGenesis.code).toBe(1)
  expect(damagedGenesis.stderr).toContain('genesis-invalid')
  const outdated = { ...JSON.parse(genesis.toString()), alloc: {} }
  writeFileSync(join(directory, 'genesis.json'), JSON.stringify(outdated))
  const oldGenesis = await runProgram(['--data', directory])
  expect(oldGenesis.code).toBe(1)
  expect(oldGenesis.stderr).toContain('genesis-outdated')
  writeFileSync(join(directory, 'genesis.json'), genesis)
  writeFileSync(join(directory, 'journal-0.ndjson'), '{"b":1}\nnonsense\n')
  const damagedJournal = await runProgram(['--data', directory])
  expect(damagedJournal.code).toBe(1)
  expect(damagedJournal.stderr).toContain('journal-damaged')
})
