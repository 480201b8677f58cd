/** The client of OpenAI, on both of its interfaces. */
import OpenAI from 'openai'
import {
  joinText,
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
const messages = [{ role: 'user' as const, content: question }]
const chatTools = [
  {
    type: 'function' as const,
    function: { name: toolName, description: toolDescription, parameters: { ...toolSchema } },
  },
]
const tools = [
  {
    type: 'function' as const,
    name: toolName,
    description: toolDescription,
    parameters: { ...toolSchema },
    strict: true,
  },
]

function connect({ origin, apiKey }: ClientContext): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${origin}/v1`, maxRetries: 0 })
}

type ChatMessage = OpenAI.ChatCompletionMessage

function callsOf({
  tool_calls: calls = [],
}: ChatMessage): readonly OpenAI.ChatCompletionMessageFunctionToolCall[] {
  return calls.filter((call) => call.type === 'function')
}

function secondTurn(message: ChatMessage): OpenAI.ChatCompletionMessageParam[] {
  const [call] = callsOf(message)
  return [...messages, message, { role: 'tool', tool_call_id: call?.id ?? '', content: toolResult }]
}

function describeCalls(message: ChatMessage): readonly { name: string; input: unknown }[] {
  return callsOf(message).map(({ function: { name, arguments: text } }) => ({
    name,
    input: JSON.parse(text),
  }))
}

const chat: Client = {
  name: 'openai, chat completions',
  packages: ['openai'],
  baseUrl: 'ORIGIN/v1',
  cases: {
    whole: async (context) => {
      const answer = await connect(context).chat.completions.create({ model, messages })
      return said(answer.choices[0]?.message.content)
    },
    stream: async (context) => {
      const stream = await connect(context).chat.completions.create({
        model,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      })
      let text = ''
      let tokens = 0
      for await (const { choices, usage } of stream) {
        text += choices[0]?.delta.content ?? ''
        tokens += usage?.total_tokens ?? 0
      }
      if (tokens === 0) throw new Error('the stream had no usage')
      return said(text)
    },
    tools: async (context) => {
      const { completions } = connect(context).chat
      const first = await completions.create({
        model,
        messages,
        tools: chatTools,
        tool_choice: 'required',
      })
      const message = first.choices[0]?.message
      if (message === undefined) throw new Error('the answer has no choice')
      const second = await completions.create({
        model,
        messages: secondTurn(message),
        tools: chatTools,
      })
      return { ...said(second.choices[0]?.message.content), calls: describeCalls(message) }
    },
    'tools, streamed': async (context) => {
      const { completions } = connect(context).chat
      const first = completions.stream({
        model,
        messages,
        tools: chatTools,
        tool_choice: 'required',
      })
      const message = await first.finalMessage()
      const second = completions.stream({
        model,
        messages: secondTurn(message),
        tools: chatTools,
      })
      return { ...said(await second.finalContent()), calls: describeCalls(message) }
    },
    refusal: async (context) => {
      await connect(context).chat.completions.create({ model: models.unknown, messages })
      return said('')
    },
  },
}

function describeItems(items: readonly OpenAI.Responses.ResponseOutputItem[]): {
  readonly calls: readonly { name: string; input: unknown }[]
  readonly outputs: OpenAI.Responses.ResponseInputItem.FunctionCallOutput[]
} {
  const calls = items.filter((item) => item.type === 'function_call')
  return {
    calls: calls.map(({ name, arguments: text }) => ({ name, input: JSON.parse(text) })),
    outputs: calls.map(({ call_id: callId }) => ({
      type: 'function_call_output',
      call_id: callId,
      output: toolResult,
    })),
  }
}

const responses: Client = {
  name: 'openai, responses',
  packages: ['openai'],
  baseUrl: 'ORIGIN/v1',
  cases: {
    whole: async (context) => {
      const answer = await connect(context).responses.create({ model, input: question })
      return said(answer.output_text)
    },
    stream: async (context) => {
      const stream = await connect(context).responses.create({
        model,
        input: question,
        stream: true,
      })
      const deltas = async function* (): AsyncGenerator<string> {
        for await (const event of stream) {
          if (event.type === 'response.output_text.delta') yield event.delta
        }
      }
      return said(await joinText(deltas()))
    },
    tools: async (context) => {
      const client = connect(context)
      const input = [...messages]
      const first = await client.responses.create({
        model,
        input,
        tools,
        tool_choice: 'required',
        store: false,
      })
      const { calls, outputs } = describeItems(first.output)
      const second = await client.responses.create({
        model,
        input: [...input, ...outputs],
        tools,
        store: false,
      })
      return { ...said(second.output_text), calls }
    },
    // The second turn names the first one: the gateway must know whose it is.
    'tools, streamed': async (context) => {
      const client = connect(context)
      const first = await client.responses
        .stream({ model, input: question, tools, tool_choice: 'required' })
        .finalResponse()
      const { calls, outputs } = describeItems(first.output)
      const second = await client.responses
        .stream({ model, input: outputs, tools, previous_response_id: first.id })
        .finalResponse()
      return { ...said(second.output_text), calls }
    },
    refusal: async (context) => {
      await connect(context).responses.create({ model: models.unknown, input: question })
      return said('')
    },
  },
}

/** Both. */
export const openaiClients: readonly Client[] = [chat, responses]
