/** The digest that receipts give of the translator: over one bundle of it with all that it imports. */
import { createHash } from 'node:crypto'
import { build } from 'esbuild'
import { repositoryRoot } from './source-tree.ts'

const entry = 'packages/gateway/src/translation/translator.ts'

/** SHA-256 in hex over the bundle; the same wherever the repository lies. @throws Error when something is missing. */
async function computeAdapterDigest(): Promise<string> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: repositoryRoot,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    charset: 'utf8',
    tsconfigRaw: {},
    logLevel: 'silent',
  })
  const [bundle, ...others] = outputFiles
  const packages = Object.keys(metafile.inputs).filter((path) => path.includes('/@ai-sdk/'))
  if (bundle === undefined || others.length > 0 || packages.length < 5) {
    throw new Error('the translator is not in one bundle with the SDK')
  }
  return createHash('sha256').update(bundle.contents).digest('hex')
}

/** The file that holds it. */
export async function generateAdapterDigest(): Promise<ReadonlyMap<string, string>> {
  const text = `/** Written by \`npm run generate\`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = '${await computeAdapterDigest()}'
`
  return new Map([['packages/gateway/src/translation/generated/adapter-digest.ts', text]])
}
