/** Who may import whom. The tables are the architecture; the functions only read them. */
import type { ImportEdge, Violation } from './import-graph.ts'

/** Packages whose sources a package's sources may import. Tests, tools and benchmarks may import all. */
const packageMayImport: ReadonlyMap<string, readonly string[]> = new Map([
  ['protocol', []],
  ['contracts', []],
  ['gateway', ['protocol', 'contracts']],
  ['client', ['protocol', 'contracts']],
  ['nodes', ['protocol', 'contracts']],
  ['explorer', ['protocol', 'contracts']],
])

/** Entry points that a package may find with `import.meta.resolve`, to start them as processes of their own. */
const mayStart: ReadonlyMap<string, readonly string[]> = new Map([
  [
    'client',
    ['@countersign/gateway/main', '@countersign/gateway/replay', '@countersign/contracts/chain'],
  ],
])

/** Packages of others that `protocol` may import; Node's own modules are none of them. */
const protocolMayImportPackages: ReadonlySet<string> = new Set(['@noble/hashes'])

const middleAreas = [
  'payment',
  'receipt',
  'log',
  'attestation',
  'zk',
  'settlement',
  'sealed',
] as const
const lowAreas = ['errors.ts', 'bytes', 'crypto'] as const

/** Inside `protocol/src`: bytes ← crypto ← {payment, receipt, log, attestation, zk, settlement} ← verify. */
const areaMayImport: ReadonlyMap<string, readonly string[]> = new Map([
  ['errors.ts', []],
  ['platform.d.ts', []],
  ['bytes', ['errors.ts']],
  ['crypto', ['errors.ts', 'bytes']],
  ...middleAreas.map((area): [string, readonly string[]] => [area, lowAreas]),
  ['verify', [...lowAreas, ...middleAreas]],
  ['index.ts', [...lowAreas, ...middleAreas, 'verify']],
])

/** Single files that a middle area of `protocol` may take from a sibling. */
const areaMayImportFile: ReadonlyMap<string, readonly string[]> = new Map([
  // A simulated quote is a COSE_Sign1 message like a statement.
  ['attestation', ['receipt/cose.ts']],
])

/** Every import that the tables do not allow. */
export function judgeLayers(edges: readonly ImportEdge[]): readonly Violation[] {
  return edges.flatMap((edge) => {
    const message = judgeEdge(edge)
    return message === undefined ? [] : [{ path: edge.from, line: edge.line, message }]
  })
}

/** Imports seen per package, `test` for everything outside a package's sources. */
export function countImports(edges: readonly ImportEdge[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { from } of edges) {
    const zone = zoneOf(from) ?? 'unknown'
    counts.set(zone, (counts.get(zone) ?? 0) + 1)
  }
  return counts
}

function judgeEdge(edge: ImportEdge): string | undefined {
  const zone = zoneOf(edge.from)
  if (zone === undefined) return 'stands in no layer: name its folder in layers.ts'
  const { target } = edge
  const specifier = edge.specifier ?? ''
  if (target.kind === 'missing') return target.reason
  if (target.kind === 'builtin' && !target.name.startsWith('node:')) {
    return `${specifier} must be written node:${specifier}`
  }
  if (target.kind === 'file' && target.workspace === undefined && !/\.(ts|json)$/.test(specifier)) {
    return `${specifier} must end in .ts`
  }
  if (zone === 'test') return undefined
  if (target.kind === 'computed') return 'imports what only run time knows'
  if (target.kind === 'file') return judgeFile(edge, zone, target.path)
  if (zone === 'protocol' && !protocolMayImportPackages.has(target.name)) {
    return `protocol must not import ${specifier}`
  }
  return undefined
}

function judgeFile(edge: ImportEdge, zone: string, path: string): string | undefined {
  const specifier = edge.specifier ?? ''
  const targetZone = zoneOf(path)
  if (targetZone === zone) {
    return zone === 'protocol' ? judgeAreas(edge.from, path, specifier) : undefined
  }
  if (targetZone === undefined || targetZone === 'test')
    return `${zone} must not import ${specifier}`
  if (edge.kind === 'resolve' && mayStart.get(zone)?.includes(specifier) === true) return undefined
  if (packageMayImport.get(zone)?.includes(targetZone) !== true) {
    return `${zone} must not import ${targetZone} (${specifier})`
  }
  return specifier.startsWith('.')
    ? `${zone} must import ${targetZone} by its package name, not ${specifier}`
    : undefined
}

function judgeAreas(from: string, to: string, specifier: string): string | undefined {
  const area = areaOf(from)
  const targetArea = areaOf(to)
  const allowed = areaMayImport.get(area)
  if (allowed === undefined) return `${area} is no area of protocol: name it in layers.ts`
  if (area === targetArea || allowed.includes(targetArea)) return undefined
  const file = to.slice('packages/protocol/src/'.length)
  if (areaMayImportFile.get(area)?.includes(file) === true) return undefined
  return `protocol/${area} must not import ${specifier}`
}

/** The package whose source `path` is, `test` for what only development runs, undefined for anything else. */
function zoneOf(path: string): string | undefined {
  const [top, name, folder] = path.split('/')
  if (top === 'test' || top === 'bench') return 'test'
  if (top !== 'packages' || name === undefined) return undefined
  if (folder === 'test') return 'test'
  if (!packageMayImport.has(name)) return undefined
  return folder === 'src' || folder === 'package.json' ? name : undefined
}

/** `receipt` for `packages/protocol/src/receipt/cose.ts`, `errors.ts` for a file of `src` itself. */
function areaOf(path: string): string {
  return path.split('/')[3] ?? ''
}
