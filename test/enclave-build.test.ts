/** The measured build: reproducible, complete, small enough to read, and a gateway that serves (spec/build.md). */
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { verify } from '@countersign/protocol/verify/verify'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { createChatBody, postChat } from '../packages/gateway/test/support/chat-call.ts'
import { disposeGateway, startGateway } from '../packages/gateway/test/support/start-gateway.ts'
import { startLoopbackProvider } from './provider/start.ts'
import { findNodes } from './runtimes/node-versions.ts'
import { listMaterials, packageFolderOf } from './tools/enclave/bill-of-materials.ts'
import { bundleGateway, type EnclaveBuild } from './tools/enclave/bundle-gateway.ts'
import { repositoryRoot } from './tools/source-tree.ts'

// More than this nobody reads: raise a cap only with a reason in docs/decisions.
const maxPackages = 43
const maxModules = 1400
const maxBytes = 7_800_000
const maxWorkerBytes = 2_700_000

let folder = ''
let build: EnclaveBuild

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-enclave-'))
  build = await bundleGateway(repositoryRoot)
  write(build, join(folder, 'enclave'))
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

function write({ files }: EnclaveBuild, where: string): void {
  mkdirSync(where, { recursive: true })
  for (const [name, bytes] of files) writeFileSync(join(where, name), bytes)
}

/** Copies of all that the build reads: another folder must not see this one. */
function copySources(where: string): void {
  const inPackages = build.modules.filter((module) => packageFolderOf(module) !== undefined)
  const tools = ['node_modules/esbuild', 'node_modules/@esbuild', 'node_modules/secp256k1']
  const sources = ['protocol', 'contracts', 'gateway'].flatMap((name) => [
    `packages/${name}/src`,
    `packages/${name}/package.json`,
  ])
  const paths = ['package.json', 'test/tools/enclave', ...sources, ...inPackages, ...tools]
  for (const path of new Set([...paths, ...inPackages.flatMap(manifestsAbove)])) {
    mkdirSync(dirname(join(where, path)), { recursive: true })
    cpSync(join(repositoryRoot, path), join(where, path), { recursive: true })
  }
  mkdirSync(join(where, 'node_modules/@countersign'), { recursive: true })
  for (const name of ['protocol', 'contracts', 'gateway']) {
    symlinkSync(`../../packages/${name}`, join(where, 'node_modules/@countersign', name))
  }
}

/** Manifests say how the modules below them are found and read. */
function manifestsAbove(module: string): readonly string[] {
  const folders = module.split('/').slice(0, -1)
  return folders
    .map((_, index) => `${folders.slice(0, index + 1).join('/')}/package.json`)
    .filter((path) => existsSync(join(repositoryRoot, path)))
}

test('two builds in two folders are one build', ({ skip }) => {
  if (process.platform !== 'linux') return skip('the measured build is for Linux')
  const copy = join(folder, 'another place')
  copySources(copy)
  const program = join(copy, 'test/tools/enclave/build-enclave.ts')
  const out = join(folder, 'out')
  const printed: unknown = JSON.parse(
    execFileSync(process.execPath, [program, out], { encoding: 'utf8', cwd: '/', env: {} }),
  )
  expect(printed).toMatchObject({ digest: build.digest })
  expect(build.files.size).toBeGreaterThanOrEqual(3)
  for (const [name, bytes] of build.files) {
    expect(readFileSync(join(out, name)).equals(bytes), name).toBe(true)
  }
})

for (const { major, program } of findNodes()) {
  if (major < 22 || program === process.execPath) continue
  test(`a build on Node ${String(major)} is the same build`, ({ skip }) => {
    if (program === undefined) {
      return skip(`Node ${String(major)} is not installed: npm ci --prefix test/runtimes`)
    }
    const script = join(repositoryRoot, 'test/tools/enclave/build-enclave.ts')
    const { stdout, stderr } = spawnSync(program, [script, join(folder, `node-${String(major)}`)], {
      encoding: 'utf8',
      env: {},
    })
    expect(stdout, stderr).toContain(`"digest":"${build.digest}"`)
  })
}

