import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkIds } from '@countersign/protocol/verify/policy'

const script = fileURLToPath(new URL('demo/main.ts', import.meta.url))
const environment = Object.fromEntries(
  ['PATH', 'HOME', 'COUNTERSIGN_ANVIL'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  }),
)

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
})
afterEach(() => rm(folder, { recursive: true }))

type Ended = { readonly code: number | null; readonly out: string; readonly err: string }

async function runDemo(args: readonly string[]): Promise<Ended> {
  // No provider key: the test never leaves loopback.
  const child = spawn(process.execPath, ['--conditions=source', script, ...args], {
    env: { ...environment, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, out, err }
}

test('the demo pays, streams, verifies, and refuses the turned byte by name', async () => {
  const { code, out, err } = await runDemo(['--json'])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const summary: unknown = JSON.parse(out)
  expect(summary).toEqual({
    provider: 'loopback',
    receiptId: expect.stringMatching(/^[0-9a-f]{32}$/),
    verdict: 'valid',
    checks: expect.any(Array),
    tamperedVerdict: 'invalid',
    tamperedCode: 'signature-invalid',
    charged: '10000',
    settlementTx: expect.stringMatching(/^0x[0-9a-f]{64}$/),
    ms: {
      start: expect.any(Number),
      firstText: expect.any(Number),
      call: expect.any(Number),
      verify: expect.any(Number),
      total: expect.any(Number),
    },
  })
  const { checks } = present(summary)
  expect(checks.map(({ id }) => id)).toEqual(checkIds)
  const notPassed = checks.filter(({ status }) => status !== 'passed').map(({ id }) => id)
  // The default policy names no issuer, build, configuration or upstream.
  expect(notPassed).toEqual(['issuer', 'build', 'configuration', 'upstreams'])
  expect(await readdir(folder)).toEqual([])
})

test('the demo for people shows the answer, the verdict, the refusal and what to try next', async () => {
  const { code, out, err } = await runDemo([])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  for (const text of [
    'provider  the loopback provider',
    'You asked: Say in one sentence what a notary does.',
    'verdict VALID   level L1-SIMULATED',
    '✓ response-bytes',
    'INVALID, signature: signature-invalid',
    'npm run up',
  ]) {
    expect(out).toContain(text)
  }
})

test('the demo refuses options that it does not have', async () => {
  expect(await runDemo(['--jsn'])).toMatchObject({ code: 64, out: '' })
})

type Shown = { readonly checks: readonly { readonly id: string; readonly status: string }[] }

/** The shape of the summary was judged before this reads it. */
function present(summary: unknown): Shown {
  if (typeof summary === 'object' && summary !== null && 'checks' in summary) {
    const { checks } = summary
    if (Array.isArray(checks)) return { checks }
  }
  throw new Error('the summary has no checks')
}
