/** Starts the loopback provider and one gateway with receipts and API keys, and runs all clients against them. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openApiKeyStore } from '../../packages/gateway/src/payment/api-key-store.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
} from '../../packages/gateway/test/support/start-gateway.ts'
import { startLoopbackProvider } from '../provider/start.ts'
import { models } from './client.ts'
import type { CaseReport } from './run-clients.ts'
import type { SnippetReport } from './run-snippets.ts'

/** A gateway that serves the models of `client.ts`, and a key for it. */
export interface CompatibilityGateway {
  readonly origin: string
  readonly apiKey: string
  stop(): Promise<void>
}

/** Starts it with a loopback provider of its own. */
export async function startCompatibility(): Promise<CompatibilityGateway> {
  const served = Object.values(models).filter((model) => model !== models.unknown)
  const provider = await startLoopbackProvider({ models: served })
  const folder = createGatewayFolder()
  mkdirSync(join(folder, 'data'))
  const store = openApiKeyStore(join(folder, 'data', 'api-keys.db'))
  const { secret: apiKey } = store.create('compatibility', 1_000_000n, Date.now())
  store.close()
  const upstream = (kind: keyof typeof models, baseUrl = provider.url): object => ({
    name: kind,
    kind,
    baseUrl,
    caFile: provider.caFile,
    models: [{ id: models[kind], priceAtomic: '7' }],
  })
  const upstreams = [
    upstream('openai'),
    upstream('anthropic'),
    upstream('google', provider.url.replace(/\/v1$/, '/v1beta')),
    upstream('xai'),
  ]
  const payment = { apiKeys: { asset: 'USD' } }
  const gateway = await startGateway({ folder, config: { upstreams, payment } }).catch(
    async (error: unknown) => {
      await provider.stop()
      throw error
    },
  )
  return {
    origin: gateway.url,
    apiKey,
    stop: async () => {
      await disposeGateway(gateway)
      await provider.stop()
    },
  }
}

/** Every client through every case. */
export async function runClients(origin: string, apiKey: string): Promise<readonly CaseReport[]> {
  // The program is this repository's own: its output has the type that it declares.
  const reports: readonly CaseReport[] = JSON.parse(
    await runProgram('run-clients.ts', [origin, apiKey]),
  )
  return reports
}

/** Every block of the guides. */
export async function runSnippets({
  origin,
  apiKey,
}: CompatibilityGateway): Promise<readonly SnippetReport[]> {
  const environment = { COUNTERSIGN_URL: origin, COUNTERSIGN_API_KEY: apiKey }
  const reports: readonly SnippetReport[] = JSON.parse(
    await runProgram('run-snippets.ts', [], environment),
  )
  return reports
}

/** Runs a program beside this file. @returns its standard output. */
async function runProgram(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const program = fileURLToPath(new URL(file, import.meta.url))
  const { stdout } = await promisify(execFile)(
    process.execPath,
    // Not --conditions=source: some of the packages name TypeScript so, which Node runs in no node_modules.
    ['--max-old-space-size=512', '--disable-warning=ExperimentalWarning', program, ...args],
    {
      env: {
        PATH: process.env['PATH'] ?? '',
        NO_COLOR: '1',
        LANGSMITH_TRACING: 'false',
        ...environment,
      },
      maxBuffer: 64 * 1024 * 1024,
      timeout: 600_000,
    },
  )
  return stdout
}

/** The exact versions in package.json beside this file, by name. */
export function readVersions(): ReadonlyMap<string, string> {
  const manifest: { readonly dependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(new URL('package.json', import.meta.url), 'utf8'),
  )
  return new Map(Object.entries(manifest.dependencies))
}

/** What is not installed of package.json beside this file, in its exact version. */
export function findMissing(): readonly string[] {
  return [...readVersions()].flatMap(([name, version]) => {
    const file = new URL(`node_modules/${name}/package.json`, import.meta.url)
    if (!existsSync(file)) return [name]
    const installed: { readonly version?: string } = JSON.parse(readFileSync(file, 'utf8'))
    return installed.version === version ? [] : [`${name}@${version}`]
  })
}
