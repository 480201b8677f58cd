import { expect, test } from 'vitest'
import { absence, hasRecordings } from '../../../../test/provider/recordings.ts'
import { splitEvents } from '@countersign/protocol/receipt/event-chain'
import { findAdapterByName } from '../../src/translation/adapters.ts'
import { AnswerNotTranslatable } from '../../src/translation/answer-part.ts'
import type { AnswerContext } from '../../src/translation/translate-answer.ts'
import { loadTranslator } from '../../src/translation/translator.ts'
import { readRecordings, type RecordedAnswer } from '../metering/recordings.ts'
import expected from './expected-outcomes.json' with { type: 'json' }

const translator = await loadTranslator()
const adapters: ReadonlyMap<string, readonly [name: string, model: string]> = new Map([
  ['anthropic', ['openai-chat-to-anthropic-messages', 'claude-sonnet-4-5']],
  ['google', ['openai-chat-to-google-generate', 'gemini-2.5-flash']],
  ['openai-chat', ['anthropic-messages-to-openai-chat', 'gpt-4.1-mini']],
])
const id = '0123456789abcdef0123456789abcdef'

async function contextFor(wire: string, isStream: boolean): Promise<AnswerContext | undefined> {
  const [name = '', upstreamModel = ''] = adapters.get(wire) ?? []
  const adapter = findAdapterByName(name)
  if (adapter === undefined) return undefined
  const messages = [{ role: 'user', content: 'x' }]
  const usage =
    isStream && adapter.source === 'openai-chat' ? { stream_options: { include_usage: true } } : {}
  const body = JSON.stringify({ model: 'm', max_tokens: 9, messages, stream: isStream, ...usage })
  const { caller } = await translator.request(adapter, upstreamModel, Buffer.from(body))
  return { adapter, upstreamModel, caller, id, receivedMs: 1_700_000_000_000 }
}

async function translateStream(
  context: AnswerContext,
  pieces: readonly Buffer[],
): Promise<{ readonly outcome: string; readonly text: string }> {
  const written: Buffer[] = []
  const stream = translator.stream(context, (bytes) => {
    written.push(bytes)
    return true
  })
  for (const piece of pieces) stream.push(piece)
  const { kind } = await stream.end()
  return { outcome: kind, text: Buffer.concat(written).toString() }
}

async function translateAnswer(
  context: AnswerContext,
  answer: RecordedAnswer,
): Promise<{ readonly outcome: string; readonly text: string }> {
  if (answer.kind === 'stream') return translateStream(context, answer.events)
  try {
    const body = await translator.whole(context, answer.body)
    return { outcome: 'finished', text: body.toString() }
  } catch (error) {
    if (!(error instanceof AnswerNotTranslatable)) throw error
    return { outcome: 'failed', text: '' }
  }
}

test.skipIf(!hasRecordings)(
  `every recorded answer is translated, or refused by name${absence}`,
  async () => {
    const outcomes: Record<string, readonly string[]> = {}
    for (const { path, wire, answers } of readRecordings()) {
      for (const answer of answers) {
        const context = await contextFor(wire, answer.kind === 'stream')
        if (context === undefined) continue
        const { outcome, text } = await translateAnswer(context, answer)
        outcomes[path] = [...(outcomes[path] ?? []), outcome]
        expect(text.includes('[DONE]') || text.includes('message_stop'), path).toBe(
          answer.kind === 'stream' && outcome === 'finished',
        )
        if (outcome === 'finished') expect(saidBy(answer), path).toBe(saidTo(answer.kind, text))
      }
    }
    expect(outcomes).toEqual(expected)
  },
)

test.skipIf(!hasRecordings)(
  `a stream is translated to the same bytes however it is cut${absence}`,
  async () => {
    const random = createRandom(20_261_121)
    let streams = 0
    for (const { path, wire, answers } of readRecordings()) {
      const context = await contextFor(wire, true)
      const [answer] = answers
      if (context === undefined || answer?.kind !== 'stream') continue
      const bytes = Buffer.concat(answer.events)
      if (bytes.length > 40_000) continue
      streams++
      const whole = await translateStream(context, [bytes])
      expect(await translateStream(context, cut(bytes, random)), `${path}, seed 20261121`).toEqual(
        whole,
      )
      expect(await translateStream(context, answer.events), path).toEqual(whole)
    }
    expect(streams).toBeGreaterThan(8)
  },
)

/** All text that the provider's bytes say, in the words of its own wire. */
function saidBy(answer: RecordedAnswer): string {
  const bodies = answer.kind === 'body' ? [answer.body.toString()] : answer.events.map(dataOf)
  return bodies.flatMap((body) => collect(parse(body), false)).join('')
}

/** All text that the caller is told. */
function saidTo(kind: RecordedAnswer['kind'], text: string): string {
  const bodies =
    kind === 'body'
      ? [text]
      : splitEvents(Buffer.from(text)).events.map((event) => dataOf(Buffer.from(event)))
  return bodies.flatMap((body) => collect(parse(body), false)).join('')
}

function dataOf(event: Buffer): string {
  return event.toString().replace(/^[^]*?data: /, '')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Texts at the members that hold an answer's text on any of the wires. */
function collect(value: unknown, isText: boolean): readonly string[] {
  if (typeof value === 'string') return isText ? [value] : []
  if (typeof value !== 'object' || value === null) return []
  if ('type' in value && value.type === 'thinking') return []
  if ('thought' in value && value.thought === true) return []
  return Object.entries(value).flatMap(([name, member]) => {
    if (name === 'usage' || name === 'usageMetadata') return []
    return collect(member, name === 'text' || name === 'content' || name === 'refusal')
  })
}

function cut(bytes: Buffer, random: () => number): readonly Buffer[] {
  const pieces: Buffer[] = []
  for (let start = 0; start < bytes.length;) {
    const end = start + 1 + Math.floor(random() * 40)
    pieces.push(bytes.subarray(start, end))
    start = end
  }
  return pieces
}

function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
