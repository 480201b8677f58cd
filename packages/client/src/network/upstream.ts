/** Which provider stands behind a loopback network. */

/** An upstream that speaks the OpenAI wire. */
export type Upstream = {
  readonly name: string
  /** Without the path of a call, for example `https://api.openai.com/v1`. */
  readonly baseUrl: string
  readonly caFile?: string
  /** Environment variable that holds the provider key. */
  readonly apiKeyEnv?: string
  /** Names of models; `*` is every name. The first that is no `*` is the one that commands use by default. */
  readonly models: readonly string[]
}

// Providers with an endpoint of the OpenAI wire, in the order in which a key in the environment chooses them.
const providers: readonly Upstream[] = [
  upstream('openai', 'https://api.openai.com/v1', 'OPENAI_API_KEY', 'gpt-4.1-nano'),
  upstream('xai', 'https://api.x.ai/v1', 'XAI_API_KEY', 'grok-3-mini'),
  upstream('openrouter', 'https://openrouter.ai/api/v1', 'OPENROUTER_API_KEY', 'openrouter/auto'),
  upstream('groq', 'https://api.groq.com/openai/v1', 'GROQ_API_KEY', 'llama-3.1-8b-instant'),
  upstream('mistral', 'https://api.mistral.ai/v1', 'MISTRAL_API_KEY', 'mistral-small-latest'),
  upstream('deepseek', 'https://api.deepseek.com/v1', 'DEEPSEEK_API_KEY', 'deepseek-chat'),
]

/** The provider whose key is in the environment, the first of the list, or `undefined`. */
export function findProvider(
  environment: Readonly<Record<string, string | undefined>>,
): Upstream | undefined {
  return providers.find(({ apiKeyEnv = '' }) => (environment[apiKeyEnv] ?? '') !== '')
}

/** The environment variables that choose a provider. */
export const providerVariables: readonly string[] = providers.map(({ apiKeyEnv = '' }) => apiKeyEnv)

/** The model to use when nobody names one. */
export function defaultModel({ models }: Pick<Upstream, 'models'>): string | undefined {
  return models.find((model) => model !== '*')
}

function upstream(name: string, baseUrl: string, apiKeyEnv: string, model: string): Upstream {
  return { name, baseUrl, apiKeyEnv, models: [model, '*'] }
}
