/** The text of a chat answer, as it arrives. Other members of the wire are not this command's business. */

/** Takes pieces of a body and gives the text that they complete. */
export type ChatText = {
  push(piece: Uint8Array): string
  /** What is left when the body has ended. */
  end(): string
}

const maxLineCharacters = 1_048_576
const maxWholeCharacters = 67_108_864

/** Reads `choices[0].delta.content` of a stream of server-sent events. */
export function createStreamText(): ChatText {
  const decoder = new TextDecoder()
  let line = ''
  const take = (text: string): string => {
    const lines = (line + text).split(/\r\n|\n|\r/)
    line = (lines.pop() ?? '').slice(0, maxLineCharacters)
    return lines.map(textOfLine).join('')
  }
  return {
    push: (piece) => take(decoder.decode(piece, { stream: true })),
    end: () => take(`${decoder.decode()}\n`),
  }
}

/** Reads `choices[0].message.content` of a JSON answer; one that is larger than 64 Mi characters has no text. */
export function createWholeText(): ChatText {
  const decoder = new TextDecoder()
  let body = ''
  return {
    push: (piece) => {
      // The gateway decides how long its answer is, not how much memory we give it.
      if (body.length <= maxWholeCharacters) body += decoder.decode(piece, { stream: true })
      return ''
    },
    end: () => contentOf(parse(body + decoder.decode()), 'message'),
  }
}

function textOfLine(line: string): string {
  if (!line.startsWith('data:')) return ''
  const data = line.slice('data:'.length).trim()
  return data === '[DONE]' ? '' : contentOf(parse(data), 'delta')
}

function contentOf(answer: unknown, member: 'delta' | 'message'): string {
  const choices = read(answer, 'choices')
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined
  const content = read(read(choice, member), 'content')
  return typeof content === 'string' ? content : ''
}

function read(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return new Map<string, unknown>(Object.entries(value)).get(name)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The provider's answer is shown, not judged: what is no JSON has no text.
    return undefined
  }
}
