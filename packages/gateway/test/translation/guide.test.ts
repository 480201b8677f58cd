import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../../test/provider/start.ts'
import { repositoryRoot } from '../../../../test/tools/source-tree.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'
import { translatedConfig, translatedModels } from '../support/translated-models.ts'

const guide = readFileSync(join(repositoryRoot, 'docs/guides/translation.md'), 'utf8')
const snippets = [...guide.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code = '']) => code)
// Where the snippets find the clients.
const cache = join(repositoryRoot, 'node_modules/.cache')
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'guide-'))

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider({ models: Object.values(translatedModels) })
  const { origin } = new URL(provider.url)
  gateway = await startGateway({ config: translatedConfig(origin, provider.caFile) })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('the guide has a snippet for each client', () => {
  expect(snippets).toHaveLength(3)
})

test.each(Array.from(snippets.keys()))('snippet %i of the guide runs', async (index) => {
  const code = snippets[index] ?? ''
  expect(code).toContain('https://gateway.example')
  const file = join(folder, 'snippet.mjs')
  writeFileSync(file, code.replaceAll('https://gateway.example', gateway.url))
  const { stdout } = await promisify(execFile)(process.execPath, [file])
  expect(stdout).toContain('This is the loopback provider')
})
