/** The client of Google. */
import { FunctionCallingConfigMode, GoogleGenAI } from '@google/genai'
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

const model = models.google
const asked = { role: 'user', parts: [{ text: question }] }
const tools = [
  {
    functionDeclarations: [
      { name: toolName, description: toolDescription, parametersJsonSchema: toolSchema },
    ],
  },
]
const mustCall = {
  tools,
  toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
}

type Content = { readonly role: string; readonly parts: readonly object[] }
type FunctionCall = { readonly name: string; readonly args: unknown }
type Models = {
  generateContent(request: object): Promise<{
    readonly text?: string
    readonly functionCalls?: readonly FunctionCall[]
    readonly candidates: readonly { readonly content: Content }[]
  }>
  generateContentStream(request: object): Promise<
    AsyncIterable<{
      readonly text?: string
      readonly functionCalls?: readonly FunctionCall[]
      readonly candidates: readonly { readonly content: Content }[]
    }>
  >
}

function connect({ origin, apiKey }: ClientContext): Models {
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: origin } }).models
}

function secondTurn(answer: Content | undefined): readonly object[] {
  const functionResponse = { name: toolName, response: { result: toolResult } }
  return [asked, answer ?? {}, { role: 'user', parts: [{ functionResponse }] }]
}

function describeCalls(
  calls: readonly FunctionCall[] = [],
): readonly { readonly name: string; readonly input: unknown }[] {
  return calls.map(({ name, args }) => ({ name, input: args }))
}

async function readText(stream: AsyncIterable<{ readonly text?: string }>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk.text ?? ''
  return text
}

/** Its one way. */
export const googleClients: readonly Client[] = [
  {
    name: '@google/genai, generateContent',
    packages: ['@google/genai'],
    baseUrl: 'ORIGIN',
    cases: {
      whole: async (context) => {
        const answer = await connect(context).generateContent({ model, contents: question })
        return said(answer.text)
      },
      stream: async (context) => {
        const stream = await connect(context).generateContentStream({ model, contents: question })
        return said(await readText(stream))
      },
      tools: async (context) => {
        const client = connect(context)
        const first = await client.generateContent({ model, contents: [asked], config: mustCall })
        const second = await client.generateContent({
          model,
          contents: secondTurn(first.candidates[0]?.content),
          config: { tools },
        })
        return { ...said(second.text), calls: describeCalls(first.functionCalls) }
      },
      'tools, streamed': async (context) => {
        const client = connect(context)
        const stream = await client.generateContentStream({
          model,
          contents: [asked],
          config: mustCall,
        })
        const calls: FunctionCall[] = []
        let content: Content | undefined
        for await (const chunk of stream) {
          calls.push(...(chunk.functionCalls ?? []))
          content ??= chunk.candidates[0]?.content
        }
        const second = await client.generateContentStream({
          model,
          contents: secondTurn(content),
          config: { tools },
        })
        return { ...said(await readText(second)), calls: describeCalls(calls) }
      },
      refusal: async (context) => {
        await connect(context).generateContent({ model: models.unknown, contents: question })
        return said('')
      },
    },
  },
]
