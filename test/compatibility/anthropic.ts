/** The client of Anthropic. */
import Anthropic from '@anthropic-ai/sdk'
import {
  models,
  question,
  said,
  toolDescription,
  toolName,
  toolResult,
  toolSchema,
  type Client,
  type ClientContext,
} from './client.ts'

const base = {
  model: models.anthropic,
  max_tokens: 1000,
  messages: [{ role: 'user', content: question }],
}
const tools = [{ name: toolName, description: toolDescription, input_schema: toolSchema }]

function connect({ origin, apiKey }: ClientContext): typeof Anthropic {
  return new Anthropic({ apiKey, baseURL: origin, maxRetries: 0 })
}

type Block = {
  readonly type: string
  readonly text?: string
  readonly id?: string
  readonly name?: string
  readonly input?: unknown
}

function textOf({ content }: { readonly content: readonly Block[] }): string {
  return content.map(({ text = '' }) => text).join('')
}

function callsOf({ content }: { readonly content: readonly Block[] }): readonly Block[] {
  return content.filter(({ type }) => type === 'tool_use')
}

function secondTurn(first: { readonly content: readonly Block[] }): object {
  const results = callsOf(first).map(({ id }) => ({
    type: 'tool_result',
    tool_use_id: id,
    content: toolResult,
  }))
  const { content } = first
  return {
    ...base,
    tools,
    messages: [
      ...base.messages,
      { role: 'assistant', content },
      { role: 'user', content: results },
    ],
  }
}

function describeCalls(first: { readonly content: readonly Block[] }): readonly {
  readonly name: string
  readonly input: unknown
}[] {
  return callsOf(first).map(({ name = '', input }) => ({ name, input }))
}

/** Its one way. */
export const anthropicClients: readonly Client[] = [
  {
    name: '@anthropic-ai/sdk, messages',
    packages: ['@anthropic-ai/sdk'],
    baseUrl: 'ORIGIN',
    cases: {
      whole: async (context) => said(textOf(await connect(context).messages.create(base))),
      stream: async (context) => {
        const stream = await connect(context).messages.create({ ...base, stream: true })
        let text = ''
        for await (const event of stream) {
          if (event.type === 'content_block_delta') text += event.delta.text
        }
        return said(text)
      },
      tools: async (context) => {
        const { messages } = connect(context)
        const first = await messages.create({ ...base, tools, tool_choice: { type: 'any' } })
        const second = await messages.create(secondTurn(first))
        return { ...said(textOf(second)), calls: describeCalls(first) }
      },
      'tools, streamed': async (context) => {
        const { messages } = connect(context)
        const first = await messages
          .stream({ ...base, tools, tool_choice: { type: 'any' } })
          .finalMessage()
        const second = await messages.stream(secondTurn(first)).finalMessage()
        return { ...said(textOf(second)), calls: describeCalls(first) }
      },
      refusal: async (context) => {
        await connect(context).messages.create({ ...base, model: models.unknown })
        return said('')
      },
    },
  },
]
