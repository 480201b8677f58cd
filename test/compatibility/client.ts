/** What every client of the matrix is asked to do. */

/** One path through one client. */
export interface Client {
  /** As the matrix calls it. */
  readonly name: string
  /** Packages that take part, the first one first. */
  readonly packages: readonly string[]
  /** What it must be given, as a reader would write it. */
  readonly baseUrl: string
  readonly cases: Readonly<Record<CaseName, (context: ClientContext) => Promise<Outcome>>>
}

/** The columns of the matrix. */
export const caseNames = ['whole', 'stream', 'tools', 'tools, streamed', 'refusal'] as const

/** One column. */
export type CaseName = (typeof caseNames)[number]

/** Where to call, and as whom. */
export interface ClientContext {
  /** Origin of the gateway. */
  readonly origin: string
  readonly apiKey: string
}

/** What the client made of the answers. `calls` are the tools that the model called. */
export interface Outcome {
  readonly text: string
  readonly calls: readonly { readonly name: string; readonly input: unknown }[]
}

/** Where a client wants the version in its base URL, and where not. */
export const models = {
  openai: 'gpt-loopback',
  anthropic: 'claude-loopback',
  google: 'gemini-loopback',
  xai: 'grok-loopback',
  unknown: 'no-such-model',
} as const

/** What is asked, and what the tool says. */
export const question = 'Why?'
export const toolName = 'look_up'
export const toolResult = 'It is sunny, 21 degrees.'
export const toolDescription = 'Looks up the weather.'

/** The parameters of the tool as JSON Schema. */
export const toolSchema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
} as const

/** An answer without calls of tools. */
export function said(text: unknown): Outcome {
  return { text: String(text), calls: [] }
}

/** Joins what a stream yields. */
export async function joinText(pieces: AsyncIterable<unknown>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += typeof piece === 'string' ? piece : ''
  return text
}