test('what is in it is written down, is open, and stays below its caps', () => {
  const { packages, modules } = listMaterials(repositoryRoot, build)
  expect(packages.length).toBeGreaterThan(10)
  expect(packages.length).toBeLessThanOrEqual(maxPackages)
  expect(modules).toContain('packages/gateway/src/main.ts')
  expect(build.modules.length).toBeLessThanOrEqual(maxModules)
  expect(build.files.get('gateway.js')?.length).toBeLessThanOrEqual(maxBytes)
  expect(build.files.get('estimate-worker.js')?.length).toBeLessThanOrEqual(maxWorkerBytes)
  for (const { name, license } of packages) {
    expect(['MIT', 'Apache-2.0', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause'], name).toContain(license)
  }
})

test('nothing of the machine that built it is in it', () => {
  for (const [name, bytes] of build.files) {
    expect(Buffer.from(bytes).includes(repositoryRoot), name).toBe(false)
  }
})

test('the bundle alone is a gateway, and its keyset names its own bytes', async () => {
  const provider = await startLoopbackProvider({})
  const gateway = await startGateway({ provider, program: join(folder, 'enclave/gateway.js') })
  try {
    const answer = await postChat(
      gateway.url,
      createChatBody({ model: 'loopback-echo', stream: true }),
    )
    expect(answer.status).toBe(200)
    const url = `${gateway.url}/v1/receipts/${String(answer.headers['x-receipt-id'])}?wait=60`
    const bundle = new Uint8Array(await (await fetch(url)).arrayBuffer())
    const policy = encodeUtf8(
      JSON.stringify({ ...toJson(defaultPolicy), builds: [build.digest], require: ['build'] }),
    )
    const { verdict, level } = await verify(bundle, policy, Date.now())
    expect({ verdict, level }).toEqual({ verdict: 'valid', level: 'L2-SIMULATED' })
    const { payload } = parseStatement(parseBundle(bundle).keyset)
    if (payload.type !== 'keyset') throw new Error('no keyset')
    const { buildDigest, upstreams } = parseKeyset(payload.document)
    expect(Buffer.from(buildDigest).toString('hex')).toBe(build.digest)
    expect(upstreams).toEqual([new URL(provider.url).host])
  } finally {
    await disposeGateway(gateway)
    await provider.stop()
  }
})

function toJson(bytes: Uint8Array): object {
  const json: object = JSON.parse(new TextDecoder().decode(bytes))
  return json
}

test('the tokenizer stands in the file of its worker, and counts there', async () => {
  const worker = new Worker(join(folder, 'enclave/estimate-worker.js'))
  try {
    const request = new Uint8Array(encodeUtf8('{"messages":[{"role":"user","content":"Hello"}]}'))
    const answer = new Uint8Array(encodeUtf8('data: {"choices":[{"delta":{"content":"Hi you"}}]}'))
    worker.postMessage({ id: 1, request, answer, isStream: true }, [])
    const [counted] = await once(worker, 'message')
    const input = { tokens: 1, messages: 1, attachments: 0 }
    expect(counted).toEqual({ id: 1, input, outputTokens: 2 })
  } finally {
    await worker.terminate()
  }
})

test('a changed file beside the bundle is not run', async () => {
  const changed = join(folder, 'changed')
  write(build, changed)
  writeFileSync(join(changed, 'estimate-worker.js'), '// something else\n')
  await expect(startGateway({ program: join(changed, 'gateway.js') })).rejects.toThrow(
    'estimate-worker.js is not the file that was built',
  )
})

test('the native curve is loaded when it is the one that was built, and nothing in its place', async ({
  skip,
}) => {
  if (process.platform !== 'linux' || process.arch !== 'x64') return skip('only for Linux x64')
  const entry = 'packages/gateway/src/payment/evm-curve.ts'
  const curve = await bundleGateway(repositoryRoot, entry)
  const where = join(folder, 'curve')
  write(curve, where)
  const digest = randomBytes(32).toString('hex')
  const script = `
    import { loadEvmCurve } from ${JSON.stringify(join(where, 'gateway.js'))}
    const { implementation, sign } = await loadEvmCurve()
    sign(Buffer.from('${digest}', 'hex'), Buffer.alloc(32, 1))
    process.stdout.write(implementation)
  `
  const run = (): { readonly stdout: string; readonly stderr: string } =>
    spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
      env: {},
    })
  expect(run()).toMatchObject({ stdout: 'native', stderr: '' })
  const library = join(where, 'secp256k1.node')
  writeFileSync(library, Buffer.concat([readFileSync(library), Buffer.from([0])]))
  const { stdout, stderr } = run()
  expect(stdout).toBe('')
  expect(stderr).toContain('not part of this build')
})
