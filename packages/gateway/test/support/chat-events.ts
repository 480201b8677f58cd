/** The events of a chat stream, for an upstream that sends them one by one. */
import type { ServerResponse } from 'node:http'

/** An event of a chat stream. */
export const chunk = (content: string, more: object = {}): string => {
  const choices = [{ index: 0, delta: { content }, finish_reason: null }]
  return `data: ${JSON.stringify({ id: 'c', model: 'm', choices, ...more })}\n\n`
}
/** What the fourth of these events counts. */
export const usage = { prompt_tokens: 40, completion_tokens: 60, total_tokens: 100 }
/** A whole stream. */
export const events = [
  chunk('one'),
  chunk('two'),
  chunk('three'),
  `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [], usage })}\n\n`,
  'data: [DONE]\n\n',
]

/** Sends the head of a stream. */
export function beginStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.flushHeaders()
}
