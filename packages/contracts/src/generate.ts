/**
 * Development time only: renders the typed ABI and bytecode modules of `src/generated`. Run time never compiles
 * anything.
 */

import { readFileSync } from 'node:fs'
import { baseSepoliaX402 } from './addresses.ts'
import { compileContracts } from './compile-contracts.ts'
import type { Artifact } from './compile-contracts.ts'
import { createPermit2RuntimeCode, fillWords, permit2Salt } from './permit2-code.ts'

type Contract = {
  readonly source: string
  readonly name: string
  readonly constant: string
  readonly output: string
  /** The immutables of a contract that the genesis places; absent for one that only transactions deploy. */
  readonly genesis?: Readonly<Record<string, `0x${string}`>>
}

const { permit2: PERMIT2, batchSettlement: x402BatchSettlement } = baseSepoliaX402

const CONTRACTS: readonly Contract[] = [
  {
    source: 'TestUSDC.sol',
    name: 'TestUSDC',
    constant: 'testUsdc',
    output: 'test-usdc',
    genesis: {},
  },
  { source: 'MoodyUSDC.sol', name: 'MoodyUSDC', constant: 'moodyUsdc', output: 'moody-usdc' },
  x402('x402BatchSettlement', 'batchSettlement', 'batch-settlement', {}),
  x402('x402ExactPermit2Proxy', 'exactPermit2Proxy', 'exact-permit2-proxy', { PERMIT2 }),
  x402('x402UptoPermit2Proxy', 'uptoPermit2Proxy', 'upto-permit2-proxy', { PERMIT2 }),
  x402('ERC3009DepositCollector', 'erc3009DepositCollector', 'erc3009-deposit-collector', {
    x402BatchSettlement,
  }),
  x402('Permit2DepositCollector', 'permit2DepositCollector', 'permit2-deposit-collector', {
    x402BatchSettlement,
    PERMIT2,
  }),
  x402('Multicall3', 'multicall3', 'multicall3', {}),
  operator('KeyRegistry', 'keyRegistry', 'key-registry'),
  operator('RegistryTimelock', 'registryTimelock', 'registry-timelock'),
  operator('ChannelAuthorizer', 'channelAuthorizer', 'channel-authorizer'),
  operator('GatewayPayee', 'gatewayPayee', 'gateway-payee'),
  operator('UptoSettler', 'uptoSettler', 'upto-settler'),
]

/**
 * Compiles every contract and returns the generated modules, keyed by their path relative to the package root
 * (`src/generated/test-usdc.ts`). Deterministic: the same sources and the same `solc` give the same text.
 *
 * @throws Error with the compiler's own messages on any error or warning.
 */
export function generateContracts(): Map<string, string> {
  const find = compileContracts()
  const files = new Map<string, string>()
  for (const contract of CONTRACTS) {
    const path = `src/generated/${contract.output}.ts`
    files.set(path, renderContract(contract, find(contract.source, contract.name)))
  }
  files.set('src/generated/permit2.ts', renderPermit2())
  return files
}

function x402(
  name: string,
  constant: string,
  output: string,
  genesis: Readonly<Record<string, `0x${string}`>>,
): Contract {
  return { source: `x402/${name}.sol`, name, constant, output, genesis }
}

function operator(name: string, constant: string, output: string): Contract {
  return { source: `operator/${name}.sol`, name, constant, output }
}

function renderContract(contract: Contract, artifact: Artifact): string {
  const { source, constant, genesis } = contract
  const lines = renderAbi(`src/solidity/${source}`, source, constant, artifact.abi)
  lines.push(
    '/** Creation code: what a deployment transaction carries, followed by its arguments. */',
    `export const ${constant}CreationCode =\n  '0x${artifact.creationCode}' as const`,
    '',
  )
  if (genesis !== undefined) {
    lines.push(
      genesisComment(genesis),
      `export const ${constant}RuntimeCode =\n  '0x${fillImmutables(artifact, genesis)}' as const`,
      '',
    )
  }
  return lines.join('\n')
}

function renderPermit2(): string {
  const creationCode = readPermit2('permit2.creation.hex').trim()
  const { chainId } = baseSepoliaX402
  const runtimeCode = createPermit2RuntimeCode(creationCode, chainId, PERMIT2)
  const abi: unknown = JSON.parse(readPermit2('permit2.abi.json'))
  return [
    ...renderAbi('src/solidity/permit2', 'Permit2', 'permit2', abi),
    '/** Salt and creation code, which the CREATE2 factory puts at the canonical address. */',
    `export const permit2Deployment =\n  '${permit2Salt}${creationCode}' as const`,
    '',
    `/** Run-time code: what a genesis file places at ${PERMIT2}. Its cached domain is that of chain ${String(chainId)}. */`,
    `export const permit2RuntimeCode =\n  '0x${runtimeCode}' as const`,
    '',
  ].join('\n')
}

function readPermit2(name: string): string {
  return readFileSync(new URL(`solidity/permit2/${name}`, import.meta.url), 'utf8')
}

function renderAbi(origin: string, title: string, constant: string, abi: unknown): string[] {
  return [
    `// Generated from ${origin}. Do not edit: run \`npm run generate\`.`,
    '',
    `/** The ABI of \`${title}\`. */`,
    `export const ${constant}Abi = ${literal(abi, 0)} as const`,
    '',
  ]
}

function genesisComment(genesis: Readonly<Record<string, `0x${string}`>>): string {
  const values = Object.entries(genesis).map(([name, value]) => `${name} = ${value}`)
  const end = values.length === 0 ? 'It has no immutables.' : `Immutables: ${values.join(', ')}.`
  return `/** Run-time code: what a genesis file places at an address. ${end} */`
}

/** @throws Error when the values are not exactly those of the contract's immutables. */
function fillImmutables(
  artifact: Artifact,
  values: Readonly<Record<string, `0x${string}`>>,
): string {
  const expected = [...artifact.immutables.keys()].toSorted()
  if (expected.join() !== Object.keys(values).toSorted().join()) {
    throw new Error(`the immutables are ${expected.join(', ')}`)
  }
  const words = new Map<number, string>()
  for (const [name, offsets] of artifact.immutables) {
    const word = (values[name] ?? '').slice(2).toLowerCase().padStart(64, '0')
    for (const offset of offsets) words.set(offset, word)
  }
  return fillWords(artifact.runtimeCode, words)
}

/** A TypeScript literal in the repository's format, so that the formatter leaves the file alone. */
function literal(value: unknown, depth: number): string {
  if (typeof value === 'string') return `'${value}'`
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return `[\n${value.map((item) => `${indent(depth + 1)}${literal(item, depth + 1)},\n`).join('')}${indent(depth)}]`
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
    return `{\n${entries.map(([key, item]) => `${indent(depth + 1)}${key}: ${literal(item, depth + 1)},\n`).join('')}${indent(depth)}}`
  }
  return String(value)
}

function indent(depth: number): string {
  return '  '.repeat(depth)
}
