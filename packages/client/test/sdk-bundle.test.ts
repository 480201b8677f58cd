import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { clientErrorCodes } from '@countersign/client'

const entry = fileURLToPath(new URL('../src/index.ts', import.meta.url))
const guide = new URL('../../../docs/guides/client.md', import.meta.url)

test('the SDK is for browsers too: no module of Node, no wallet library, small', async () => {
  const { metafile, outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['source'],
    logLevel: 'silent',
  })
  const inputs = Object.keys(metafile.inputs)
  expect(inputs.length).toBeGreaterThan(20)
  expect(inputs.filter((path) => /node_modules\/(?!@noble\/hashes\/)/.test(path))).toEqual([])
  expect(inputs.filter((path) => /client\/src\/(?:cli|network)\//.test(path))).toEqual([])
  const [output] = outputFiles
  expect(gzipSync(output?.contents ?? '').length).toBeLessThan(43_000)
})

test('the guide explains every error code, and no other', async () => {
  const text = await readFile(guide, 'utf8')
  const documented = Array.from(
    text.matchAll(/^\| `([a-z-]+)` \| (?:fix|later|stop) \|/gm),
    ([, code]) => code,
  )
  expect(new Set(documented)).toEqual(clientErrorCodes)
  expect(documented).toHaveLength(clientErrorCodes.size)
  expect(documented.length).toBeGreaterThan(20)
})
