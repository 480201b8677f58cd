import { expect, test } from 'vitest'
import { findCycles, readImportGraph, type Violation } from '../tools/rules/import-graph.ts'
import { judgeLayers } from '../tools/rules/layers.ts'
import { parseModule, readModules } from '../tools/rules/module-facts.ts'
import { countVerifierMentions, judgeOneVerifier } from '../tools/rules/one-verifier.ts'
import {
  judgeBarrels,
  judgeFileSizes,
  judgeLooseEnds,
  judgeNames,
  judgeRootEntries,
} from '../tools/rules/tree-rules.ts'
import { createSourceTree } from '../tools/source-tree.ts'

/** A small sound repository: each test plants one fault into it. */
const sound: Readonly<Record<string, string>> = {
  'packages/protocol/package.json': JSON.stringify({
    name: '@countersign/protocol',
    exports: { '.': { source: './src/index.ts' }, './*': { source: './src/*.ts' } },
  }),
  'packages/gateway/package.json': JSON.stringify({
    name: '@countersign/gateway',
    exports: { './main': { source: './src/main.ts' } },
  }),
  'packages/client/package.json': JSON.stringify({
    name: '@countersign/client',
    exports: { '.': { source: './src/index.ts' } },
  }),
  'packages/client/src/index.ts': '',
  'packages/protocol/src/errors.ts': 'export const code = 1\n',
  'packages/protocol/src/bytes/text.ts': "import { code } from '../errors.ts'\n",
  'packages/protocol/src/receipt/cose.ts': "import { sha256 } from '@noble/hashes/sha2.js'\n",
  'packages/protocol/src/attestation/quote.ts': "import { x } from '../receipt/cose.ts'\n",
  'packages/protocol/src/verify/verify.ts': "import { x } from '../receipt/cose.ts'\n",
  'packages/protocol/src/index.ts': "export { verify } from './verify/verify.ts'\n",
  'packages/gateway/src/main.ts':
    "import { verify } from '@countersign/protocol/verify/verify'\nimport { Pool } from 'undici'\n",
  'packages/gateway/test/main.test.ts': "import '../src/main.ts'\n",
  'packages/client/src/up.ts': "import.meta.resolve('@countersign/gateway/main')\n",
  'test/kit.ts': "import '../packages/gateway/src/main.ts'\n",
}

function planted(faults: Readonly<Record<string, string>>) {
  const tree = createSourceTree({ ...sound, ...faults })
  const modules = readModules(tree)
  return { tree, modules, edges: readImportGraph(tree, modules) }
}

function lines(violations: readonly Violation[]): readonly string[] {
  return violations.map(({ path, line, message }) => `${path}:${String(line)} ${message}`)
}

test('a sound tree breaks no rule', () => {
  const { tree, modules, edges } = planted({})
  expect(edges.length).toBeGreaterThan(8)
  expect(lines(judgeLayers(edges))).toEqual([])
  expect(lines(findCycles(edges))).toEqual([])
  expect(lines(judgeOneVerifier(modules))).toEqual([])
  expect(lines(judgeFileSizes(tree))).toEqual([])
  expect(lines(judgeNames(tree))).toEqual([])
  expect(lines(judgeBarrels(modules))).toEqual([])
  expect(lines(judgeLooseEnds(modules))).toEqual([])
})

const protocolFile = 'packages/protocol/src/crypto/planted.ts'
const gatewayFile = 'packages/gateway/src/planted.ts'
const clientFile = 'packages/client/src/planted.ts'

