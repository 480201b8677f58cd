/**
 * Development time only: compiles `src/solidity` with the npm `solc` package and renders the typed ABI and
 * bytecode modules of `src/generated`. Run time never compiles anything.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const CONTRACTS = [
  { source: 'TestUSDC.sol', name: 'TestUSDC', constant: 'testUsdc', output: 'test-usdc.ts' },
] as const

const SETTINGS = {
  evmVersion: 'osaka',
  optimizer: { enabled: true, runs: 10_000 },
  // No metadata hash at the end of the code: the same source gives the same bytes everywhere.
  metadata: { bytecodeHash: 'none', appendCBOR: false },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode'] } },
}

/**
 * Compiles every contract and returns the generated modules, keyed by their path relative to the package root
 * (`src/generated/test-usdc.ts`). Deterministic: the same sources and the same `solc` give the same text.
 *
 * @throws Error with the compiler's own messages on any error or warning.
 */
export function generateContracts(): Map<string, string> {
  const sources = CONTRACTS.map((contract) => contract.source)
  const output = compile(sources)
  const files = new Map<string, string>()
  for (const contract of CONTRACTS) {
    const artifact = field(field(field(output, 'contracts'), contract.source), contract.name)
    files.set(
      `src/generated/${contract.output}`,
      render(contract.source, contract.constant, artifact),
    )
  }
  return files
}

function compile(sources: readonly string[]): unknown {
  const contents = sources.map((source): [string, { content: string }] => [
    source,
    { content: readFileSync(new URL(`solidity/${source}`, import.meta.url), 'utf8') },
  ])
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(contents),
    settings: SETTINGS,
  }
  const output = parseJson(loadCompiler()(JSON.stringify(input)))
  const problems = isRecord(output) ? output['errors'] : undefined
  if (Array.isArray(problems) && problems.length > 0) {
    const messages = problems.map((problem) => String(field(problem, 'formattedMessage')))
    throw new Error(`Solidity does not compile cleanly:\n${messages.join('\n')}`)
  }
  return output
}

/** `solc` is CommonJS with a wasm of several MB, so it is loaded only when somebody generates. */
function loadCompiler(): (input: string) => string {
  const require = createRequire(import.meta.url)
  const loaded: unknown = require('solc')
  const compileFunction = field(loaded, 'compile')
  if (typeof compileFunction !== 'function') throw new Error('solc has no compile function')
  return (input) => String(Reflect.apply(compileFunction, loaded, [input]))
}

function render(source: string, constant: string, artifact: unknown): string {
  const abi = field(artifact, 'abi')
  const evm = field(artifact, 'evm')
  const creation = hexOf(field(field(evm, 'bytecode'), 'object'))
  const deployed = field(evm, 'deployedBytecode')
  const runtime = hexOf(field(deployed, 'object'))
  const immutables = field(deployed, 'immutableReferences')
  if (isRecord(immutables) && Object.keys(immutables).length > 0) {
    throw new Error(
      `${source} has immutables: its run-time code cannot be placed in a genesis file`,
    )
  }
  return [
    `// Generated from src/solidity/${source}. Do not edit: run \`npm run generate\`.`,
    '',
    `/** The ABI of \`${source}\`. */`,
    `export const ${constant}Abi = ${literal(abi, 0)} as const`,
    '',
    '/** Creation code: what a deployment transaction carries. */',
    `export const ${constant}CreationCode =\n  '${creation}' as const`,
    '',
    '/** Run-time code: what a genesis file places at an address. It has no immutables. */',
    `export const ${constant}RuntimeCode =\n  '${runtime}' as const`,
    '',
  ].join('\n')
}

/** A TypeScript literal in the repository's format, so that the formatter leaves the file alone. */
function literal(value: unknown, depth: number): string {
  if (typeof value === 'string') return `'${value}'`
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return `[\n${value.map((item) => `${indent(depth + 1)}${literal(item, depth + 1)},\n`).join('')}${indent(depth)}]`
  }
  if (isRecord(value)) {
    const keys = Object.keys(value).toSorted()
    return `{\n${keys.map((key) => `${indent(depth + 1)}${key}: ${literal(value[key], depth + 1)},\n`).join('')}${indent(depth)}}`
  }
  return String(value)
}

function indent(depth: number): string {
  return '  '.repeat(depth)
}

function hexOf(value: unknown): string {
  if (typeof value !== 'string' || !/^([0-9a-f]{2})+$/.test(value)) {
    throw new Error('solc returned no bytecode')
  }
  return `0x${value}`
}

function parseJson(text: string): unknown {
  return JSON.parse(text)
}

function field(value: unknown, key: string): unknown {
  if (!isRecord(value) || !Object.hasOwn(value, key)) throw new Error(`solc output lacks ${key}`)
  return value[key]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
