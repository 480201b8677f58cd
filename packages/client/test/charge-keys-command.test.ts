/** The command line for charge keys, where it refuses: arguments, files, secrets. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runInProcess, type Ended } from './kit/run-cli-process.ts'

const someone = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8'
let folder: string
let file: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-charge-keys-'))
  file = join(folder, 'charge-keys')
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

function run(args: readonly string[], environment = {}): Promise<Ended> {
  return runInProcess(['charge-keys', ...args], environment)
}

function write(text: string, mode = 0o600): void {
  writeFileSync(file, text, { mode })
  chmodSync(file, mode)
}

test.each([
  ['nothing', [], 'takes one of'],
  ['another action', ['show', someone, someone], 'takes one of'],
  ['no address', ['drop', '--file', 'x'], 'takes an ADDRESS'],
  ['a wrong address', ['drop', '0x12', '--file', 'x'], 'ADDRESS is no address'],
  ['an address for make', ['make', someone, '--file', 'x'], 'make takes no address'],
  ['no file', ['make'], '--file is missing'],
  ['an option of another action', ['make', '--file', 'x', '--rpc', 'http://x'], 'takes no --rpc'],
  ['an unknown option', ['make', '--key', 'x'], "Unknown option '--key'"],
  ['no terms', ['show', '--rpc', 'http://x'], '--terms is missing'],
  ['no node', ['show', '--terms', 'x'], '--rpc is missing'],
  ['a node that is none', ['show', '--terms', 'x', '--rpc', 'x'], '--rpc takes a URL'],
  [
    'a longest call that is none',
    ['show', '--terms', 'x', '--rpc', 'http://x', '--longest-call', '1h'],
    '--longest-call takes seconds',
  ],
  [
    'two signers',
    ['execute', someone, '--terms', 'x', '--rpc', 'http://x', '--calls', '--keystore', 'k'],
    'exclude each other',
  ],
] as const)('refuses %s', async (_, args, message) => {
  const { code, out, err } = await run(args)
  expect([code, out]).toEqual([64, ''])
  expect(err).toContain(message)
})

test('refuses terms that are not the announced bytes', async () => {
  const terms = join(folder, 'terms.json')
  writeFileSync(terms, '{"version":1}')
  const shown = await run(['show', '--terms', terms, '--rpc', 'http://127.0.0.1:1'])
  expect([shown.code, shown.err]).toEqual([64, expect.stringContaining('GET /v1/terms')])
  const missing = await run(['show', '--terms', join(folder, 'no'), '--rpc', 'http://127.0.0.1:1'])
  expect(missing.code).toBe(66)
})

test('makes keys for their owner only, and says their addresses and nothing else', async () => {
  const said: Ended[] = []
  for (let count = 0; count < 8; count++) said.push(await run(['make', '--file', file]))
  const keys = readFileSync(file, 'utf8').trimEnd().split('\n')
  expect(keys).toHaveLength(8)
  const addresses = keys.map((key) => privateKeyToAddress(`0x${key.slice(2)}`))
  expect(said.map(({ out }) => out)).toEqual(addresses.map((address) => `${address}\n`))
  expect(said.every(({ code, err }) => code === 0 && err === '')).toBe(true)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const ninth = await run(['make', '--file', file])
  expect([ninth.code, ninth.out]).toEqual([1, ''])
  expect(ninth.err).toContain('has 8 keys')
  const [first = '', ...left] = addresses
  const dropped = await run(['drop', first, '--file', file, '--json'])
  expect(JSON.parse(dropped.out)).toEqual({ dropped: first.toLowerCase(), file, keys: left })
  expect(readFileSync(file, 'utf8')).toBe(`${keys.slice(1).join('\n')}\n`)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const again = await run(['drop', first, '--file', file])
  expect([again.code, again.err]).toEqual([1, expect.stringContaining('is not in')])
})

test('does not drop the last key', async () => {
  const { out } = await run(['make', '--file', file, '--json'])
  const { address, keys } = JSON.parse(out)
  expect(keys).toEqual([address])
  const { code, err } = await run(['drop', address, '--file', file])
  expect([code, err]).toEqual([1, expect.stringContaining('is the last key')])
  expect(readFileSync(file, 'utf8')).toMatch(/^0x[0-9a-f]{64}\n$/)
})

test('refuses a file that is not one of keys, without repeating anything of it', async () => {
  const key = generatePrivateKey()
  const slips = [`${key}0`, key.toUpperCase(), ` ${key}`, `0x${'0'.repeat(64)}`, `${key}\n${key}`]
  for (const slip of slips) {
    write(`${slip}\n`)
    const { code, out, err } = await run(['make', '--file', file])
    expect([code, out], slip).toEqual([69, ''])
    expect(err).toContain('state-malformed')
    expect(err.toLowerCase()).not.toContain(key.slice(2, 20))
    expect(readFileSync(file, 'utf8')).toBe(`${slip}\n`)
  }
})

test.skipIf(process.platform === 'win32')('refuses a file that others can read', async () => {
  write(`${generatePrivateKey()}\n`, 0o640)
  const { code, err } = await run(['make', '--file', file])
  expect([code, err]).toEqual([69, expect.stringContaining('chmod 600')])
})
