/** A configuration whose models are served on the wires of others. */

/** Public names, each with the model that its provider is asked for. */
export const translatedModels = {
  claude: 'claude-sonnet-4-5',
  gemini: 'gemini-2.5-flash',
  gpt: 'gpt-4.1-mini',
} as const

/** Upstreams of all three kinds, and one translated model of each. */
export function translatedConfig(
  origin: string,
  caFile?: string,
): Readonly<Record<string, unknown>> {
  const authority = caFile === undefined ? {} : { caFile }
  const upstream = (kind: string, version: string): object => ({
    name: kind,
    kind,
    baseUrl: `${origin}/${version}`,
    ...authority,
  })
  return {
    upstreams: [
      upstream('openai', 'v1'),
      upstream('anthropic', 'v1'),
      upstream('google', 'v1beta'),
    ],
    models: [
      model('claude', 'anthropic', translatedModels.claude),
      model('gemini', 'google', translatedModels.gemini),
      model('gpt', 'openai', translatedModels.gpt),
      // Three or four of its twenty events are awaited; whoever leaves then has half a minute to be missed in.
      model('slow', 'anthropic', 'loopback-slow-2000'),
      model('failing', 'anthropic', 'hostile-status-429'),
      { ...model('drained', 'anthropic', 'loopback-slow-30'), onDisconnect: { drain: {} } },
    ],
  }
}

function model(name: string, provider: string, upstreamModel: string): object {
  return {
    name,
    upstream: provider,
    provider,
    upstreamModel,
    translate: true,
    price: { perCallAtomic: '5', perMillionAtomic: { input: '2000000', output: '3000000' } },
    limits: { contextTokens: 100_000, maxOutputTokens: 1000, hidesReasoning: false },
  }
}
