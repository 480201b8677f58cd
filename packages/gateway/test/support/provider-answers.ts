/** Answers as the providers write them. */

/** One pixel or less: what is sent is not looked at. */
export const pixel = 'iVBORw0KGgo='

const usage = { input_tokens: 7, output_tokens: 5, cache_read_input_tokens: 2 }

/** A whole message of Anthropic's wire. */
export const claudeMessage = (content: readonly object[], more: object = {}): string =>
  JSON.stringify({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-5-20250929',
    content,
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage,
    ...more,
  })

/** A whole answer of OpenAI's chat wire. */
export const chatMessage = (message: object, finish_reason = 'stop'): string =>
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-4.1-mini-2025-04-14',
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason }],
    usage: {
      prompt_tokens: 7,
      completion_tokens: 5,
      total_tokens: 12,
      prompt_tokens_details: { cached_tokens: 2 },
    },
  })

/** A whole answer of Google's wire. */
export const geminiAnswer = (parts: readonly object[], more: object = {}): string =>
  JSON.stringify({
    candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP', index: 0, ...more }],
    usageMetadata: {
      promptTokenCount: 7,
      candidatesTokenCount: 5,
      thoughtsTokenCount: 3,
      totalTokenCount: 15,
    },
    modelVersion: 'gemini-2.5-flash-001',
    responseId: 'r1',
  })

/** Named events. */
export const events = (...payloads: readonly { readonly type: string }[]): readonly string[] =>
  payloads.map((payload) => `event: ${payload.type}\ndata: ${JSON.stringify(payload)}\n\n`)

/** Events without a name. */
export const data = (...payloads: readonly (object | string)[]): readonly string[] =>
  payloads.map(
    (payload) => `data: ${typeof payload === 'string' ? payload : JSON.stringify(payload)}\n\n`,
  )
