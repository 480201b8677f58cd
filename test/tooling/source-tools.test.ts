import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { checkFormat, checkLint, checkTypes, checkUnused } from '../tools/check/source-tools.ts'
import { readScript } from '../tools/check/tool.ts'
import { readSourceTree, repositoryRoot } from '../tools/source-tree.ts'

/** These start whole tools beside other tests. */
vi.setConfig({ testTimeout: 600_000 })

/** Configuration of all packages, sources of one: enough for every tool to work as it does on the whole. */
const copied =
  /^(package\.json|\.gitignore|(.+\/)?(package|tsconfig(\.base)?)\.json|packages\/protocol\/src\/.+|test\/config\/.+)$/

/** A part of this repository with faults planted in it; what is installed is shared. */
function plant(faults: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'planted-'))
  onTestFinished(() => {
    rmSync(root, { recursive: true })
  })
  const tree = readSourceTree(repositoryRoot)
  for (const path of tree.files) {
    if (!copied.test(path)) continue
    cpSync(join(repositoryRoot, path), join(root, path))
  }
  symlinkSync(join(repositoryRoot, 'node_modules'), join(root, 'node_modules'))
  for (const name of ['protocol', 'contracts', 'gateway', 'client']) {
    const installed = join('packages', name, 'node_modules')
    symlinkSync(join(repositoryRoot, installed), join(root, installed))
  }
  for (const [path, text] of Object.entries(faults)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

/** Lets the script `name` look only at the folder `sound`. */
function narrow(root: string, name: string): void {
  const path = join(root, 'package.json')
  const script = readScript(root, name).join(' ')
  const narrowed = script.replace(' packages test bench', ' sound')
  expect(narrowed).not.toBe(script)
  writeFileSync(path, readFileSync(path, 'utf8').replace(script, narrowed))
}

function refusalOf(check: () => string): string {
  try {
    return `passed: ${check()}`
  } catch (error) {
    return String(error)
  }
}

test('the type check finds faults in sources, tests and benchmarks', () => {
  const root = plant({
    'packages/protocol/src/planted.ts': 'export const a: unknown = [Buffer, process]\n',
    'packages/gateway/src/planted.ts': "export const a: string = ['x'][0]\n",
    'packages/gateway/test/planted.ts': 'export const a: number = "x"\n',
    'test/planted.ts':
      "import { sha256 } from '@countersign/protocol/crypto/sha256'\nexport const a: number = sha256(new Uint8Array())\n",
    'bench/planted.ts': 'export enum Colour {\n  red,\n}\n',
  })
  const refusal = refusalOf(() => checkTypes(root))
  for (const path of [
    'packages/protocol/src',
    'packages/gateway/src',
    'packages/gateway/test',
    'test',
    'bench',
  ]) {
    expect(refusal).toMatch(new RegExp(`^${path}/planted\\.ts\\(\\d+,\\d+\\): error TS\\d+`, 'm'))
  }
})

test('the type check, the linter and the formatter refuse to look at a part only', () => {
  const root = plant({
    'sound/src/sound.ts': 'export const a = 1\n',
    'sound/tsconfig.json': '{ "extends": "../packages/tsconfig.base.json" }\n',
  })
  for (const name of ['types', 'lint', 'format:check']) narrow(root, name)
  expect(refusalOf(() => checkTypes(root))).toMatch(/in no TypeScript project:\n.+\.ts/)
  expect(refusalOf(() => checkLint(root))).toMatch(/looked at \d+ files of \d+/)
  expect(refusalOf(() => checkFormat(root))).toMatch(/looked at \d+ files of \d+/)
})

const lintFaults: readonly (readonly [string, string, string])[] = [
  [
    'no-floating-promises',
    'test/planted-floating.ts',
    'export function f(): void {\n  Promise.resolve()\n}\n',
  ],
  [
    'switch-exhaustiveness-check',
    'packages/gateway/src/planted-switch.ts',
    "export function f(x: 'a' | 'b'): void {\n  switch (x) {\n    case 'a':\n      break\n  }\n}\n",
  ],
  ['no-explicit-any', 'packages/gateway/src/planted-any.ts', 'export const a: any = 1\n'],
  ['no-non-null-assertion', 'test/planted-bang.ts', 'export const a = [1][0]!\n'],
  [
    'no-unsafe-type-assertion',
    'packages/client/src/planted-cast.ts',
    'export const f = (x: unknown) => x as string\n',
  ],
  [
    'no-unsafe-return',
    'packages/client/src/planted-unsafe.ts',
    "export const f = (): string => JSON.parse('1')\n",
  ],
  ['no-default-export', 'packages/gateway/src/planted-default.ts', 'export default 1\n'],
  [
    'no-cycle',
    'packages/gateway/src/planted-cycle.ts',
    "import { b } from './planted-cycle-b.ts'\nexport const a = () => b\n",
  ],
  ['ban-ts-comment', 'test/planted-ignore.ts', '// @ts-ignore\nexport const a: string = 1\n'],
  [
    'no-restricted-imports',
    'packages/protocol/src/planted-node.ts',
    "export { readFileSync } from 'node:fs'\n",
  ],
  [
    'no-restricted-imports',
    'packages/protocol/src/planted-other.ts',
    "export const a = import('viem')\n",
  ],
  ['no-restricted-globals', 'packages/protocol/src/planted-buffer.ts', 'export const a = Buffer\n'],
  [
    'no-restricted-globals',
    'packages/protocol/src/planted-process.ts',
    'export const a = process\n',
  ],
  [
    'no-restricted-globals',
    'packages/protocol/src/planted-fetch.ts',
    "export const a = fetch('')\n",
  ],
  [
    'no-restricted-globals',
    'packages/protocol/src/payment/planted.ts',
    "export const a = parseFloat('1')\n",
  ],
  [
    'no-restricted-globals',
    'packages/gateway/src/payment/planted.ts',
    "export const a = Number('1')\n",
  ],
  [
    'no-restricted-globals',
    'packages/gateway/src/payment/deep/planted.ts',
    "export const a = parseFloat('1')\n",
  ],
  [
    'max-lines-per-function',
    'test/planted-long.ts',
    `export function f(): void {\n${'  f()\n'.repeat(80)}}\n`,
  ],
  ['max-lines', 'test/planted-lines.ts', `export const a = 1\n${'// no code\n'.repeat(400)}`],
  [
    'complexity',
    'test/planted-complex.ts',
    `export const f = (x: number) => ${'x > 1 && '.repeat(15)}x\n`,
  ],
  ['filename-case', 'test/plantedCase.ts', 'export const a = 1\n'],
  [
    'no-focused-tests',
    'test/planted-only.test.ts',
    "import { expect, test } from 'vitest'\ntest.only('a', () => {\n  expect(1).toBe(1)\n})\n",
  ],
  [
    'expect-expect',
    'test/planted-empty.test.ts',
    "import { test } from 'vitest'\ntest('a', () => {})\n",
  ],
]

test('the linter finds each planted fault where it was planted', () => {
  const root = plant({
    ...Object.fromEntries(lintFaults.map(([, path, text]) => [path, text])),
    'packages/gateway/src/planted-cycle-b.ts':
      "import { a } from './planted-cycle.ts'\nexport const b = () => a\n",
  })
  // As CI services set them: what is read of the linter must not depend on them.
  for (const name of ['CI', 'GITHUB_ACTIONS', 'FORCE_COLOR']) vi.stubEnv(name, '1')
  onTestFinished(() => {
    vi.unstubAllEnvs()
  })
  const refusal = refusalOf(() => checkLint(root))
  const findings = refusal.split('\n\n')
  const missed = lintFaults.filter(
    ([rule, path]) =>
      !findings.some((finding) => finding.includes(`(${rule})`) && finding.includes(`[${path}:`)),
  )
  expect(missed, refusal).toEqual([])
})

test('the formatter finds a badly formatted file', () => {
  const root = plant({ 'packages/gateway/src/planted.ts': 'export const a = "x";\n' })
  expect(refusalOf(() => checkFormat(root))).toContain('packages/gateway/src/planted.ts')
})

test('knip finds an unused file, an unused export, an unused and an unlisted dependency', () => {
  const root = plant({
    'packages/gateway/src/planted-file.ts': 'export const a = 1\n',
    'packages/protocol/src/bytes/planted-export.ts':
      'export const usedByPlanted = 1\nexport const unusedPlanted = 2\n',
    'test/planted-use.test.ts':
      "import { usedByPlanted } from '../packages/protocol/src/bytes/planted-export.ts'\nimport 'planted-unlisted'\nconsole.log(usedByPlanted)\n",
  })
  const manifest = join(root, 'packages/gateway/package.json')
  const text = readFileSync(manifest, 'utf8')
  writeFileSync(
    manifest,
    text.replace(/"dependencies": \{/, '$&\n    "planted-dependency": "1.0.0",'),
  )
  const refusal = refusalOf(() => checkUnused(root))
  expect(refusal).toContain('packages/gateway/src/planted-file.ts')
  expect(refusal).toMatch(/unusedPlanted\s.*planted-export\.ts/)
  expect(refusal).not.toMatch(/usedByPlanted\s/)
  expect(refusal).toMatch(/planted-dependency\s+packages\/gateway\/package\.json/)
  expect(refusal).toContain('planted-unlisted')
})

test('knip that is shown nothing does not pass', () => {
  const root = plant({
    'test/config/knip.json': JSON.stringify({
      include: ['files'],
      entry: ['absent.ts'],
      project: ['absent/**/*.ts'],
    }),
  })
  expect(refusalOf(() => checkUnused(root))).toMatch(/Configuration hints[^]*absent\.ts/)
})
