/** Development time only: compiles everything in `src/solidity` with the npm `solc` package. */

import { readdirSync, readFileSync } from 'node:fs'
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
 * Compiles and returns a function that finds a contract by its file (relative to `src/solidity`) and its name.
 *
 * @throws Error with the compiler's own messages on any error or warning.
 */
export function compileContracts(): (source: string, name: string) => Artifact {
  const sources = readdirSync(sourceFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.sol'))
    .toSorted()
  const selection = sources.map((path) => [path, { '*': OUTPUTS, '': ['ast'] }])
  const contents = sources.map((path) => [path, { content: readSource(path) }])
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(contents),
    settings: { ...SETTINGS, outputSelection: Object.fromEntries(selection) },
  }
  const output = parseJson(loadCompiler()(JSON.stringify(input)))
  const messages = complaints(output)
  if (messages.length > 0) {
    throw new Error(`Solidity does not compile cleanly:\n${messages.join('\n')}`)
  }
  const names = nameImmutables(field(output, 'sources'))
  return (source, name) =>
    toArtifact(field(field(field(output, 'contracts'), source), name), names, name)
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

/** `solc` is CommonJS with a wasm of several MB, so it is loaded only when somebody generates. */
function loadCompiler(): (input: string) => string {
  const loaded: unknown = require('solc')
  const compile = field(loaded, 'compile')
  if (typeof compile !== 'function') throw new Error('solc has no compile function')
  return (input) => String(Reflect.apply(compile, loaded, [input, { import: readImport }]))
}

function readImport(path: string): { contents: string } | { error: string } {
  if (!path.startsWith(openZeppelin)) return { error: `no source ${path}` }
  const folder = dirname(require.resolve(`${openZeppelin}package.json`))
  return { contents: readFileSync(join(folder, path.slice(openZeppelin.length)), 'utf8') }
}

function readSource(path: string): string {
  return readFileSync(join(sourceFolder, path), 'utf8')
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