const layerFaults: readonly (readonly [string, string, string])[] = [
  ['a Node module in protocol', protocolFile, "import { readFile } from 'node:fs'"],
  ['a package of others in protocol', protocolFile, "import { parse } from 'cborg'"],
  ['another noble package in protocol', protocolFile, "import '@noble/curves/p256.js'"],
  ['the gateway in protocol', protocolFile, "import '@countersign/gateway/main'"],
  ['a higher area of protocol', protocolFile, "import { x } from '../verify/verify.ts'"],
  ['a type of a higher area', protocolFile, "import type { X } from '../receipt/cose.ts'"],
  ['the index of protocol from inside', protocolFile, "import { verify } from '../index.ts'"],
  ['an inline type import', protocolFile, "export type X = import('../verify/verify.ts').X"],
  ['a dynamic import', protocolFile, "export const x = import('../verify/verify.ts')"],
  ['a dynamic import by template', protocolFile, 'export const x = import(`node:fs`)'],
  ['a computed import', protocolFile, 'export const x = (y: string) => import(y)'],
  ['a re-export', protocolFile, "export * from '../verify/verify.ts'"],
  ['a re-export by name', protocolFile, "export { x } from '../verify/verify.ts'"],
  ['a require', gatewayFile, "require('@countersign/client')"],
  ['an import equals', gatewayFile, "import x = require('../../client/src/up.ts')"],
  ['a created require', gatewayFile, "createRequire(import.meta.url)('../../client/src/up.ts')"],
  ['the sources of another package', gatewayFile, "import '../../client/src/up.ts'"],
  ['protocol by a relative path', gatewayFile, "import '../../protocol/src/errors.ts'"],
  ['a file of the tests', gatewayFile, "import '../../../test/kit.ts'"],
  ['a file of its own tests', gatewayFile, "import '../test/main.test.ts'"],
  [
    'a worker of another package',
    gatewayFile,
    "new URL('../../client/src/up.ts', import.meta.url)",
  ],
  ['the gateway in the client', clientFile, "import '@countersign/gateway/main'"],
  [
    'a resolved file that is no entry',
    clientFile,
    "import.meta.resolve('../../gateway/src/main.ts')",
  ],
  ['a path that leads nowhere', gatewayFile, "import './absent.ts'"],
  ['a subpath that is not exported', clientFile, "import '@countersign/gateway/absent'"],
  ['an import without its ending', gatewayFile, "import './main'"],
  ['a Node module without its prefix', gatewayFile, "import 'fs'"],
  ['a folder that has no layer', 'packages/unheard/src/a.ts', "import 'undici'"],
  ['a package of ours that is no workspace', gatewayFile, "import '@countersign/unheard'"],
  ['an area that has no layer', 'packages/protocol/src/unheard/a.ts', "import '../errors.ts'"],
]

test.for(layerFaults)('the layers refuse %s', ([, path, text]) => {
  const { edges } = planted({ [path]: `\n${text}\n` })
  expect(
    judgeLayers(edges).map((violation) => `${violation.path}:${String(violation.line)}`),
  ).toEqual([`${path}:2`])
})

test('a cycle is found, also through types, and named once', () => {
  const { edges } = planted({
    'packages/gateway/src/a.ts': "import type { B } from './b.ts'\n",
    'packages/gateway/src/b.ts': "import './c.ts'\n",
    'packages/gateway/src/c.ts': "export type A = import('./a.ts').A\n",
    'packages/gateway/src/outside.ts': "import './a.ts'\n",
    'packages/gateway/src/self.ts': "import './self.ts'\n",
  })
  const cycles = lines(findCycles(edges))
  expect(cycles).toHaveLength(2)
  expect(cycles.join('\n')).toContain(
    'src/a.ts ↔ packages/gateway/src/b.ts ↔ packages/gateway/src/c.ts',
  )
  expect(cycles.join('\n')).not.toContain('outside')
})

test('a cycle between packages is found', () => {
  const { edges } = planted({
    'packages/protocol/src/errors.ts': "import '@countersign/gateway/main'\n",
    'packages/gateway/src/main.ts': "import '@countersign/protocol/errors'\n",
  })
  expect(lines(findCycles(edges))).toHaveLength(1)
})

test.for([
  "import { verify } from 'node:crypto'",
  "import { createVerify as check } from 'node:crypto'",
  "import * as anything from 'node:crypto'",
  "import anything from 'node:crypto'",
  "const { verify } = await import('node:crypto')",
  "const { verify } = require('node:crypto')",
  "export { verify } from 'node:crypto'",
  'await crypto.subtle.verify(a, b, c, d)',
  "await globalThis.crypto.subtle['verify'](a, b, c, d)",
  'await webcrypto.subtle?.verify(a, b, c, d)',
  'const check = crypto.subtle.verify',
  'const { verify } = crypto.subtle',
  'p256.verify(a, b, c)',
  "import { judgeEs256 } from '@countersign/protocol/crypto/es256'",
  "export { judgeCoseSignature } from '@countersign/protocol/receipt/cose'",
  'cose.judgeCoseSignature(a)',
])('a second verifier is found: %s', (text) => {
  for (const path of [gatewayFile, clientFile, 'packages/protocol/src/receipt/planted.ts']) {
    const found = judgeOneVerifier([parseModule(path, `\n${text}\n`)])
    expect(found.length, path).toBeGreaterThan(0)
    expect(found[0]?.line).toBe(2)
  }
  expect(judgeOneVerifier([parseModule('test/kit.ts', `${text}\n`)])).toEqual([])
})

