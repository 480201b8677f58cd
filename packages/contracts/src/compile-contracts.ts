/** Development time only: compiles everything in `src/solidity` with the npm `solc` package. */

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One contract as compiled. Code is lower-case hex without 0x; immutables in it are zero. */
export type Artifact = {
  readonly abi: unknown
  readonly creationCode: string
  readonly runtimeCode: string
  /** Byte offsets of each immutable in the run-time code; each stands for one word of 32 bytes. */
  readonly immutables: ReadonlyMap<string, readonly number[]>
}

const require = createRequire(import.meta.url)
const sourceFolder = fileURLToPath(new URL('solidity', import.meta.url))
const openZeppelin = '@openzeppelin/contracts/'
const openZeppelinFolder = dirname(require.resolve('@openzeppelin/contracts/package.json'))
const solcFolder = dirname(require.resolve('solc/package.json'))

/** `foundry.toml` says the same, so that what forge tests is what ships. */
const SETTINGS = {
  evmVersion: 'osaka',
  optimizer: { enabled: true, runs: 10_000 },
  // No metadata hash at the end of the code: the same source gives the same bytes everywhere.
  metadata: { bytecodeHash: 'none', appendCBOR: false },
}

/** OpenZeppelin's reentrancy guard clears what it sets, as the advice asks. */
const TRANSIENT_STORAGE_ADVICE = '2394'

const OUTPUTS = [
  'abi',
  'evm.bytecode.object',
  'evm.deployedBytecode.object',
  'evm.deployedBytecode.immutableReferences',
]

/**
 * Compiles and returns a function that finds a contract by its file (relative to `src/solidity`) and its name. What a
 * compilation gave is kept in `node_modules/.cache` under the hash of everything that went into it.
 *
 * @throws Error with the compiler's own messages on any error or warning.
 */
export function compileContracts(): (source: string, name: string) => Artifact {
  const output = compileOnce(JSON.stringify(createInput()))
  const names = nameImmutables(field(output, 'sources'))
  return (source, name) =>
    toArtifact(field(field(field(output, 'contracts'), source), name), names, name)
}

function createInput(): unknown {
  const paths = readdirSync(sourceFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.sol'))
    .toSorted()
  const sources: Record<string, unknown> = {}
  const outputSelection: Record<string, unknown> = {}
  for (const path of paths) {
    sources[path] = { content: readFileSync(join(sourceFolder, path), 'utf8') }
    outputSelection[path] = { '*': OUTPUTS, '': ['ast'] }
  }
  return { language: 'Solidity', sources, settings: { ...SETTINGS, outputSelection } }
}

/** The compiler takes seven seconds, so it runs when an input, the compiler or OpenZeppelin has changed. */
function compileOnce(input: string): unknown {
  const inputs = [input, readVersion(solcFolder), readVersion(openZeppelinFolder)]
  const hash = createHash('sha256').update(JSON.stringify(inputs)).digest('hex')
  const folder = join(solcFolder, '../.cache/solc')
  const kept = join(folder, `${hash}.json`)
  try {
    return parseJson(readFileSync(kept, 'utf8'))
  } catch {
    // Not compiled before, or not written whole.
  }
  const output = loadCompiler()(input)
  const messages = complaints(parseJson(output))
  if (messages.length > 0) {
    throw new Error(`Solidity does not compile cleanly:\n${messages.join('\n')}`)
  }
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${kept}.${String(process.pid)}`, output)
  renameSync(`${kept}.${String(process.pid)}`, kept)
  return parseJson(output)
}

function readVersion(packageFolder: string): unknown {
  return field(parseJson(readFileSync(join(packageFolder, 'package.json'), 'utf8')), 'version')
}

/** What the compiler says against us: all of it, except its advice on every use of transient storage. */
function complaints(output: unknown): readonly string[] {
  const problems = isRecord(output) ? (output['errors'] ?? []) : []
  if (!Array.isArray(problems)) throw new Error('solc output has odd errors')
  return problems
    .filter((problem) => field(problem, 'errorCode') !== TRANSIENT_STORAGE_ADVICE)
    .map((problem) => String(field(problem, 'formattedMessage')))
}

function toArtifact(
  compiled: unknown,
  immutableNames: ReadonlyMap<string, string>,
  name: string,
): Artifact {
  const evm = field(compiled, 'evm')
  const deployed = field(evm, 'deployedBytecode')
  const immutables = new Map<string, readonly number[]>()
  for (const [id, places] of Object.entries(recordOf(field(deployed, 'immutableReferences')))) {
    const immutable = immutableNames.get(id)
    if (immutable === undefined || !Array.isArray(places)) {
      throw new Error(`${name}: immutable ${id} has no name`)
    }
    immutables.set(
      immutable,
      places.map((place) => Number(field(place, 'start'))),
    )
  }
  return {
    abi: field(compiled, 'abi'),
    creationCode: hexOf(field(field(evm, 'bytecode'), 'object')),
    runtimeCode: hexOf(field(deployed, 'object')),
    immutables,
  }
}

/** The compiler numbers immutables by their declaration in the syntax tree: number → name. */
function nameImmutables(sources: unknown): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const child of node) visit(child)
    } else if (isRecord(node)) {
      if (node['nodeType'] === 'VariableDeclaration' && node['mutability'] === 'immutable') {
        names.set(String(node['id']), String(node['name']))
      }
      visit(node['nodes'])
    }
  }
  for (const source of Object.values(recordOf(sources))) visit(isRecord(source) ? source['ast'] : 0)
  return names
}

/** `solc` is CommonJS with a wasm of several MB, so it is loaded only when something has to be compiled. */
function loadCompiler(): (input: string) => string {
  const loaded: unknown = require('solc')
  const compile = field(loaded, 'compile')
  if (typeof compile !== 'function') throw new Error('solc has no compile function')
  return (input) => String(Reflect.apply(compile, loaded, [input, { import: readImport }]))
}

function readImport(path: string): { contents: string } | { error: string } {
  if (!path.startsWith(openZeppelin)) return { error: `no source ${path}` }
  const file = join(openZeppelinFolder, path.slice(openZeppelin.length))
  return { contents: readFileSync(file, 'utf8') }
}

function hexOf(value: unknown): string {
  if (typeof value !== 'string' || !/^([0-9a-f]{2})+$/.test(value)) {
    throw new Error('solc returned no bytecode')
  }
  return value
}

function parseJson(text: string): unknown {
  return JSON.parse(text)
}

function recordOf(value: unknown): Record<string, unknown> {
  if (!isRecord(value)) throw new Error('solc output lacks an object')
  return value
}

function field(value: unknown, key: string): unknown {
  if (!isRecord(value) || !Object.hasOwn(value, key)) throw new Error(`solc output lacks ${key}`)
  return value[key]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
