/** The suite as other operators run it, and what the docs say about it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { catalogue } from './attacks/catalogue.ts'
import { parseOptions, usage, UsageError } from './attacks/attack-options.ts'
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
    Object.entries(byId).flatMap(([id, { verdict }]) =>
      ['failed', 'broken-off'].includes(verdict) ? [id] : [],
    ),
  )
  expect(failed.filter((id) => !new RegExp(`\\b${id}\\b`).test(gaps))).toEqual([])
})

/** A chain on which everybody has enough of everything. */
function answerRpc(body: string): string {
  const { id, method }: { id: unknown; method: string } = JSON.parse(body)
  const result = method === 'eth_chainId' ? '0x14a34' : `0x${'f'.repeat(64)}`
  return JSON.stringify({ jsonrpc: '2.0', id, result })
}

/** Serves whatever carries a payment, so often, and then is gone, or nothing; is a node of a chain, too. */
async function startShop(isGullible: boolean, mostServed = Infinity): Promise<string> {
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
    let body = ''
    const isServed = request.headers['payment-signature'] !== undefined && isGullible
    const headers = isServed ? {} : { 'payment-required': encodePayment(quote) }
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => {
      const isRpc = request.url === '/rpc'
      response.writeHead(isServed || isRpc ? 200 : 402, headers)
      response.end(isRpc ? answerRpc(body) : isServed ? `answer ${served++}` : '{}')
      if (served < mostServed) return
      server.close()
      response.once('finish', () => server.closeAllConnections())
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
): Promise<{ readonly code: unknown; readonly text: string; readonly errors: string }> {
  const env = { ...process.env, PAYER: `0x${'3'.repeat(64)}` }
  const child = spawn(process.execPath, ['--conditions=source', program, ...args], { env })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const [code] = await once(child, 'close')
  return { code, text, errors }
}

/** Options that aim at a server, and at a node of its chain. */
function aimAt(url: string, rpcUrl = `${url}/rpc`, variable = 'PAYER'): readonly string[] {
  const payer = ['--payer-key-env', variable, '--scheme', 'exact']
  return ['--url', url, '--path', '/paid', '--body', '{}', '--rpc-url', rpcUrl, ...payer]
}

const nowhere = 'http://127.0.0.1:9'

test('the program finds what a gullible server allows, and ends with 1', async () => {
  const only = ['--only', 'T1,T2,T3,T6,T10,T14,T34,T35,T44,T47', '--repeats', '5', '--json']
  const { code, text } = await runProgram(...aimAt(await startShop(true)), ...only)
  const { results }: { results: { id: string; verdict: string }[] } = JSON.parse(text)
  const verdicts = results.map(({ id, verdict }) => `${id} ${verdict}`)
  expect(verdicts).toEqual([
    'T1 failed',
    'T2 failed',
    'T3 not-run',
    'T6 failed',
    'T10 failed',
    'T14 failed',
    'T34 failed',
    'T35 passed-in-part',
    'T44 passed',
    'T47 not-run',
  ])
  expect(code).toBe(1)
})

test.each([
  [['--scheme', 'free'], '--scheme must be'],
  [['--only', 'T48'], 'there is no attack "T48"'],
  [['--nonsense'], "Unknown option '--nonsense'"],
  [['exact'], "Unexpected argument 'exact'"],
  [['--compare', '--stock'], 'exclude one another'],
  [['--path', '/paid'], '--path needs --url'],
  [['--url', 'shop.example'], '--scheme is missing'],
  [['--url', 'shop.example', '--scheme', 'exact'], '--url must be a URL'],
  [[...aimAt(nowhere), '--url', nowhere], '--url is given twice'],
  [aimAt('http://user:password@shop.example'), '--url takes no user'],
  [aimAt('http://shop.example/?a=b'), '--url takes no user, query'],
  [['--url', nowhere, '--path', 'paid', '--scheme', 'exact'], '--path must begin with /'],
  [[...aimAt(nowhere), '--body-file', 'x'], 'one of --body and --body-file'],
  [[...aimAt(nowhere), '--payer-key-file', 'x'], 'one of --payer-key-env and'],
  [aimAt(nowhere, undefined, 'NOBODY'), 'there is no variable NOBODY'],
  [aimAt(nowhere, undefined, 'SHORT'), 'the variable SHORT must hold 0x'],
  [aimAt(nowhere, undefined, 'HUGE'), 'the variable HUGE must hold 0x'],
  [[...aimAt(nowhere), '--repeats', '0'], '--repeats must be'],
])('refuses the options %j', (words, message) => {
  const environment = { PAYER: `0x${'3'.repeat(64)}`, SHORT: '0x3', HUGE: `0x${'f'.repeat(64)}` }
  expect(() => parseOptions(words, environment)).toThrow(UsageError)
  expect(() => parseOptions(words, environment)).toThrow(message)
})

test('wrong options end with 2 and the help, before anything is sent', async () => {
  const { code, text, errors } = await runProgram('--nonsense')
  expect({ code, text }).toEqual({ code: 2, text: '' })
  expect(errors).toContain(usage)
})

test('what cannot be attacked is said in a line, and ends with 3', async () => {
  const gullible = await startShop(true)
  const stubborn = await startShop(false)
  const reasons = {
    'does not answer (ECONNREFUSED)': aimAt(nowhere),
    'offers exact, and not upto': [...aimAt(gullible).slice(0, -1), 'upto'],
    'does not answer eth_chainId': aimAt(gullible, nowhere),
    'an ordinary payment was refused: 1 × 402': aimAt(stubborn),
  }
  const runs = Object.entries(reasons).map(async ([reason, words]) => {
    const { code, text, errors } = await runProgram(...words)
    expect(errors, reason).toContain(reason)
    expect({ code, text }, reason).toEqual({ code: 3, text: '' })
  })
  await Promise.all(runs)
})

test('a server that is gone has withstood nothing', async () => {
  // One call before all attacks, one before this one, and its first.
  const url = await startShop(true, 3)
  const { code, text } = await runProgram(...aimAt(url), '--only', 'T2')
  expect(text).toContain('T2  broken-off')
  expect(text).toContain('does not answer any more')
  expect(code).toBe(3)
})
