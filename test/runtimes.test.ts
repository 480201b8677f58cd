import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleForBrowsers } from './runtimes/browser-bundle.ts'
import { findChromium, runPage } from './runtimes/chromium.ts'
import { findNodes, runOnNode } from './runtimes/node-versions.ts'
import { judgeEvidenceVectors } from './runtimes/judge-evidence-vectors.ts'
import type { RuntimeReport } from './runtimes/judge-vectors.ts'
import { judgeVectors } from './runtimes/judge-vectors.ts'

const cbor = new URL('../vectors/cbor.json', import.meta.url)
const bundles = new URL('../vectors/bundles.json', import.meta.url)
const texts = { cbor: readFileSync(cbor, 'utf8'), bundles: readFileSync(bundles, 'utf8') }
const maxGzipBytes = 20_000
const maxDependencies = 2

// One bundle, written once by beforeAll, for all run times.
let folder = ''
let bundle = ''
let expected: RuntimeReport = { outcomes: [], wrong: [] }

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-runtimes-'))
  bundle = await bundleForBrowsers(`export { judgeVectors } from './judge-vectors.ts'`, {
    minify: false,
  })
  writeFileSync(join(folder, 'judge-vectors.mjs'), bundle)
  expected = await judgeVectors(texts.cbor, texts.bundles)
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

test('the sources themselves judge every vector rightly', () => {
  expect(expected.wrong).toEqual([])
  expect(expected.outcomes.length).toBeGreaterThan(500)
})

test('the bundle needs nothing that only Node has', () => {
  expect(bundle).not.toMatch(/\bfrom\s*["']/)
  expect(bundle).not.toMatch(/\b(?:require\(|process\.|Buffer\b)/)
})

for (const { major, program } of findNodes()) {
  test(`the same bundle says the same on Node ${major}`, ({ skip }) => {
    if (program === undefined) {
      return skip(`Node ${major} is not installed: npm ci --prefix test/runtimes`)
    }
    const url = pathToFileURL(join(folder, 'judge-vectors.mjs'))
    const report = runOnNode(program, {
      bundle: url,
      call: 'judgeVectors',
      inputs: [cbor, bundles],
    })
    expect(report.wrong).toEqual([])
    expect(report).toEqual(expected)
  })
}

test('the same bundle says the same in headless Chromium', async ({ skip }) => {
  const program = findChromium()
  if (program === undefined)
    return skip('neither chromium-headless-shell nor chromium is installed')
  const inputs = [texts.cbor, texts.bundles]
  const report: RuntimeReport = JSON.parse(
    await runPage(program, { bundle, call: 'judgeVectors', inputs }),
  )
  expect(report.wrong).toEqual([])
  expect(report).toEqual(expected)
}, 900_000)

const evidence = new URL('../vectors/attestation/', import.meta.url)
const evidenceFiles = readdirSync(evidence).map((name) => new URL(name, evidence))
const evidenceEntry = `export { judgeEvidenceVectors } from './judge-evidence-vectors.ts'`

test('the vectors of evidence come out the same on the oldest Node', async ({ skip }) => {
  const program = findNodes().find(({ major }) => major === 20)?.program
  if (program === undefined) return skip('Node 20 is not installed: npm ci --prefix test/runtimes')
  const path = join(folder, 'judge-evidence-vectors.mjs')
  writeFileSync(path, await bundleForBrowsers(evidenceEntry, { minify: false }))
  const report = runOnNode(program, {
    bundle: pathToFileURL(path),
    call: judgeEvidenceVectors.name,
    inputs: evidenceFiles,
  })
  expect(report.wrong).toEqual([])
  expect(report.outcomes.length).toBeGreaterThan(500)
}, 900_000)

test('the vectors of evidence come out the same in headless Chromium', async ({ skip }) => {
  const program = findChromium()
  if (program === undefined)
    return skip('neither chromium-headless-shell nor chromium is installed')
  const report: RuntimeReport = JSON.parse(
    await runPage(program, {
      bundle: await bundleForBrowsers(evidenceEntry, { minify: false }),
      call: judgeEvidenceVectors.name,
      inputs: evidenceFiles.map((url) => readFileSync(url, 'utf8')),
    }),
  )
  expect(report.wrong).toEqual([])
  expect(report.outcomes.length).toBeGreaterThan(500)
}, 900_000)

test('verification for browsers stays below 20 kB gzipped', async () => {
  const minified = await bundleForBrowsers(`export { verify } from '@countersign/protocol'`, {
    minify: true,
  })
  const { length } = gzipSync(minified, { level: 9 })
  console.log(`verify for browsers: ${length} bytes gzipped`)
  expect(length).toBeGreaterThan(1000)
  expect(length).toBeLessThanOrEqual(maxGzipBytes)
})

test.each([
  [
    'every platform',
    `export { verifyEvidence, createEvidenceVerifier } from '@countersign/protocol/attestation/verify-evidence'`,
    24_500,
  ],
  [
    'SEV-SNP alone',
    `export { appraiseSevSnp } from '@countersign/protocol/attestation/sev-snp/appraise-sev-snp'`,
    6100,
  ],
  [
    'SGX and TDX alone',
    `export { appraiseSgx, appraiseTdx } from '@countersign/protocol/attestation/dcap/appraise-dcap'`,
    9400,
  ],
])('the verifier of evidence of %s stays below its size', async (name, entry, most) => {
  const { length } = gzipSync(await bundleForBrowsers(entry, { minify: true }), { level: 9 })
  console.log(`evidence of ${name} for browsers: ${length} bytes gzipped`)
  expect(length).toBeGreaterThan(1000)
  expect(length).toBeLessThanOrEqual(most)
})

test('a verifier without hardware carries no code for it', async () => {
  const entry = `export { verify } from '@countersign/protocol'`
  const text = await bundleForBrowsers(entry, { minify: false })
  expect(text).toContain('attestation/simulated.ts')
  expect(text).not.toMatch(/attestation\/(?:dcap|sev-snp|x509|tpm|nitro|token)/)
})

test('protocol has at most two dependencies at run time', () => {
  const url = new URL('../packages/protocol/package.json', import.meta.url)
  const manifest: { readonly dependencies?: object; readonly peerDependencies?: object } =
    JSON.parse(readFileSync(url, 'utf8'))
  expect(Object.keys(manifest.dependencies ?? {}).length).toBeLessThanOrEqual(maxDependencies)
  expect(manifest.peerDependencies).toBeUndefined()
})
