import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from '../src/config/load-config.ts'
import { refuseDangerousEnvironment } from '../src/config/environment-guard.ts'
import {
  createConfig,
  createGatewayFolder,
  disposeGateway,
  runToEnd,
  startGateway,
} from './support/start-gateway.ts'

const exitConfig = 78
const exitUsage = 64

const folder = createGatewayFolder()
const file = join(folder, 'countersign.config.json')
writeFileSync(file, JSON.stringify(createConfig({})))

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

type Environment = Readonly<Record<string, string>>

const dangers: readonly (readonly [
  environment: Environment,
  execArgv: readonly string[],
  named: string,
])[] = [
  [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, [], 'NODE_TLS_REJECT_UNAUTHORIZED'],
  [{ NODE_TLS_REJECT_UNAUTHORIZED: '1' }, [], 'NODE_TLS_REJECT_UNAUTHORIZED'],
  [{ NODE_TLS_REJECT_UNAUTHORIZED: '' }, [], 'NODE_TLS_REJECT_UNAUTHORIZED'],
  [{ NODE_EXTRA_CA_CERTS: 'a.pem' }, [], 'NODE_EXTRA_CA_CERTS'],
  [{ SSLKEYLOGFILE: 'keys' }, [], 'SSLKEYLOGFILE'],
  [{ NODE_DEBUG: 'http' }, [], 'NODE_DEBUG'],
  [{ NODE_USE_SYSTEM_CA: '1' }, [], 'NODE_USE_SYSTEM_CA'],
  [{ SSL_CERT_FILE: 'a.pem' }, [], 'SSL_CERT_FILE'],
  [{ SSL_CERT_DIR: 'certificates' }, [], 'SSL_CERT_DIR'],
  [{ NODE_USE_ENV_PROXY: '1' }, [], 'NODE_USE_ENV_PROXY'],
  [{ NODE_OPTIONS: '--use-env-proxy' }, [], '--use-env-proxy'],
  [{ LD_LIBRARY_PATH: 'libraries' }, [], 'LD_LIBRARY_PATH'],
  [{ LD_PRELOAD: 'a.so' }, [], 'LD_PRELOAD'],
  [{ LD_AUDIT: 'a.so' }, [], 'LD_AUDIT'],
  [{ OPENSSL_CONF: 'openssl.cnf' }, [], 'OPENSSL_CONF'],
  [{ NODE_COMPILE_CACHE: 'cache' }, [], 'NODE_COMPILE_CACHE'],
  [{ DSTACK_SIMULATOR_ENDPOINT: 'http://127.0.0.1' }, [], 'DSTACK_SIMULATOR_ENDPOINT'],
  [{ NODE_OPTIONS: '--require ./a.cjs' }, [], '--require'],
  [{ NODE_OPTIONS: '--require=./a.cjs' }, [], '--require'],
  [{ NODE_OPTIONS: '  -r   ./a.cjs' }, [], '-r'],
  [{ NODE_OPTIONS: '"--require" "./a b.cjs"' }, [], '--require'],
  [{ NODE_OPTIONS: '"--re\\quire=./a.cjs"' }, [], '--require'],
  [{ NODE_OPTIONS: '--max-old-space-size=100 --import=./a.mjs' }, [], '--import'],
  [{ NODE_OPTIONS: '--experimental_loader=./a.mjs' }, [], '--experimental-loader'],
  [{ NODE_OPTIONS: '--inspect' }, [], '--inspect'],
  [{ NODE_OPTIONS: '--inspect_brk=0.0.0.0:9229' }, [], '--inspect-brk'],
  [{ NODE_OPTIONS: '--tls-keylog=keys' }, [], '--tls-keylog'],
  [{ NODE_OPTIONS: '--trace-tls' }, [], '--trace-tls'],
  [{ NODE_OPTIONS: '--experimental-config-file=a.json' }, [], '--experimental-config-file'],
  [{ NODE_OPTIONS: '--heapsnapshot-signal=SIGUSR2' }, [], '--heapsnapshot-signal'],
  [{}, ['--tls-keylog=keys'], '--tls-keylog'],
  [{}, ['--conditions=source', '--require', './a.cjs'], '--require'],
  [{}, ['-r', './a.cjs'], '-r'],
  [{}, ['--openssl-config=a.cnf'], '--openssl-config'],
  [{}, ['--use-system-ca'], '--use-system-ca'],
  [{}, ['--use-openssl-ca'], '--use-openssl-ca'],
  [{}, ['--import=./a.mjs'], '--import'],
  [{}, ['--inspect-wait'], '--inspect-wait'],
  [{}, ['--report-on-signal'], '--report-on-signal'],
]

