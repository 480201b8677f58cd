import { expect, test } from 'vitest'
import { runCliProcess, runInProcess } from './kit/run-cli-process.ts'

test.each([
  [64, ['verify']],
  [64, ['verify', 'a', 'b']],
  [64, ['verify', 'a', '--polcy', 'x']],
  [64, ['verify', 'a', '--json', '--json']],
  [64, ['verify', 'a', '--policy']],
  [64, ['verify', 'a', '--now', 'yesterday']],
  [64, ['verify', 'a', '--now', '2026-13-01T00:00:00Z']],
  [64, ['verify', 'a', '--now', '2026-02-31T00:00:00Z']],
  [64, ['verify', 'a', '--nonce', '!']],
  [64, ['verify', 'a', '--prefix']],
  [64, ['inspect']],
  [64, ['audit-bill']],
  [64, ['audit-bill', 'a', '--rpc', 'x']],
  [66, ['audit-bill', 'not/there']],
  [64, ['wallet']],
  [64, ['wallet', 'create']],
  [64, ['wallet', 'create', '--keystore', 'x', '--rpc', 'http://127.0.0.1']],
  [64, ['call', '--stream', '--no-stream', 'x']],
  [64, ['call', '--max-price', '1.5', 'x']],
  [64, ['call', '--attested', '--base-url', 'http://127.0.0.1:1/v1', '--model', 'm', 'x']],
  [64, ['keys', 'create']],
  [64, ['keys', 'limit']],
  [64, ['keys', 'limit', 'a']],
  [64, ['keys', 'limit', 'a', '--calls-per-minute', '0']],
  [64, ['keys', 'limit', 'a', '--daily-budget', '1.5']],
  [64, ['keys', 'list', '--daily-budget', '1']],
  [64, ['config', 'chek', 'x']],
  [64, ['doctor', 'x']],
  [64, ['up', '--port', '70000', '--upstream', 'http://127.0.0.1:1/v1']],
  [64, ['up']],
  [64, ['nothing']],
  [64, []],
  [66, ['verify', 'not/there.json']],
  [66, ['verify', '.']],
  [66, ['inspect', 'not/there.json']],
  [69, ['call', '--data', 'not/there', 'x']],
  [69, ['keys', 'list', '--data', 'not/there']],
  [73, ['up', '--data', 'package.json', '--upstream', 'http://127.0.0.1:1/v1']],
])('wrong use exits with %i and says what to do: %j', async (code, args) => {
  const ended = await runInProcess(args)
  expect({ code: ended.code, out: ended.out }).toEqual({ code, out: '' })
  expect(ended.err).toMatch(
    code === 64 ? /try: countersign|usage: countersign/ : /^error [a-z-]+: /,
  )
  expect(ended.err).not.toMatch(/\n\s+at /)
})

test('the doctor of a gateway says what is wrong, and exits with 1', async () => {
  const { code, out, err } = await runCliProcess(['doctor', '--config', 'not/there.json'])
  expect({ code, err }).toEqual({ code: 1, err: '' })
  expect(out).toMatch(/^FAIL configuration {2}\S*not\/there\.json cannot be read/)
  const json = await runCliProcess(['doctor', '--json', '--config', 'not/there.json'])
  expect(json.code).toBe(1)
  expect(JSON.parse(json.out)).toMatchObject({ ok: false, checks: [{ status: 'failed' }] })
})
