/** What a caller asked for, in the words of the AI SDK. */
import type { LanguageModelV4CallOptions } from '@ai-sdk/provider'

/** The wires that can be translated into. */
export type TargetWire = 'anthropic-messages' | 'google-generate' | 'openai-chat'

/** Options of a call; the SDK takes them as mutable. */
export type CallOptions = LanguageModelV4CallOptions

/** One message of a prompt. */
export type PromptMessage = CallOptions['prompt'][number]

/** A request that was read member by member. */
export type CallerRequest = {
  readonly options: CallOptions
  readonly isStream: boolean
  /** OpenAI's `stream_options.include_usage`. */
  readonly includesUsage: boolean
}

/** A JSON schema, as far as anybody here looks at it. */
export type JsonSchema = Extract<
  NonNullable<CallOptions['tools']>[number],
  { type: 'function' }
>['inputSchema']

/** Whether a value can be a JSON schema of an object. */
export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
