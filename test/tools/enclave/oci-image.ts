/** An OCI image layout without a daemon: layers, configuration and manifest by their digests (OCI image-spec 1.1). */
import { createHash } from 'node:crypto'
import { encodeTar, type TarEntry } from './tar.ts'

/** One blob, in pieces. */
export interface Blob {
  readonly digest: string
  readonly sizeBytes: number
  readonly pieces: readonly Uint8Array[]
}

/** An image: the digest of its manifest names all of it. */
export interface Image {
  readonly digest: string
  readonly blobs: readonly Blob[]
  /** The files of the layout beside its blobs, by their names. */
  readonly files: ReadonlyMap<string, string>
}

/** What runs in it. */
export interface ImageProgram {
  readonly entrypoint: readonly string[]
  readonly user: string
  readonly folder: string
  readonly port: number
}

const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const
// Whoever looks for the time of a reproducible image finds none.
const created = '1970-01-01T00:00:00Z'

/** Makes the image for Linux x64. Layers are not compressed: what compresses would have a say in the digest. */
export function createImage(
  layers: readonly (readonly TarEntry[])[],
  { entrypoint, user, folder, port }: ImageProgram,
): Image {
  const tars = layers.map((entries) => createBlob(encodeTar(entries)))
  const config = jsonBlob({
    architecture: 'amd64',
    os: 'linux',
    created,
    config: {
      Entrypoint: entrypoint,
      Env: ['PATH=/usr/bin'],
      ExposedPorts: { [`${String(port)}/tcp`]: {} },
      User: user,
      WorkingDir: folder,
    },
    rootfs: { type: 'layers', diff_ids: tars.map(({ digest }) => digest) },
    history: tars.map(() => ({ created })),
  })
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: describe(config, mediaTypes.config),
    layers: tars.map((tar) => describe(tar, mediaTypes.layer)),
  })
  const index = { schemaVersion: 2, manifests: [describe(manifest, mediaTypes.manifest)] }
  return {
    digest: manifest.digest,
    blobs: [...tars, config, manifest],
    files: new Map([
      ['oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' })],
      ['index.json', JSON.stringify(index)],
    ]),
  }
}

function describe(blob: Blob, mediaType: string): object {
  return { mediaType, digest: blob.digest, size: blob.sizeBytes }
}

function jsonBlob(value: object): Blob {
  return createBlob([Buffer.from(JSON.stringify(value))])
}

function createBlob(pieces: readonly Uint8Array[]): Blob {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  const sizeBytes = pieces.reduce((sum, { length }) => sum + length, 0)
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes, pieces }
}
