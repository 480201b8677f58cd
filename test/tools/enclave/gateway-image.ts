/** What the image of the gateway consists of: libraries of Debian, Node, the measured build (spec/build.md BD4). */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EnclaveBuild } from './bundle-gateway.ts'
import { createImage, type Image } from './oci-image.ts'
import type { TarEntry } from './tar.ts'

/** A library that Node needs, by its path in Debian. */
export interface BaseLibrary {
  readonly path: string
  readonly sha256: string
}

/** Where its parts come from. `libraries` undefined: those of `base`, whatever they are, for tests. */
export interface ImageSources {
  readonly build: EnclaveBuild
  /** The program of Node. */
  readonly node: string
  /** Root of a file system that holds the libraries: `/`, or unpacked packages. */
  readonly base: string
  readonly libraries: readonly BaseLibrary[] | undefined
}

/** Paths of the libraries; the loader has a second name, which is compiled into every program. */
export const libraryPaths: readonly string[] = [
  'ld-linux-x86-64.so.2',
  'libc.so.6',
  'libdl.so.2',
  'libgcc_s.so.1',
  'libm.so.6',
  'libpthread.so.0',
  'libresolv.so.2',
  'libstdc++.so.6',
]

const gatewayFolder = 'opt/countersign'
const dataFolder = 'var/lib/countersign'
// Nobody: it owns no file but what it writes.
const userId = 65_532

/**
 * Makes the image.
 *
 * @throws Error when a library is not the one that is pinned.
 */
export function createGatewayImage({ build, node, base, libraries }: ImageSources): Image {
  const program = {
    entrypoint: ['/usr/bin/node', `/${gatewayFolder}/gateway.js`],
    user: `${String(userId)}:${String(userId)}`,
    folder: `/${dataFolder}`,
    port: 8402,
  }
  return createImage([baseLayer(base, libraries), nodeLayer(node), gatewayLayer(build)], program)
}

/** The libraries of a root file system with their digests. */
export function readLibraries(base: string): readonly BaseLibrary[] {
  return libraryPaths.map((path) => ({ path, sha256: sha256Hex(readLibrary(base, path)) }))
}

function baseLayer(base: string, libraries: readonly BaseLibrary[] | undefined): TarEntry[] {
  const pinned = new Map(libraries?.map(({ path, sha256 }) => [path, sha256]))
  const files = libraryPaths.map((path): TarEntry => {
    const bytes = readLibrary(base, path)
    if (libraries !== undefined && sha256Hex(bytes) !== pinned.get(path)) {
      throw new Error(`${path} is not the library that is pinned`)
    }
    return { kind: 'file', path: `usr/lib/x86_64-linux-gnu/${path}`, mode: 0o755, bytes }
  })
  return [
    ...[
      'etc',
      'tmp',
      'usr',
      'usr/lib',
      'usr/lib/x86_64-linux-gnu',
      'usr/lib64',
      'var',
      'var/lib',
    ].map(folder),
    ...files,
    { kind: 'link', path: 'lib', target: 'usr/lib' },
    { kind: 'link', path: 'lib64', target: 'usr/lib64' },
    {
      kind: 'link',
      path: 'usr/lib64/ld-linux-x86-64.so.2',
      target: '/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
    },
    text('etc/nsswitch.conf', 'hosts: files dns\n'),
    text(
      'etc/passwd',
      `countersign:x:${String(userId)}:${String(userId)}::/${dataFolder}:/nonexistent\n`,
    ),
    text('etc/group', `countersign:x:${String(userId)}:\n`),
    { kind: 'folder', path: dataFolder, mode: 0o700, owner: userId },
  ]
}

function nodeLayer(node: string): TarEntry[] {
  return [
    folder('usr'),
    folder('usr/bin'),
    { kind: 'file', path: 'usr/bin/node', mode: 0o755, bytes: readFileSync(node) },
  ]
}

function gatewayLayer({ files }: EnclaveBuild): TarEntry[] {
  return [
    folder('opt'),
    folder(gatewayFolder),
    ...Array.from(files, ([name, bytes]): TarEntry => {
      return { kind: 'file', path: `${gatewayFolder}/${name}`, mode: 0o644, bytes }
    }),
  ]
}

function folder(path: string): TarEntry {
  return { kind: 'folder', path, mode: 0o755, owner: 0 }
}

function text(path: string, content: string): TarEntry {
  return { kind: 'file', path, mode: 0o644, bytes: Buffer.from(content) }
}

function readLibrary(base: string, path: string): Uint8Array {
  // Packages that were unpacked still have the folder that installed systems join with the other one.
  const places = ['usr/lib', 'lib'].map((lib) => join(base, lib, 'x86_64-linux-gnu', path))
  const place = places.find((candidate) => existsSync(candidate))
  if (place === undefined) throw new Error(`${base} has no ${path}`)
  return readFileSync(place)
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
