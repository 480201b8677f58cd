import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withholdClaims } from '@countersign/protocol/receipt/claims'
import { encodeBundle, parseBundle } from '@countersign/protocol/verify/bundle'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import { verify } from '@countersign/protocol/verify/verify'
import { runCliProcess } from './kit/run-cli-process.ts'
import { createTestIssuer, type TestCall } from './kit/test-issuer.ts'

const nowMs = Date.UTC(2026, 10, 21, 12)
const now = ['--now', '2026-11-21T12:00:00Z']
const events = ['data: {"a":1}\n\n', 'data: [DONE]\n\n']
const nonce = 'bm9uY2Ugb2YgYSB0ZXN0'
const call: TestCall = {
  id: new Uint8Array(16).fill(1),
  nonce: Uint8Array.from(Buffer.from(nonce, 'base64url')),
  path: '/v1/chat/completions',
  request: Uint8Array.from(Buffer.from('{"model":"test-model"}')),
  response: Uint8Array.from(Buffer.from(events.join(''))),
  isStream: true,
  status: 200,
  state: 'complete',
  charge: {
    scheme: 'exact',
    amountAtomic: 10_000n,
    network: 'eip155:84532',
    asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
    paymentId: new Uint8Array(32).fill(3),
    settlementTransaction: new Uint8Array(32).fill(4),
  },
  priceAtomic: 10_000n,
}
let folder: string
let bundle: Uint8Array

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-cli-'))
  bundle = createTestIssuer(nowMs).issue(call)
  const parsed = parseBundle(bundle)
  const statement = parsed.statement.slice()
  statement[statement.length - 1] = (statement.at(-1) ?? 0) ^ 1
  await Promise.all([
    writeFile(file('good.json'), bundle),
    writeFile(file('turned.json'), encodeBundle({ ...parsed, statement })),
    writeFile(
      file('withheld.json'),
      encodeBundle({ ...parsed, claims: withholdClaims(parsed.claims) }),
    ),
    writeFile(file('none.json'), '{}'),
    writeFile(file('request'), call.request),
    writeFile(file('other'), 'another request'),
    writeFile(file('response'), call.response),
    writeFile(file('first-event'), events[0] ?? ''),
    writeFile(
      file('policy.json'),
      JSON.stringify({
        ...JSON.parse(new TextDecoder().decode(defaultPolicy)),
        name: 'ours',
        issuers: ['countersign:other'],
      }),
    ),
  ])
})
afterAll(() => rm(folder, { recursive: true }))

function file(name: string): string {
  return join(folder, name)
}

test('a valid receipt is shown check by check, SIMULATED in capitals, and exits with 0', async () => {
  const { code, out, err } = await runCliProcess(['verify', file('good.json'), ...now])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^verdict VALID {3}level L1-SIMULATED {3}policy default\n/)
  expect(out).toContain('✓ signature            ST2.4')
  expect(out).toContain(
    '✓ evidence-accepted    BU3.6        SIMULATED: no hardware stands behind this key\n',
  )
  expect(out).toContain('– response-bytes       BU3.8        not-given: ')
  expect(out.trimEnd().split('\n')).toHaveLength(26)
  expect(out).not.toContain('\u001b')
})

test('what the caller holds is compared: request, response, prefix and nonce', async () => {
  const held = ['--request', file('request'), '--response', file('response'), '--nonce', nonce]
  const whole = await runCliProcess(['verify', file('good.json'), ...now, ...held])
  expect(whole.code).toBe(0)
  for (const id of ['request-bytes', 'response-bytes', 'nonce'])
    expect(whole.out).toContain(`✓ ${id} `)
  const prefix = ['--response', file('first-event')]
  expect(
    (await runCliProcess(['verify', file('good.json'), ...now, ...prefix, '--prefix'])).code,
  ).toBe(0)
  const short = await runCliProcess(['verify', file('good.json'), ...now, ...prefix])
  expect(short.code).toBe(1)
  expect(short.out).toContain('✗ response-bytes       BU3.8        response-bytes-mismatch: ')
})

test('--json prints the verdict that the protocol gives, and nothing else', async () => {
  const args = ['verify', file('turned.json'), ...now, '--request', file('other'), '--json']
  const { code, out, err } = await runCliProcess(args)
  expect({ code, err }).toEqual({ code: 1, err: '' })
  const statement = parseBundle(bundle).statement.slice()
  statement[statement.length - 1] = (statement.at(-1) ?? 0) ^ 1
  const turned = encodeBundle({ ...parseBundle(bundle), statement })
  const held = { request: Uint8Array.from(Buffer.from('another request')) }
  expect(JSON.parse(out)).toEqual(await verify(turned, defaultPolicy, nowMs, held))
})

