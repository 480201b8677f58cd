/** How far a count by o200k_base may be taken for that of a model (spec/metering.md ME9.3, ME9.7). */
import type { ModelConfig } from '../catalogue/models-schema.ts'

type ProviderKind = ModelConfig['provider']

/** From tokens of o200k_base to an estimate of what the provider would have counted. */
export type EstimateRule = {
  /** Of the tokens of the texts, rounded down. */
  readonly percent: number
  /** What each message, and the prompt as a whole, takes beside its text. */
  readonly tokensPerMessage: number
  readonly tokensPerPrompt: number
}

/** The rule for a model. */
export function estimateRuleOf(provider: ProviderKind, model: string): EstimateRule {
  if (provider === 'openai' && usesO200k.test(model)) {
    return { percent: 100, tokensPerMessage: 4, tokensPerPrompt: 2 }
  }
  return { percent: percents[provider], tokensPerMessage: 0, tokensPerPrompt: 0 }
}

/** Tokens of an estimate. */
export function applyRule(
  { percent, tokensPerMessage, tokensPerPrompt }: EstimateRule,
  { tokens, messages }: { readonly tokens: number; readonly messages: number },
): number {
  const besides = messages === 0 ? 0 : messages * tokensPerMessage + tokensPerPrompt
  return Math.floor((tokens * percent) / 100) + besides
}

const usesO200k =
  /^(?:ft:)?(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|chatgpt-|codex-|o[134](?:-|$))/
// The least that was seen of tokens of the model for those of o200k_base, and some room. `openai`: whoever speaks like it.
const percents: Readonly<Record<ProviderKind, number>> = {
  anthropic: 100,
  google: 90,
  openai: 80,
  xai: 90,
}
