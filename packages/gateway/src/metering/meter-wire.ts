/** Which way of counting goes with which call: the path decides, and for two paths the provider (spec/metering.md ME4). */
import { isGooglePath } from '../http/wire-routes.ts'
import type { MeterWire } from './observe-usage.ts'

const byPath: ReadonlyMap<string, MeterWire> = new Map([
  ['/v1/chat/completions', 'openai-chat'],
  ['/v1/completions', 'openai-chat'],
  ['/v1/embeddings', 'openai-chat'],
  ['/v1/moderations', 'openai-chat'],
  ['/v1/responses', 'openai-responses'],
  ['/v1/images/generations', 'openai-images'],
  ['/v1/images/edits', 'openai-images'],
  ['/v1/images/variations', 'openai-images'],
  ['/v1/audio/speech', 'openai-speech'],
  ['/v1/audio/transcriptions', 'openai-transcription'],
  ['/v1/audio/translations', 'openai-transcription'],
  ['/v1/messages', 'anthropic'],
  ['/v1beta/interactions', 'google-interactions'],
])
const googleMethods: ReadonlySet<string> = new Set([
  'generateContent',
  'streamGenerateContent',
  'embedContent',
  'batchEmbedContents',
])

/** How a call to this path, without its query, is counted; `undefined` for paths that no provider bills. */
export function findMeterWire(
  provider: 'openai' | 'anthropic' | 'google' | 'xai',
  path: string,
): MeterWire | undefined {
  const wire = byPath.get(path)
  if (wire === undefined && isGooglePath(path)) {
    return googleMethods.has(path.slice(path.lastIndexOf(':') + 1)) ? 'google' : undefined
  }
  if (provider !== 'xai') return wire
  if (wire === 'openai-chat') return 'xai-chat'
  return wire === 'openai-responses' ? 'xai-responses' : wire
}