test.each([
  ['a turned bit', 1, ['turned.json'], '✗ signature '],
  ['no bundle', 1, ['none.json'], '✗ bundle '],
  ['withheld claims', 2, ['withheld.json'], 'verdict INCOMPLETE'],
  ['the production policy', 1, ['good.json', '--policy', 'production'], 'evidence-kind-refused'],
  [
    'a receipt from the future',
    1,
    ['good.json', '--now', '2026-11-21T11:00:00Z'],
    'statement-in-future',
  ],
])('exits by the verdict: %s', async (_, expected, [name = '', ...options], text) => {
  const time = options.includes('--now') ? [] : now
  const { code, out } = await runCliProcess(['verify', file(name), ...options, ...time])
  expect(code).toBe(expected)
  expect(out).toContain(text)
})

test('a policy file is used, and one that is no policy makes the verdict invalid', async () => {
  const ours = await runCliProcess([
    'verify',
    file('good.json'),
    ...now,
    '--policy',
    file('policy.json'),
  ])
  expect(ours.code).toBe(1)
  expect(ours.out).toContain('issuer-not-allowed')
  const none = await runCliProcess([
    'verify',
    file('good.json'),
    ...now,
    '--policy',
    file('none.json'),
  ])
  expect(none.code).toBe(1)
  expect(none.out).toContain('✗ policy               BU2          policy-malformed')
})

test.each([
  [64, ['verify', 'a', '--polcy', 'x']],
  [64, []],
  [66, ['verify', 'not/there.json']],
  [69, ['call', '--data', 'not/there', 'x']],
])('a process that cannot do its work exits with %i: %j', async (code, args) => {
  const ended = await runCliProcess(args)
  expect({ code: ended.code, out: ended.out }).toEqual({ code, out: '' })
  expect(ended.err).not.toBe('')
})

test('every command explains itself with examples, and --version is that of the package', async () => {
  const names = ['up', 'call', 'verify', 'inspect', 'attest', 'keys', 'config']
  const helps = await Promise.all(names.map((name) => runCliProcess([name, '--help'])))
  for (const [index, { code, out }] of helps.entries()) {
    expect(code).toBe(0)
    expect(out).toContain(`usage: countersign ${names[index]}`)
    expect(out).toMatch(/examples?:\n/)
  }
  const { out } = await runCliProcess(['--help'])
  for (const name of names) expect(out).toContain(`\n  ${name} `)
  expect((await runCliProcess(['--version'])).out).toBe('countersign 0.1.0\n')
})

test('inspect shows what a bundle says and that nothing of it is verified, also of a forged one', async () => {
  const { code, out } = await runCliProcess(['inspect', file('turned.json')])
  expect(code).toBe(0)
  expect(out).toMatch(/^NOTHING HERE IS VERIFIED/)
  expect(out).toContain('  id 01010101010101010101010101010101\n')
  expect(out).toContain('    amount 10000\n')
  expect(out).toContain('    method POST\n')
  expect(out).toContain('SIMULATED')
  const json = await runCliProcess(['inspect', file('good.json'), '--json'])
  expect(JSON.parse(json.out)).toMatchObject({
    verified: false,
    statement: { type: 'receipt', charge: { scheme: 'exact', amount: '10000' } },
    events: 2,
  })
})

test('inspect shows the parts that can be read of a bundle whose other parts cannot', async () => {
  const parsed = parseBundle(bundle)
  await writeFile(file('half.json'), encodeBundle({ ...parsed, keyset: Uint8Array.of(1) }))
  const { code, out } = await runCliProcess(['inspect', file('half.json'), '--json'])
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({
    statement: { type: 'receipt' },
    keyset: { unreadable: 'cose-malformed' },
  })
  const none = await runCliProcess(['inspect', file('none.json')])
  expect({ code: none.code, out: none.out }).toEqual({ code: 1, out: '' })
  expect(none.err).toContain('bundle-version-unsupported')
})

test('inspect never lets a bundle speak to the terminal', async () => {
  const issuer = createTestIssuer(nowMs)
  const path = '/\u001b]0;title\u0007\u202e'
  await writeFile(file('escape.json'), issuer.issue({ ...call, path }))
  const { out } = await runCliProcess(['inspect', file('escape.json')])
  expect(out).toContain('path /\\u{1b}]0;title\\u{7}\\u{202e}')
  expect(out).not.toMatch(/[\u001b\u0007\u202e]/)
})
