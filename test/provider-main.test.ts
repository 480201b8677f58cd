import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseOptions, UsageError } from './provider/options.ts'
import { callRaw } from './provider/raw-client.ts'

const script = fileURLToPath(new URL('provider/main.ts', import.meta.url))

function start(...args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, ['--conditions=source', script, ...args])
}

test('prints one JSON line when ready, writes its CA and ends with its standard input', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'loopback-main-'))
  const caFile = join(directory, 'ca.pem')
  const child = start('--ca-out', caFile, '--exit-with-parent')
  try {
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    const ready: unknown = JSON.parse(String(line))
    expect(ready).toEqual({
      ready: true,
      url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+\/v1$/),
      caFile,
    })
    const url = `${JSON.parse(String(line)).url}/models`
    expect((await callRaw({ url, caPem: await readFile(caFile, 'utf8') })).status).toBe(200)
    const exited = once(child, 'exit')
    child.stdin.end()
    expect(await exited).toEqual([0, null])
  } finally {
    child.kill()
    await rm(directory, { recursive: true, force: true })
  }
})

test('prints its options on --help and exits 64 for others', async () => {
  const help = start('--help')
  expect(await text(help.stdout)).toContain('No model runs.')
  const wrong = start('--prot', '1')
  const exited = once(wrong, 'exit')
  expect(await text(wrong.stderr)).toContain("'--prot'")
  expect(await exited).toEqual([64, null])
})

test('parses every option', () => {
  const args = ['--port', '8443', '--plain', '--ca-out', 'ca.pem', '--api-key', 'k']
  const more = ['--recordings', 'r', '--delay-ms', '7', '--cert-names', 'a,b', '--cert-expired']
  const rest = ['--tls-max', '1.2', '--models', 'm1,m2', '--exit-with-parent']
  expect(parseOptions([...args, ...more, ...rest])).toEqual({
    port: 8443,
    plain: true,
    caOut: 'ca.pem',
    apiKey: 'k',
    recordingsDir: 'r',
    delayMs: 7,
    certNames: ['a', 'b'],
    certExpired: true,
    tlsMax: 'TLSv1.2',
    models: ['m1', 'm2'],
    exitWithParent: true,
  })
})

test.each([
  ['--port', '65536'],
  ['--port', '-1'],
  ['--port', '1e3'],
  ['--delay-ms', ''],
  ['--delay-ms', '600001'],
  ['--tls-max', '1.1'],
  ['--port'],
  ['extra'],
])('refuses the arguments %s %s', (...args) => {
  expect(() => parseOptions(args)).toThrow(UsageError)
})
