/** The AI SDK of Vercel with its providers, and with OpenRouter's. */
import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogle } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { createXai } from '@ai-sdk/xai'
import { createOpenRouter } from '@openrouter/ai-sdk-provider'
import { generateText, isStepCount, streamText, tool } from 'ai'
import { z } from 'zod'
import {
  joinText,
  models,
  question,
  said,
  toolDescription,
  toolName,
  toolResult,
  type Client,
  type ClientContext,
  type Outcome,
} from './client.ts'

type Model = unknown
type Step = {
  readonly toolCalls: readonly { readonly toolName: string; readonly input: unknown }[]
}

const withTools = {
  prompt: question,
  maxRetries: 0,
  tools: {
    [toolName]: tool({
      description: toolDescription,
      inputSchema: z.object({ city: z.string() }),
      execute: () => toolResult,
    }),
  },
  stopWhen: isStepCount(2),
  prepareStep: ({ stepNumber }: { readonly stepNumber: number }) => ({
    toolChoice: stepNumber === 0 ? 'required' : 'auto',
  }),
}

// Without it the AI SDK writes faults of streams to the console; they come out of the stream all the same.
function onError(): void {}

function describeCalls(steps: readonly Step[]): Outcome['calls'] {
  return steps
    .flatMap(({ toolCalls }) => toolCalls)
    .map(({ toolName: name, input }) => ({ name, input }))
}

function createClient(
  name: string,
  packages: readonly string[],
  path: string,
  connect: (options: {
    readonly apiKey: string
    readonly baseURL: string
  }) => (model: string) => Model,
  model: string,
): Client {
  const open = ({ origin, apiKey }: ClientContext, id = model): Model =>
    connect({ apiKey, baseURL: origin + path })(id)
  return {
    name,
    packages: [...packages, 'ai'],
    baseUrl: `ORIGIN${path}`,
    cases: {
      whole: async (context) => {
        const { text } = await generateText({
          model: open(context),
          prompt: question,
          maxRetries: 0,
        })
        return said(text)
      },
      stream: async (context) => {
        const result = streamText({
          model: open(context),
          prompt: question,
          maxRetries: 0,
          onError,
        })
        return said(await joinText(result.textStream))
      },
      tools: async (context) => {
        const { text, steps } = await generateText({ model: open(context), ...withTools })
        return { text, calls: describeCalls(steps) }
      },
      'tools, streamed': async (context) => {
        const result = streamText({ model: open(context), ...withTools })
        return { text: await result.text, calls: describeCalls(await result.steps) }
      },
      refusal: async (context) => {
        const unknown = open(context, models.unknown)
        await generateText({ model: unknown, prompt: question, maxRetries: 0 })
        return said('')
      },
    },
  }
}

/** All of them. */
export const aiSdkClients: readonly Client[] = [
  createClient(
    'AI SDK, openai.chat',
    ['@ai-sdk/openai'],
    '/v1',
    (options) => createOpenAI(options).chat,
    models.openai,
  ),
  createClient(
    'AI SDK, openai.responses',
    ['@ai-sdk/openai'],
    '/v1',
    (options) => createOpenAI(options).responses,
    models.openai,
  ),
  createClient(
    'AI SDK, anthropic',
    ['@ai-sdk/anthropic'],
    '/v1',
    createAnthropic,
    models.anthropic,
  ),
  createClient('AI SDK, google', ['@ai-sdk/google'], '/v1beta', createGoogle, models.google),
  createClient('AI SDK, xai', ['@ai-sdk/xai'], '/v1', createXai, models.xai),
  createClient(
    'AI SDK, openai-compatible',
    ['@ai-sdk/openai-compatible'],
    '/v1',
    (options) => createOpenAICompatible({ name: 'countersign', ...options }),
    models.openai,
  ),
  createClient(
    'AI SDK, OpenRouter',
    ['@openrouter/ai-sdk-provider'],
    '/v1',
    (options) => createOpenRouter(options).chat,
    models.openai,
  ),
]
