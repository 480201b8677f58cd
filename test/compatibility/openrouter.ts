/** The client of OpenRouter. */
import { OpenRouter } from '@openrouter/sdk'
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

const model = models.openai
const messages = [{ role: 'user', content: question }]
const tools = [
  {
    type: 'function',
    function: { name: toolName, description: toolDescription, parameters: toolSchema },
  },
]

type ToolCall = {
  readonly index?: number
  readonly id?: string
  readonly type?: string
  readonly function?: { readonly name?: string; readonly arguments?: string }
}
type Message = { readonly content?: string | null; readonly toolCalls?: readonly ToolCall[] }
type Chat = { send(request: object): Promise<never> }

function connect({ origin, apiKey }: ClientContext): Chat {
  return new OpenRouter({ apiKey, serverURL: `${origin}/v1`, retryConfig: { strategy: 'none' } })
    .chat
}

async function ask(chat: Chat, request: object): Promise<Message> {
  const answer: { readonly choices: readonly { readonly message: Message }[] } = await chat.send({
    chatRequest: { model, messages, ...request },
  })
  return answer.choices[0]?.message ?? {}
}

/** The pieces of a streamed message put together. */
async function askStreamed(chat: Chat, request: object): Promise<Message> {
  const stream: AsyncIterable<{ readonly choices: readonly { readonly delta: Message }[] }> =
    await chat.send({ chatRequest: { model, messages, stream: true, ...request } })
  let content = ''
  let id = ''
  let name = ''
  let text = ''
  for await (const { choices } of stream) {
    const delta = choices[0]?.delta ?? {}
    content += delta.content ?? ''
    for (const call of delta.toolCalls ?? []) {
      id ||= call.id ?? ''
      name ||= call.function?.name ?? ''
      text += call.function?.arguments ?? ''
    }
  }
  if (id === '') return { content }
  return { content, toolCalls: [{ id, type: 'function', function: { name, arguments: text } }] }
}

function secondTurn({ toolCalls = [] }: Message): object {
  const [call] = toolCalls
  return {
    tools,
    messages: [
      ...messages,
      { role: 'assistant', content: null, toolCalls },
      { role: 'tool', toolCallId: call?.id ?? '', content: toolResult },
    ],
  }
}

function describeCalls({ toolCalls = [] }: Message): readonly {
  readonly name: string
  readonly input: unknown
}[] {
  return toolCalls.map((call) => ({
    name: call.function?.name ?? '',
    input: JSON.parse(call.function?.arguments ?? ''),
  }))
}

/** Its one way. */
export const openrouterClients: readonly Client[] = [
  {
    name: '@openrouter/sdk, chat',
    packages: ['@openrouter/sdk'],
    baseUrl: 'ORIGIN/v1',
    cases: {
      whole: async (context) => said((await ask(connect(context), {})).content),
      stream: async (context) => said((await askStreamed(connect(context), {})).content),
      tools: async (context) => {
        const chat = connect(context)
        const first = await ask(chat, { tools, toolChoice: 'required' })
        const second = await ask(chat, secondTurn(first))
        return { ...said(second.content), calls: describeCalls(first) }
      },
      'tools, streamed': async (context) => {
        const chat = connect(context)
        const first = await askStreamed(chat, { tools, toolChoice: 'required' })
        const second = await askStreamed(chat, secondTurn(first))
        return { ...said(second.content), calls: describeCalls(first) }
      },
      refusal: async (context) => {
        await ask(connect(context), { model: models.unknown })
        return said('')
      },
    },
  },
]
