/**
 * `npm run build:enclave`: writes the measured build of the gateway and prints its digest. The output folder is
 * `dist/enclave`, or the first argument.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleGateway } from './bundle-gateway.ts'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const folder = resolve(process.argv[2] ?? join(root, 'dist/enclave'))
const { files, digest } = await bundleGateway(root)
mkdirSync(folder, { recursive: true })
for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
console.log(JSON.stringify({ folder, digest, files: [...files.keys()] }))
