/** The provider packages of the AI SDK: loaded once, and only by gateways that translate. */
import { registerHooks, type ResolveFnOutput, type ResolveHookContext } from 'node:module'
import type { createAnthropic } from '@ai-sdk/anthropic'
import type { createGoogle } from '@ai-sdk/google'
import type { createOpenAI } from '@ai-sdk/openai'
import type { LanguageModelV4 } from '@ai-sdk/provider'
import type { TargetWire } from './caller-request.ts'

/** The makers of the packages. */
export type Sdk = {
  readonly createAnthropic: typeof createAnthropic
  readonly createGoogle: typeof createGoogle
  readonly createOpenAI: typeof createOpenAI
}

/** What a model of the SDK is made for. */
export type SdkCall = {
  readonly target: TargetWire
  readonly upstreamModel: string
  /** Answers the one request that the model makes. */
  readonly exchange: (request: SdkRequest) => Promise<Response>
  /** Ids for what the provider gave none. */
  readonly generateId: () => string
}

/** A request as the SDK would send it. */
export type SdkRequest = {
  /** From the base URL on, query included. */
  readonly path: string
  readonly headers: Headers
  readonly body: string
}

/** Stands for the provider: no address of the SDK is ever called. */
const origin = 'https://provider.invalid'
const apiKey = 'none'

/** Loads the packages. */
export async function loadSdk(): Promise<Sdk> {
  const hooks = registerHooks({ resolve: resolveAsPublished })
  const [anthropic, google, openai] = await Promise.all([
    import('@ai-sdk/anthropic'),
    import('@ai-sdk/google'),
    import('@ai-sdk/openai'),
  ]).finally(() => {
    hooks.deregister()
  })
  return {
    createAnthropic: anthropic.createAnthropic,
    createGoogle: google.createGoogle,
    createOpenAI: openai.createOpenAI,
  }
}

/** `--conditions=source` is meant for our own packages; one below the SDK has such a condition too, and no JavaScript there. */
function resolveAsPublished(
  specifier: string,
  context: ResolveHookContext,
  nextResolve: (specifier: string, context: ResolveHookContext) => ResolveFnOutput,
): ResolveFnOutput {
  const isBelowSdk = context.parentURL?.includes('/node_modules/@ai-sdk/') === true
  if (!isBelowSdk) return nextResolve(specifier, context)
  const conditions = context.conditions.filter((condition) => condition !== 'source')
  return nextResolve(specifier, { ...context, conditions })
}

/** A model whose one request goes to `exchange`, and nowhere else. */
export function createModel(sdk: Sdk, call: SdkCall): LanguageModelV4 {
  const { target, upstreamModel, generateId } = call
  const settings = { apiKey, baseURL: origin, fetch: createFetch(call) }
  switch (target) {
    case 'anthropic-messages':
      return sdk.createAnthropic({ ...settings, generateId })(upstreamModel)
    case 'google-generate':
      return sdk.createGoogle({ ...settings, generateId })(upstreamModel)
    case 'openai-chat':
      return sdk.createOpenAI(settings).chat(upstreamModel)
  }
}

/** A second request (to continue a long answer, to fetch a file) would be one that no receipt speaks of. */
function createFetch({ exchange }: SdkCall): typeof fetch {
  let isUsed = false
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    const body = init?.body
    if (isUsed || typeof body !== 'string' || !url.startsWith(`${origin}/`)) {
      throw new Error('the provider package makes a request of another kind')
    }
    isUsed = true
    return exchange({ path: url.slice(origin.length), headers: new Headers(init?.headers), body })
  }
}
