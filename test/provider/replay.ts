/**
 * Replays recorded answers of real providers. A `.json` recording is one body, served as it is; a
 * `.chunks.txt` recording has one SSE payload a line, and the folder says how it was framed.
 */
import { readFile, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { doneEvent } from './answer.ts'
import { writeFrames } from './behaviour.ts'
import type { Behaviour } from './behaviour.ts'
import { toObject } from './chat-request.ts'
import { invalidRequest, modelNotFound } from './provider-error.ts'

/** How the payload lines of a stream recording become events. */
interface Framing {
  /** Payload member that names the event, or null for events without `event:` line. */
  readonly eventNameMember: string | null
  readonly lineEnd: '\n' | '\r\n'
  readonly endsWithDone: boolean
}

const chatFraming: Framing = { eventNameMember: null, lineEnd: '\n', endsWithDone: true }
const namedFraming: Framing = { eventNameMember: 'type', lineEnd: '\n', endsWithDone: false }

const framingByFolder: readonly (readonly [folder: string, framing: Framing])[] = [
  ['openai/chat/', chatFraming],
  ['openai/completion/', chatFraming],
  ['xai/native/', chatFraming],
  ['openai/responses/', namedFraming],
  ['xai/responses/', namedFraming],
  ['anthropic/', namedFraming],
  ['google/native/', { eventNameMember: null, lineEnd: '\r\n', endsWithDone: false }],
  ['google/interactions/', { ...namedFraming, eventNameMember: 'event_type' }],
]

/** Serves `replay:<relative path>`. Paths that could leave the folder are refused with 400. */
export const replay: Behaviour = async (exchange, context) => {
  const relative = context.argument
  if (!isInnerPath(relative)) {
    await exchange.refuse(invalidRequest('A recording is named by a plain relative path.', 'model'))
    return
  }
  const bytes = await readRecording(context.recordingsDir, relative)
  if (bytes === undefined) {
    await exchange.refuse(modelNotFound(context.chat.model))
    return
  }
  if (relative.endsWith('.json')) {
    const status = toRecordedStatus(bytes)
    await exchange.answer(status, { 'content-type': 'application/json' }, bytes)
    return
  }
  exchange.start(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  await writeFrames(exchange, context, frameRecording(relative, bytes))
  await exchange.finish()
}

function frameRecording(relativePath: string, recording: Buffer): readonly Uint8Array[] {
  const framing =
    framingByFolder.find(([folder]) => relativePath.startsWith(folder))?.[1] ?? chatFraming
  const events = splitLines(recording).map((line) => frameLine(framing, line))
  return framing.endsWithDone ? [...events, doneEvent] : events
}

function frameLine({ eventNameMember, lineEnd }: Framing, line: Buffer): Uint8Array {
  const data = [Buffer.from('data: '), line, Buffer.from(lineEnd + lineEnd)]
  if (eventNameMember === null) return Buffer.concat(data)
  const payload: unknown = JSON.parse(line.toString())
  const name = toObject(payload)?.[eventNameMember]
  const head = typeof name === 'string' ? `event: ${name}${lineEnd}` : ''
  return Buffer.concat([Buffer.from(head), ...data])
}

/** Lines between LF bytes; empty ones, such as after the last LF, are no payload. */
function splitLines(recording: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < recording.length;) {
    const lineFeed = recording.indexOf(0x0a, start)
    const end = lineFeed === -1 ? recording.length : lineFeed
    if (end > start) lines.push(recording.subarray(start, end))
    start = end + 1
  }
  return lines
}

/** A recorded error body came with an error status; the recordings do not keep which one. */
function toRecordedStatus(body: Buffer): number {
  const parsed: unknown = JSON.parse(body.toString())
  const error = toObject(toObject(parsed)?.['error'])
  if (error === undefined || toObject(parsed)?.['id'] !== undefined) return 200
  const code = error['code']
  if (typeof code === 'number' && code >= 400 && code <= 599) return code
  return code === 'insufficient_quota' ? 429 : 400
}

function isInnerPath(relative: string): boolean {
  const segments = relative.split('/')
  const isNamed = segments.every((name) => /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(name))
  return isNamed && /\.(?:json|chunks\.txt)$/.test(relative)
}

async function readRecording(
  directory: string | null,
  relative: string,
): Promise<Buffer | undefined> {
  if (directory === null) return undefined
  try {
    const root = await realpath(directory)
    const file = await realpath(join(root, relative))
    return file.startsWith(root + sep) ? await readFile(file) : undefined
  } catch {
    return undefined
  }
}
