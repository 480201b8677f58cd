/** The suite as other operators run it, and what the docs say about it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { catalogue } from './attacks/catalogue.ts'
import { readResults, withTable } from './attacks/compare.ts'
import { encodePayment } from './attacks/wire.ts'

const program = fileURLToPath(new URL('attacks/main.ts', import.meta.url))
const document = readFileSync(new URL('../docs/security/payments.md', import.meta.url), 'utf8')

test('the attacks are T1 to T47, in order', () => {
  expect(catalogue.map(({ id }) => id)).toEqual(Array.from({ length: 47 }, (_, n) => `T${n + 1}`))
})

test('the table of the docs names every attack once', () => {
  const rows = document.split('\n').filter((line) => /^\| T\d+ \|/.test(line))
  expect(rows.map((row) => row.split(' ')[1])).toEqual(catalogue.map(({ id }) => id))
})

test('the table of the docs is what was measured', () => {
  expect(withTable(document, readResults())).toBe(document)
  for (const server of ['stock', 'ours']) {
    for (const scheme of ['exact', 'upto', 'batch-settlement']) {
      const seen = Object.keys(readResults()[server]?.[scheme] ?? {})
      expect(seen, `${server} ${scheme}`).toHaveLength(catalogue.length)
    }
  }
})

test('every failure of ours is named among the known gaps', () => {
  const gaps = readFileSync(new URL('../docs/known-gaps.md', import.meta.url), 'utf8')
  const failed = Object.values(readResults()['ours'] ?? {}).flatMap((byId) =>
    Object.entries(byId).flatMap(([id, { verdict }]) => (verdict === 'failed' ? [id] : [])),
  )
  expect(failed.filter((id) => !new RegExp(`\\b${id}\\b`).test(gaps))).toEqual([])
})

/** Serves whatever carries a payment, and counts. */
async function startGullible(): Promise<string> {
  let served = 0
  const quote = {
    x402Version: 2,
    resource: { url: 'http://shop.test/paid' },
    accepts: [
      {
        scheme: 'exact',
        network: 'eip155:84532',
        amount: '1000',
        asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
        payTo: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
        maxTimeoutSeconds: 60,
        extra: { name: 'USDC', version: '2' },
      },
    ],
  }
  const server = createServer((request, response) => {
    const isPaid = request.headers['payment-signature'] !== undefined
    const headers = isPaid ? {} : { 'payment-required': encodePayment(quote) }
    request.resume().on('end', () => {
      response.writeHead(isPaid ? 200 : 402, headers)
      response.end(isPaid ? `answer ${served++}` : '{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

async function runProgram(
  ...args: readonly string[]
): Promise<{ readonly code: unknown; readonly text: string }> {
  const env = { ...process.env, PAYER: `0x${'3'.repeat(64)}` }
  const child = spawn(process.execPath, ['--conditions=source', program, ...args], { env })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const [code] = await once(child, 'close')
  return { code, text }
}

const aim = ['--rpc-url', 'http://127.0.0.1:9', '--payer-key-env', 'PAYER', '--scheme', 'exact']

test('the program finds what a gullible server allows, and ends with 1', async () => {
  const url = await startGullible()
  const only = ['--only', 'T1,T2,T3,T10,T14,T34,T44,T47', '--repeats', '5', '--json']
  const { code, text } = await runProgram(
    '--url',
    url,
    '--path',
    '/paid',
    '--body',
    '{}',
    ...aim,
    ...only,
  )
  const { results }: { results: { id: string; verdict: string }[] } = JSON.parse(text)
  const verdicts = results.map(({ id, verdict }) => `${id} ${verdict}`)
  expect(verdicts).toEqual([
    'T1 failed',
    'T2 failed',
    'T3 not-run',
    'T10 failed',
    'T14 failed',
    'T34 failed',
    'T44 passed',
    'T47 not-run',
  ])
  expect(code).toBe(1)
})

test('wrong options end with 2 before anything is sent', async () => {
  expect(await runProgram('--url', 'http://127.0.0.1:9', '--scheme', 'free')).toMatchObject({
    code: 2,
  })
  expect(await runProgram('--only', 'T48')).toMatchObject({ code: 2, text: '' })
})
