/** Makes the measured build of the gateway: equal bytes from equal sources, wherever and whenever (spec/build.md BD2). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { build, type BuildOptions, type BuildResult, type Metafile, type Plugin } from 'esbuild'

/** A measured build. */
export interface EnclaveBuild {
  /** Every file of it, by its name; `gateway.js` holds the digests of the others. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** SHA-256 of `gateway.js` in hex: the build digest (BD1.1). */
  readonly digest: string
  /** Paths of all modules in it, from the root of the repository, sorted. */
  readonly modules: readonly string[]
}

const main = 'packages/gateway/src/main.ts'
const worker = 'packages/gateway/src/metering/estimate-worker.ts'
const nativeLibrary = 'secp256k1.node'
const prebuilt = 'node_modules/secp256k1/prebuilds/linux-x64/secp256k1.glibc.node'

// Packages that were written for CommonJS ask for modules of Node by `require`. Nothing else is ever found by it: what
// lies in a folder near the bundle is not part of the build.
const requireOfBuiltins = [
  "import { createRequire as createRequireOfNode, isBuiltin as isBuiltinOfNode } from 'node:module'",
  'const requireOfNode = createRequireOfNode(import.meta.url)',
  'const require = (name) => {',
  "  if (!isBuiltinOfNode(name)) throw new Error(name + ' is not part of this build')",
  '  return requireOfNode(name)',
  '}',
].join('\n')

/**
 * Bundles the gateway of the repository at `root`, for Linux x64 with glibc.
 *
 * @param entry - another program than the gateway, for tests.
 * @throws Error when a module is missing, or something would be loaded that is not in the bundle.
 */
export async function bundleGateway(root: string, entry: string = main): Promise<EnclaveBuild> {
  const estimator = await bundle(root, worker, {})
  const beside = new Map<string, Uint8Array>([
    ['estimate-worker.js', onlyOutput(estimator)],
    ['package.json', Buffer.from('{"type":"module"}\n')],
  ])
  const library = readFileSync(join(root, prebuilt))
  // The list of measured files has to be known before the bundle is written: a first run says what it loads.
  const draft = await bundle(root, entry, { plugins: [replaceModules(beside, library)] })
  if (modulesOf(draft).includes(`measured:${nativeLibrary}`)) beside.set(nativeLibrary, library)
  const result = await bundle(root, entry, { plugins: [replaceModules(beside, library)] })
  const bytes = onlyOutput(result)
  return {
    files: new Map([...beside, ['gateway.js', bytes]]),
    digest: sha256Hex(bytes),
    modules: [...new Set([...modulesOf(result), ...modulesOf(estimator)])].toSorted(),
  }
}

type Bundled = BuildResult<{ metafile: true; write: false }>

async function bundle(root: string, entry: string, more: BuildOptions): Promise<Bundled> {
  const result = await build({
    ...more,
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    conditions: ['source'],
    // Its main file holds twenty other hashes; of this one only what is used is taken.
    alias: { 'hash-wasm': 'hash-wasm/dist/index.esm.js' },
    charset: 'utf8',
    legalComments: 'inline',
    // Nothing of the machine may decide what is built.
    tsconfigRaw: {},
    define: { 'process.env.NODE_ENV': '"production"' },
    banner: { js: requireOfBuiltins },
    logLevel: 'silent',
  })
  const outside = importsOf(result.metafile).filter((name) => !isBuiltin(name))
  if (outside.length > 0) throw new Error(`not in the bundle: ${outside.join(', ')}`)
  const problems = result.warnings.map(({ text }) => text)
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return result
}

function importsOf({ outputs }: Metafile): readonly string[] {
  return Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
}

function modulesOf({ metafile }: Bundled): readonly string[] {
  return Object.keys(metafile.inputs).toSorted()
}

function onlyOutput({ outputFiles }: Bundled): Uint8Array {
  const [file, ...others] = outputFiles
  if (file === undefined || others.length > 0) throw new Error('not one file was written')
  return file.contents
}

/** Puts in what only the build knows, and takes out what would be looked for on the machine. */
function replaceModules(beside: ReadonlyMap<string, Uint8Array>, library: Uint8Array): Plugin {
  const digests = Array.from(beside, ([name, bytes]) => [name, sha256Hex(bytes)])
  return {
    name: 'measured',
    setup(esbuild) {
      const root = esbuild.initialOptions.absWorkingDir ?? '.'
      esbuild.onResolve({ filter: /\/measured-files\.ts$/ }, () => own('measured-files'))
      esbuild.onResolve({ filter: /^secp256k1\/bindings\.js$/ }, () => own(nativeLibrary))
      esbuild.onResolve({ filter: /^secp256k1\/elliptic\.js$/ }, () => own('no-portable-curve'))
      esbuild.onLoad({ filter: /.*/, namespace: 'measured' }, ({ path }) => ({
        contents: contentsOf(path, digests, library),
        resolveDir: dirname(join(root, main)),
      }))
    },
  }
}

function own(path: string): { readonly path: string; readonly namespace: string } {
  return { path, namespace: 'measured' }
}

function contentsOf(
  path: string,
  digests: readonly (readonly string[])[],
  library: Uint8Array,
): string {
  switch (path) {
    case 'measured-files':
      return `export const measuredFiles = new Map(${JSON.stringify(digests)})`
    case nativeLibrary:
      return loadMeasuredLibrary(sha256Hex(library))
    default:
      return "throw new Error('the portable curve is not part of this build')"
  }
}

function loadMeasuredLibrary(digest: string): string {
  return `
    import { hash } from 'node:crypto'
    import { readFileSync } from 'node:fs'
    import { fileURLToPath } from 'node:url'
    import wrap from 'secp256k1/lib/index.js'
    const file = fileURLToPath(new URL('./${nativeLibrary}', import.meta.url))
    if (hash('sha256', readFileSync(file), 'hex') !== '${digest}') {
      throw new Error('${nativeLibrary} is not the file that was built')
    }
    const loaded = { exports: {} }
    process.dlopen(loaded, file)
    export default wrap(new loaded.exports.Secp256k1())
  `
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
