/** What a request is translated to, or the member that is refused. */
import { findAdapterByName, type Adapter } from '../../src/translation/adapters.ts'
import { NotTranslatable } from '../../src/translation/members.ts'
import { loadTranslator } from '../../src/translation/translator.ts'

const translator = await loadTranslator()
const models = {
  'openai-chat-to-anthropic-messages': 'claude-sonnet-4-5',
  'openai-chat-to-google-generate': 'gemini-2.5-flash',
  'anthropic-messages-to-openai-chat': 'gpt-4.1-mini',
} as const
type Name = keyof typeof models

function adapterOf(name: string): Adapter {
  const adapter = findAdapterByName(name)
  if (adapter === undefined) throw new Error(`no adapter ${name}`)
  return adapter
}

/** The member that is refused, or the body that is forwarded. */
export async function translate(
  name: Name,
  body: object | string,
  model: string = models[name],
): Promise<unknown> {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  try {
    const made = await translator.request(adapterOf(name), model, bytes)
    return JSON.parse(made.body.toString())
  } catch (error) {
    if (error instanceof NotTranslatable) return error.member
    throw error
  }
}

export const user = { role: 'user', content: 'Why?' }
export const toClaude = 'openai-chat-to-anthropic-messages'
export const toGemini = 'openai-chat-to-google-generate'
export const toOpenAi = 'anthropic-messages-to-openai-chat'
