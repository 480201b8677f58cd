/** LangChain with its packages for three providers. */
import { ChatAnthropic } from '@langchain/anthropic'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatGoogleGenerativeAI } from '@langchain/google-genai'
import { ChatOpenAI } from '@langchain/openai'
import { z } from 'zod'
import {
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

type Message = {
  readonly text: string
  readonly tool_calls?: readonly {
    readonly id: string
    readonly name: string
    readonly args: unknown
  }[]
  concat(next: Message): Message
}
type Chat = {
  invoke(input: unknown): Promise<Message>
  stream(input: unknown): Promise<AsyncIterable<Message>>
  bindTools(tools: readonly unknown[], options?: object): Chat
}

const lookUp = tool(() => toolResult, {
  name: toolName,
  description: toolDescription,
  schema: z.object({ city: z.string() }),
})

async function gather(chunks: AsyncIterable<Message>): Promise<Message> {
  let message: Message | undefined
  for await (const chunk of chunks) message = message === undefined ? chunk : message.concat(chunk)
  if (message === undefined) throw new Error('the stream was empty')
  return message
}

async function callTools(
  chat: Chat,
  toolChoice: string,
  ask: (chat: Chat, input: unknown) => Promise<Message>,
): Promise<Outcome> {
  const asked = new HumanMessage(question)
  const first = await ask(chat.bindTools([lookUp], { tool_choice: toolChoice }), [asked])
  const calls = first.tool_calls ?? []
  const results = calls.map(
    ({ id }) => new ToolMessage({ tool_call_id: id, name: toolName, content: toolResult }),
  )
  const second = await ask(chat.bindTools([lookUp]), [asked, first, ...results])
  return { text: second.text, calls: calls.map(({ name, args }) => ({ name, input: args })) }
}

function createClient(
  name: string,
  packages: readonly string[],
  baseUrl: string,
  connect: (context: ClientContext, model: string) => Chat,
  model: string,
  toolChoice: string,
): Client {
  return {
    name,
    packages: [...packages, '@langchain/core'],
    baseUrl,
    cases: {
      whole: async (context) => said((await connect(context, model).invoke(question)).text),
      stream: async (context) =>
        said((await gather(await connect(context, model).stream(question))).text),
      tools: (context) =>
        callTools(connect(context, model), toolChoice, (chat, input) => chat.invoke(input)),
      'tools, streamed': (context) =>
        callTools(connect(context, model), toolChoice, async (chat, input) =>
          gather(await chat.stream(input)),
        ),
      refusal: async (context) => {
        await connect(context, models.unknown).invoke(question)
        return said('')
      },
    },
  }
}

/** All of them. */
export const langchainClients: readonly Client[] = [
  createClient(
    'LangChain, ChatOpenAI',
    ['@langchain/openai'],
    'ORIGIN/v1',
    ({ origin, apiKey }, model) =>
      new ChatOpenAI({
        model,
        apiKey,
        maxRetries: 0,
        configuration: { baseURL: `${origin}/v1` },
      }),
    models.openai,
    'required',
  ),
  createClient(
    'LangChain, ChatAnthropic',
    ['@langchain/anthropic'],
    'ORIGIN',
    ({ origin, apiKey }, model) =>
      new ChatAnthropic({ model, apiKey, maxRetries: 0, anthropicApiUrl: origin }),
    models.anthropic,
    'any',
  ),
  createClient(
    'LangChain, ChatGoogleGenerativeAI',
    ['@langchain/google-genai'],
    'ORIGIN',
    ({ origin, apiKey }, model) =>
      new ChatGoogleGenerativeAI({ model, apiKey, maxRetries: 0, baseUrl: origin }),
    models.google,
    'any',
  ),
]
