/**
 * Adds OpenGradient's members to answers (spec/opengradient.md OG3). The provider's bytes stay where they are: of a JSON
 * answer members are added before its last brace, to a stream one event is added before its last.
 */
import { createEventSplitter } from '@countersign/protocol/receipt/event-chain'
import { dataOf } from '../metering/event-data.ts'
import { isObject, parseJson } from '../metering/read-json.ts'
import { describeToolCall, type SignedWire } from './open-gradient-hash.ts'
import type { OpenGradientSigner, TeeMembers } from './open-gradient-signer.ts'
import {
  dumpPythonJson,
  isPythonList,
  isPythonNumber,
  isPythonObject,
  parsePythonJson,
  type PythonObject,
  type PythonValue,
} from './python-json.ts'

/** How a receipt names this change of an answer. */
export const openGradientTransform = 'opengradient/1'

/** What one answer is signed with. */
export type AnswerSigning = {
  readonly wire: SignedWire
  readonly signer: OpenGradientSigner
  readonly requestHash: Uint8Array
  readonly nowMs: () => number
}

/** A whole answer with its members; `undefined` for a body that holds no answer. */
export function signWhole(signing: AnswerSigning, body: Buffer): Buffer | undefined {
  const answer = parseObject(body)
  const choice = answer && firstChoice(answer)
  const end = body.lastIndexOf('}')
  if (choice === undefined || end < 0) return undefined
  const isChat = signing.wire === 'openai-chat'
  const output = isChat ? readMessage(choice) : textAt(choice, 'text')
  const members = signOutput(signing, output)
  const added = isChat ? members : { ...members, completion: output }
  const text = JSON.stringify(added).slice(1, -1)
  return Buffer.concat([body.subarray(0, end), Buffer.from(`,${text}`), body.subarray(end)])
}

/** Owner of one stream. Takes bytes as they come, gives what is to be returned. */
export type SignedStream = {
  push(bytes: Buffer): readonly Buffer[]
  /** What is left when the upstream has ended. */
  end(): Buffer
}

/** Passes every event on and puts one in front of `[DONE]`; a stream without it stays as it is, unsigned. */
export function createSignedStream(signing: AnswerSigning): SignedStream {
  const splitter = createEventSplitter()
  const seen = createObserver()
  return {
    push: (bytes) =>
      splitter.push(bytes).flatMap((event) => {
        const whole = Buffer.from(event.buffer, event.byteOffset, event.length)
        const data = dataOf(whole)
        if (data.toString('latin1') !== '[DONE]') {
          seen.take(data)
          return [whole]
        }
        const final = seen.describe((output) => signOutput(signing, output))
        return [Buffer.from(`data: ${JSON.stringify(final)}\n\n`), whole]
      }),
    end: () => Buffer.from(splitter.end().element),
  }
}

function signOutput({ signer, requestHash, nowMs }: AnswerSigning, output: string): TeeMembers {
  return signer.sign(requestHash, output, nowMs())
}

type Observer = {
  take(data: Buffer): void
  /** The last frame of a stream, as OpenGradient's own gateway writes it. */
  describe(sign: (output: string) => TeeMembers): object
}

/** Gathers what the chunks of a stream say of the first choice. */
function createObserver(): Observer {
  // Owned here.
  let text = ''
  let finish: string | null = null
  let model = ''
  let usage: unknown
  const calls = new Map<string, Map<string, PythonValue>>()

  function takeDelta(delta: PythonObject): void {
    text += textAt(delta, 'content')
    const pieces = delta.get('tool_calls')
    if (isPythonList(pieces)) for (const piece of pieces) takeCall(calls, piece)
  }

  return {
    take(data) {
      const chunk = parseObject(data)
      if (chunk === undefined) return
      model = textAt(chunk, 'model') || model
      if (isPythonObject(chunk.get('usage'))) usage = toPlainUsage(data)
      const choice = firstChoice(chunk)
      // A chunk of another choice stands alone in its list.
      if (choice === undefined || indexOf(choice) !== '0') return
      const delta = choice.get('delta')
      if (isPythonObject(delta)) takeDelta(delta)
      text += textAt(choice, 'text')
      finish = textAt(choice, 'finish_reason') || finish
    },
    describe(sign) {
      const ordered = [...calls].toSorted(([a], [b]) => Number(a) - Number(b))
      const made = ordered.map(([, call]) => describeToolCall(call))
      const isCalling = finish === 'tool_calls' && made.length > 0
      const members = sign(isCalling ? dumpPythonJson(made) : text)
      return {
        choices: [{ delta: {}, index: 0, finish_reason: finish }],
        model,
        ...members,
        ...(usage === undefined ? {} : { usage }),
      }
    },
  }
}

function takeCall(calls: Map<string, Map<string, PythonValue>>, piece: PythonValue): void {
  if (!isPythonObject(piece)) return
  const index = indexOf(piece)
  const call = calls.get(index) ?? new Map<string, PythonValue>()
  calls.set(index, call)
  for (const name of ['id', 'type'])
    if (textAt(piece, name) !== '') call.set(name, textAt(piece, name))
  const more = piece.get('function')
  if (!isPythonObject(more)) return
  const so = call.get('function')
  const called = isPythonObject(so) ? so : new Map<string, PythonValue>()
  call.set(
    'function',
    new Map([
      ['name', textAt(more, 'name') || textAt(called, 'name')],
      ['arguments', textAt(called, 'arguments') + textAt(more, 'arguments')],
    ]),
  )
}

/** What a whole answer's message says. */
function readMessage(choice: PythonObject): string {
  const message = choice.get('message')
  if (!isPythonObject(message)) return ''
  const calls = message.get('tool_calls')
  const isCalling = choice.get('finish_reason') === 'tool_calls'
  if (isCalling && isPythonList(calls) && calls.length > 0) {
    return dumpPythonJson(calls.map(describeToolCall))
  }
  return textAt(message, 'content')
}

function firstChoice(answer: PythonObject): PythonObject | undefined {
  const choices = answer.get('choices')
  const first = isPythonList(choices) ? choices[0] : undefined
  return isPythonObject(first) ? first : undefined
}

function indexOf(object: PythonObject): string {
  const index = object.get('index')
  return isPythonNumber(index) ? index.token : '0'
}

function textAt(object: PythonObject, name: string): string {
  const value = object.get(name)
  return typeof value === 'string' ? value : ''
}

/** The provider's own figures; other members of the chunk stay where they are. */
function toPlainUsage(data: Buffer): unknown {
  const chunk = parseJson(data.toString('utf8'))
  return isObject(chunk) ? chunk['usage'] : undefined
}

function parseObject(bytes: Buffer): PythonObject | undefined {
  try {
    const value = parsePythonJson(bytes.toString('utf8'))
    return isPythonObject(value) ? value : undefined
  } catch {
    // The provider's own fault: it is passed on, and not signed.
    return undefined
  }
}
