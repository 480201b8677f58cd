/** The recorded answers of real providers: lists them, frames them as their wires do, knows how each is metered. */
import { readdirSync, readFileSync } from 'node:fs'
import { hasRecordings, recordingsDir as folder } from '../../../../test/provider/recordings.ts'
import type { MeterWire } from '../../src/metering/observe-usage.ts'
import { isObject, objectAt, parseJson } from '../../src/metering/read-json.ts'

/** One HTTP answer of a recording. */
export type RecordedAnswer =
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'stream'; readonly events: readonly Buffer[] }

/** One file. */
export type Recording = {
  readonly path: string
  readonly wire: MeterWire
  readonly answers: readonly RecordedAnswer[]
}

const wires: readonly (readonly [start: string, wire: MeterWire, framing: Framing])[] = [
  ['openai/chat/', 'openai-chat', 'done'],
  ['openai/completion/', 'openai-chat', 'done'],
  ['openai/embedding/', 'openai-chat', 'done'],
  ['openai/image/', 'openai-images', 'done'],
  ['openai/transcription/', 'openai-transcription', 'done'],
  ['openai/responses/', 'openai-responses', 'type'],
  ['xai/native/', 'xai-chat', 'done'],
  ['xai/responses/', 'xai-responses', 'type'],
  ['anthropic/', 'anthropic', 'type'],
  ['google/native/', 'google', 'crlf'],
  ['google/interactions/', 'google-interactions', 'event_type'],
]

type Framing = 'done' | 'crlf' | 'type' | 'event_type'

/** All recordings, in the order of their paths. */
export function readRecordings(): readonly Recording[] {
  if (!hasRecordings) return []
  return readdirSync(folder, { recursive: true })
    .map((path) => String(path).replaceAll('\\', '/'))
    .filter((path) => /\.(?:json|chunks\.txt)$/.test(path))
    .toSorted()
    .map(readRecording)
}

function readRecording(path: string): Recording {
  const known = wires.find(([start]) => path.startsWith(start))
  if (known === undefined) throw new Error(`no wire for ${path}`)
  const [, wire, framing] = known
  const bytes = readFileSync(`${folder}/${path}`)
  if (path.endsWith('.json')) return { path, wire, answers: [{ kind: 'body', body: bytes }] }
  const lines = bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
  const answers = splitAnswers(lines).map((own): RecordedAnswer => {
    const events = own.map((line) => frame(framing, line))
    const end = framing === 'done' ? [Buffer.from('data: [DONE]\n\n')] : []
    return { kind: 'stream', events: [...events, ...end] }
  })
  return { path, wire, answers }
}

/** Some files hold the answers of several calls in a row: each begins with a message of a new id. */
function splitAnswers(lines: readonly string[]): readonly (readonly string[])[] {
  const answers: string[][] = []
  let lastId: unknown
  for (const line of lines) {
    const json = parseJson(line)
    const id = isObject(json) ? objectAt(json, 'message')['id'] : undefined
    if (answers.length === 0 || (id !== undefined && lastId !== undefined && id !== lastId)) {
      answers.push([])
    }
    lastId = id ?? lastId
    answers.at(-1)?.push(line)
  }
  return answers
}

function frame(framing: Framing, line: string): Buffer {
  if (framing === 'done') return Buffer.from(`data: ${line}\n\n`)
  if (framing === 'crlf') return Buffer.from(`data: ${line}\r\n\r\n`)
  const json = parseJson(line)
  const name = isObject(json) ? json[framing] : ''
  return Buffer.from(`event: ${String(name)}\ndata: ${line}\n\n`)
}
