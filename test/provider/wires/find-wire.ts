/** Which wire a path of the loopback provider speaks. */
import { createAnswer, toDataEvent } from '../answer.ts'
import { parseChatRequest } from '../chat-request.ts'
import { countTokensWire, messagesWire } from './anthropic-messages.ts'
import { findGoogleWire } from './google-generate.ts'
import {
  completionsWire,
  embeddingsWire,
  imagesWire,
  moderationsWire,
  speechWire,
  transcriptionsWire,
} from './openai-others.ts'
import { responsesWire } from './openai-responses.ts'
import type { ProviderWire } from './wire.ts'

/** Chat completions. */
const chatWire: ProviderWire = {
  parse: ({ body }) => parseChatRequest(body),
  createAnswer: (chat, { body }, nowMs) => createAnswer(chat, body, nowMs),
  failure: toDataEvent({
    error: {
      message: 'The server had an error while processing your request.',
      type: 'server_error',
      param: null,
      code: 'server_error',
    },
  }),
}

const byPath: ReadonlyMap<string, ProviderWire> = new Map([
  ['/v1/chat/completions', chatWire],
  ['/v1/responses', responsesWire],
  ['/v1/completions', completionsWire],
  ['/v1/embeddings', embeddingsWire],
  ['/v1/moderations', moderationsWire],
  ['/v1/images/generations', imagesWire],
  ['/v1/images/edits', imagesWire],
  ['/v1/images/variations', imagesWire],
  ['/v1/audio/speech', speechWire],
  ['/v1/audio/transcriptions', transcriptionsWire],
  ['/v1/audio/translations', transcriptionsWire],
  ['/v1/messages', messagesWire],
  ['/v1/messages/count_tokens', countTokensWire],
])

/** The wire of a POST; undefined for paths that are not served. */
export function findWire(path: string): ProviderWire | undefined {
  if (path.startsWith('/v1beta/models/')) {
    return findGoogleWire(path.slice(path.lastIndexOf(':') + 1))
  }
  return byPath.get(path)
}

/** The headers in which the owners of these paths look for a key. */
export function credentialHeaderOf(path: string): 'authorization' | 'x-api-key' | 'x-goog-api-key' {
  if (path.startsWith('/v1beta/')) return 'x-goog-api-key'
  return path.startsWith('/v1/messages') ? 'x-api-key' : 'authorization'
}
