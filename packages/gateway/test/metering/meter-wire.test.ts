import { expect, test } from 'vitest'
import { findMeterWire } from '../../src/metering/meter-wire.ts'
import { meterWires } from '../../src/metering/observe-usage.ts'

type Call = Parameters<typeof findMeterWire>

const calls: readonly (readonly [...Call, wire: string | undefined])[] = [
  ['openai', '/v1/chat/completions', 'openai-chat'],
  ['xai', '/v1/chat/completions', 'xai-chat'],
  ['openai', '/v1/embeddings', 'openai-chat'],
  ['openai', '/v1/responses', 'openai-responses'],
  ['xai', '/v1/responses', 'xai-responses'],
  ['xai', '/v1/images/generations', 'openai-images'],
  ['openai', '/v1/audio/speech', 'openai-speech'],
  ['openai', '/v1/audio/transcriptions', 'openai-transcription'],
  ['anthropic', '/v1/messages', 'anthropic'],
  ['xai', '/v1/messages', 'anthropic'],
  ['anthropic', '/v1/messages/count_tokens', undefined],
  ['google', '/v1beta/models/gemini:generateContent', 'google'],
  ['google', '/v1beta/models/tuned:x:streamGenerateContent', 'google'],
  ['google', '/v1beta/models/gemini:countTokens', undefined],
  ['google', '/v1beta/models/generateContent', undefined],
  ['google', '/v1beta/interactions', 'google-interactions'],
  ['openai', '/v1/files', undefined],
]

test.each(calls)('%s %s is counted as %s', (provider, path, wire) => {
  expect(findMeterWire(provider, path)).toBe(wire)
})

test('finds every wire by some path', () => {
  expect(new Set(calls.flatMap(([, , wire]) => wire ?? []))).toEqual(new Set(meterWires))
})
