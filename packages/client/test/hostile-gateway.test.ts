/** The command line against a gateway that answers what it likes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { baseSepoliaUsdc } from '@countersign/client'
import { encryptKeystore } from '../src/wallet/keystore.ts'
import { runInProcess, type Ended } from './kit/run-cli-process.ts'

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-hostile-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}/v1`
}

function call(baseUrl: string, ...options: readonly string[]): Promise<Ended> {
  const args = ['call', '--base-url', baseUrl, '--model', 'm', '--no-stream', ...options, 'hello']
  return runInProcess(args, { COUNTERSIGN_WALLET_PASSWORD: 'secret' })
}

test('what an offer says cannot steer the terminal', async () => {
  const { network, address } = baseSepoliaUsdc
  const offer = {
    scheme: 'exact',
    network,
    amount: '1',
    asset: address,
    payTo: `0x${'11'.repeat(20)}`,
    maxTimeoutSeconds: 60,
    extra: { name: 'US\u001b[2J\u001b]0;paid\u0007\nerror none\u202e', version: '2' },
  }
  const required = { x402Version: 2, resource: { url: 'x' }, accepts: [offer] }
  const header = Buffer.from(JSON.stringify(required)).toString('base64')
  const url = await serve((_, response) => {
    response.writeHead(402, { 'payment-required': header }).end('{}')
  })
  const keystore = join(createFolder(), 'wallet.json')
  const key = Buffer.alloc(32, 7)
  const file = await encryptKeystore(key, Buffer.from('secret'), 1024)
  writeFileSync(keystore, file, { mode: 0o600 })
  const ended = await call(url, '--keystore', keystore)
  expect(ended).toMatchObject({ code: 69, out: '' })
  expect(ended.err).toMatch(/^error token-domain-mismatch: [^\p{Cc}\p{Cf}]*\n$/u)
})

test('a receipt that is not of the call is kept as evidence', async () => {
  const folder = createFolder()
  const url = await serve((request, response) => {
    if (request.method === 'GET') response.end('no bundle')
    else {
      const headers = { 'x-receipt-id': 'ab'.repeat(16), 'x-receipt-token': 'A'.repeat(43) }
      response.writeHead(200, { ...headers, 'content-type': 'application/json' }).end('{}')
    }
  })
  const saved = join(folder, 'kept.countersign.json')
  const ended = await call(url, '--api-key', 'key', '--out', saved)
  expect(ended.code).toBe(69)
  expect(ended.err).toContain('error receipt-unreadable: ')
  expect(ended.err).toContain(saved)
  expect(readFileSync(saved, 'utf8')).toBe('no bundle')
})

test('a place that cannot be written any more does not hide what is wrong with a receipt', async () => {
  const folder = createFolder()
  const saved = join(folder, 'kept.countersign.json')
  const keys: unknown[] = []
  const url = await serve((request, response) => {
    keys.push(request.headers.authorization)
    if (request.method === 'GET') {
      response.end('no bundle')
      return
    }
    // Neither root nor anybody else writes a file where a folder is.
    mkdirSync(saved)
    const headers = { 'x-receipt-id': 'ab'.repeat(16), 'x-receipt-token': 'A'.repeat(43) }
    response.writeHead(200, { ...headers, 'content-type': 'application/json' }).end('{}')
  })
  const ended = await call(url, '--api-key', 'key\r\n', '--out', saved)
  expect(ended.code).toBe(69)
  expect(ended.err).toContain('error receipt-unreadable: ')
  expect(ended.err).toContain('it could not be kept: ')
  // The end of the line of a key does not belong to it.
  expect(keys[0]).toBe('Bearer key')
})

test('an error that breaks off is no fault of this program', async () => {
  const url = await serve((_, response) => {
    response.writeHead(500, { 'content-length': '100' })
    response.write('half', () => response.destroy())
  })
  const ended = await call(url, '--api-key', 'key')
  expect(ended).toMatchObject({ code: 69, out: '' })
  expect(ended.err).not.toContain('internal error')
})

test('a policy that none can read, or a key that is none, is refused before anything is sent', async () => {
  let asked = 0
  const url = await serve((_, response) => {
    asked += 1
    response.end()
  })
  const policy = join(createFolder(), 'policy.json')
  writeFileSync(policy, '{}')
  for (const options of [
    ['--api-key', 'key', '--policy', policy],
    ['--api-key', ''],
    ['--api-key', 'a\nb'],
  ]) {
    const ended = await call(url, ...options)
    expect(ended).toMatchObject({ code: 64, out: '' })
    expect(ended.err).toMatch(/^usage (?:--policy: policy-malformed|the API key)/)
  }
  expect(asked).toBe(0)
})

test('a place where no receipt can be saved is refused before anything is sent', async () => {
  let asked = 0
  const url = await serve((_, response) => {
    asked += 1
    response.end()
  })
  const folder = createFolder()
  for (const out of [folder, join(folder, 'none', 'a.json')]) {
    expect(await call(url, '--api-key', 'key', '--out', out)).toMatchObject({ code: 73, out: '' })
  }
  expect(asked).toBe(0)
})