test('the verifier itself may judge, and is seen to', () => {
  const text = 'await crypto.subtle.verify(a, b, c, d)\n'
  const modules = [parseModule('packages/protocol/src/crypto/es256.ts', text)]
  expect(judgeOneVerifier(modules)).toEqual([])
  expect(countVerifierMentions(modules)).toBeGreaterThan(0)
  expect(countVerifierMentions([parseModule(gatewayFile, text)])).toBe(0)
})

test('other things that are called verify are left alone', () => {
  const text = "import { verify } from '@countersign/protocol'\nawait facilitator.verify(payload)\n"
  expect(judgeOneVerifier([parseModule(gatewayFile, text)])).toEqual([])
})

test('a source of one line too many is found, a generated one is not', () => {
  const { tree } = planted({
    'packages/gateway/src/long.ts': '\n'.repeat(401),
    'packages/gateway/src/fits.ts': '\n'.repeat(400),
    'packages/contracts/src/generated/abi.ts': '\n'.repeat(401),
    'packages/contracts/src/solidity/Token.sol': '\n'.repeat(401),
    'vectors/verify.py': '\n'.repeat(400),
    'vectors/other.py': '\n'.repeat(401),
  })
  expect(judgeFileSizes(tree).map(({ path }) => path)).toEqual([
    'packages/contracts/src/solidity/Token.sol',
    'packages/gateway/src/long.ts',
    'vectors/other.py',
  ])
})

test('a seventeenth entry in the root is refused', () => {
  const entries = Array.from({ length: 14 }, (_, index): [string, string] => [
    `file-${String(index)}.md`,
    '',
  ])
  expect(judgeRootEntries(createSourceTree({ ...sound, ...Object.fromEntries(entries) }))).toEqual(
    [],
  )
  const tooMany = createSourceTree({ ...sound, ...Object.fromEntries(entries), '.extra': '' })
  expect(tooMany.rootEntries).toHaveLength(17)
  expect(judgeRootEntries(tooMany)).toHaveLength(1)
})

test.for([
  'packages/gateway/src/utils.ts',
  'packages/gateway/src/common.test.ts',
  'test/misc.ts',
  'packages/gateway/src/handleCall.ts',
  'packages/gateway/src/HandleCall.ts',
  'packages/gateway/src/handle_call.ts',
  'packages/gateway/src/httpFront/server.ts',
  'packages/contracts/src/Solidity/Token.sol',
])('the name %s is refused', (path) => {
  expect(judgeNames(createSourceTree({ ...sound, [path]: '' })).map((found) => found.path)).toEqual(
    [path],
  )
})

test('a Solidity file is called like its contract', () => {
  const tree = createSourceTree({ ...sound, 'packages/contracts/src/solidity/TestUSDC.sol': '' })
  expect(judgeNames(tree)).toEqual([])
})

test.for([
  "export * from './other.ts'",
  "export { a } from './other.ts'",
  "export type { A } from './other.ts'",
  "import { a } from './other.ts'\nexport { a }",
  "export { a as b }\nimport { a } from './other.ts'",
])('a barrel is found: %s', (text) => {
  expect(judgeBarrels([parseModule(gatewayFile, text)])).toHaveLength(1)
  expect(judgeBarrels([parseModule('packages/gateway/src/call/index.ts', text)])).toHaveLength(1)
  expect(judgeBarrels([parseModule('packages/gateway/src/index.ts', text)])).toEqual([])
})

test.for([
  'export const a: any = 1',
  'export type A = Map<string, any>',
  '// @ts-expect-error: it is fine',
  '// TODO later',
  '/* FIXME */',
  '// oxlint-disable-next-line no-eval',
  '/* v8 ignore next */',
])('a loose end is found: %s', (text) => {
  expect(judgeLooseEnds([parseModule(gatewayFile, `${text}\n`)])).toHaveLength(1)
  expect(judgeLooseEnds([parseModule('test/kit.ts', `${text}\n`)])).toEqual([])
})

test('a file that does not parse, or no file at all, is an error and no pass', () => {
  expect(() => parseModule(gatewayFile, 'export const = 1')).toThrow('does not parse')
  expect(() => readModules(createSourceTree({ 'README.md': '' }))).toThrow('no TypeScript file')
})