test.each(dangers)('refuses to start with %j and the flags %j', (environment, execArgv, named) => {
  const judge = (): void => {
    refuseDangerousEnvironment(environment, execArgv)
  }
  expect(judge).toThrow(ConfigError)
  expect(judge).toThrow(`refusing to start: ${named} is set, `)
})

test.each([
  [{}, []],
  [{ PATH: '/bin', NODE_ENV: 'production' }, ['--conditions=source']],
  // Of no effect: Node reads them only when it is told to, and the configuration names the TPM.
  [{ HTTPS_PROXY: 'http://proxy.example', TPM_DEVICE: '/dev/tpm0' }, []],
  [{ NODE_OPTIONS: '' }, []],
  [{ NODE_OPTIONS: '--max-old-space-size=4096 --no-warnings' }, ['--enable-source-maps']],
  [{ NODE_OPTIONS: '--trace-warnings' }, ['-C', 'source']],
])('starts with %j and the flags %j', (environment, execArgv) => {
  expect(() => {
    refuseDangerousEnvironment(environment, execArgv)
  }).not.toThrow()
})

const processes: readonly (readonly [
  environment: Environment,
  nodeFlags: readonly string[],
  reason: RegExp,
])[] = [
  [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, [], /NODE_TLS_REJECT_UNAUTHORIZED is set, so anybody/],
  [{ NODE_OPTIONS: '--require=node:fs' }, [], /--require is set, a preload/],
  [{ SSLKEYLOGFILE: join(folder, 'keys') }, [], /SSLKEYLOGFILE is set, so TLS secrets/],
  [{}, ['--import=node:fs'], /--import is set, a preload/],
  [{}, [`--tls-keylog=${join(folder, 'keys')}`], /--tls-keylog is set/],
]

test.each(processes)(
  'ends with code 78 and says why: %j %j',
  async (environment, flags, reason) => {
    const end = await runToEnd(['--config', file], environment, flags)
    expect(end).toMatchObject({ code: exitConfig, stdout: '' })
    expect(end.stderr).toMatch(reason)
    expect(end.stderr).not.toMatch(/^\s+at /m)
  },
)

test('ends with code 78 and names the fault when the configuration cannot be used', async () => {
  const bad = join(folder, 'bad.json')
  writeFileSync(bad, JSON.stringify({ ...createConfig({}), mistake: 1 }))
  const end = await runToEnd(['--config', bad])
  expect(end).toMatchObject({ code: exitConfig, stdout: '' })
  expect(end.stderr).toMatch(/mistake/)
  const models = [{ id: 'a', priceAtomic: '1' }]
  const keyless = { name: 'a', baseUrl: 'https://a.example/v1', apiKeyEnv: 'A_KEY', models }
  writeFileSync(bad, JSON.stringify(createConfig({ config: { upstreams: [keyless] } })))
  for (const environment of [{}, { A_KEY: '' }, { A_KEY: 'a b' }, { A_KEY: 'a\nb' }]) {
    const { code, stderr } = await runToEnd(['--config', bad], environment)
    expect(code).toBe(exitConfig)
    expect(stderr).toContain('environment variable A_KEY holds no key')
    expect(stderr).not.toContain('a b')
  }
})

test('ends with code 64 and the usage when it is called wrongly', async () => {
  for (const args of [[], ['--nonsense'], ['--config'], ['more', '--config', file]]) {
    const end = await runToEnd(args)
    expect(end).toMatchObject({ code: exitUsage, stdout: '' })
    expect(end.stderr).not.toMatch(/^\s+at /m)
  }
})

test('checks a configuration without starting', async () => {
  const end = await runToEnd(['--check-config', file])
  expect(end).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(end.stdout)).toEqual({
    valid: true,
    issuer: 'https://gateway.example',
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    models: ['*'],
  })
})

test('opens no debugger when it is asked to by a signal', async () => {
  const gateway = await startGateway({})
  process.kill(gateway.pid, 'SIGUSR1')
  expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200)
  await disposeGateway(gateway)
  expect(gateway.stderr()).not.toContain('Debugger')
})
