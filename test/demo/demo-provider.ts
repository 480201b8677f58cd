/** The provider of the demo: a real one when a key for it is set, else the loopback provider. */
import { findProvider, type Upstream } from '../../packages/client/src/network/upstream.ts'
import { startLoopbackProvider } from '../provider/start.ts'

/** A provider that answers. */
export type DemoProvider = {
  readonly upstream: Upstream
  readonly description: string
  stop(): Promise<void>
}

/** Chooses by the environment. */
export async function startDemoProvider(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<DemoProvider> {
  const found = findProvider(environment)
  if (found !== undefined) {
    const description = `${found.name}, because ${found.apiKeyEnv} is set`
    return { upstream: found, description, stop: () => Promise.resolve() }
  }
  const loopback = await startLoopbackProvider({ delayMs: 20 })
  return {
    upstream: {
      name: 'loopback',
      baseUrl: loopback.url,
      caFile: loopback.caFile,
      models: ['loopback-echo'],
    },
    description:
      'the loopback provider: no model runs, it echoes (set OPENAI_API_KEY for a real one)',
    stop: () => loopback.stop(),
  }
}
