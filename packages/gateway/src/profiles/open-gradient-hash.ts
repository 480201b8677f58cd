/** What the signature of OpenGradient's profile covers (spec/opengradient.md OG2): less than a receipt. */
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import {
  dumpFloat,
  dumpPythonJson,
  isPythonList,
  isPythonNumber,
  isPythonObject,
  isTruthy,
  parsePythonJson,
  type PythonObject,
  type PythonValue,
} from './python-json.ts'

/** A request that the profile does not know how to hash. The message says why. */
export class NotHashable extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'NotHashable'
  }
}

// Hashing so much takes some 60 ms, in which nobody else is served.
const maxHashedBytes = 1_048_576

/** The calls that are signed. */
export type SignedWire = 'openai-chat' | 'openai-completions'

/**
 * Hash of a request, by the body that was received.
 *
 * @throws NotHashable.
 */
export function hashRequest(wire: SignedWire, body: string): Uint8Array {
  const text = dumpPythonJson(describeRequest(wire, body))
  if (text.length > maxHashedBytes)
    throw new NotHashable('it is longer than 1 MiB without its files')
  return hashText(text)
}

/** Hash of a text. */
export function hashText(text: string): Uint8Array {
  return keccak256(Buffer.from(text, 'utf8'))
}

/** The 32 bytes that are signed. */
export function hashMessage(
  requestHash: Uint8Array,
  outputHash: Uint8Array,
  timestampSeconds: number,
): Uint8Array {
  const timestamp = Buffer.alloc(32)
  timestamp.writeBigUInt64BE(BigInt(timestampSeconds), 24)
  return keccak256(Buffer.concat([requestHash, outputHash, timestamp]))
}

/** The `dict` that is hashed. @throws NotHashable. */
export function describeRequest(wire: SignedWire, body: string): PythonObject {
  const request = parse(body)
  const described = new Map<string, PythonValue>([
    ['model', request.get('model') ?? null],
    ['temperature', toFloat(request.get('temperature'))],
  ])
  const maxTokens = request.get('max_tokens') ?? null
  if (maxTokens !== null) described.set('max_tokens', maxTokens)
  keepTruthy(described, request, ['stop'])
  if (wire === 'openai-completions') {
    return described.set('prompt', request.get('prompt') ?? null)
  }
  keepTruthy(described, request, ['tools', 'response_format'])
  if (isTruthy(request.get('web_search'))) described.set('web_search', true)
  const messages = request.get('messages')
  if (!isPythonList(messages)) throw new NotHashable('"messages" must be an array')
  return described.set('messages', messages.map(describeMessage))
}

function parse(body: string): PythonObject {
  try {
    const value = parsePythonJson(body)
    if (isPythonObject(value)) return value
  } catch (error) {
    // Nested deeper than the stack, or no JSON below its top level.
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error
  }
  throw new NotHashable('the body is no JSON object')
}

function toFloat(value: PythonValue | undefined): PythonNumber {
  if (value === undefined || value === null) return { token: '0.0' }
  if (!isPythonNumber(value)) throw new NotHashable('"temperature" must be a number')
  return { token: dumpFloat(value.token) }
}

type PythonNumber = { readonly token: string }

function keepTruthy(
  described: Map<string, PythonValue>,
  request: PythonObject,
  names: readonly string[],
): void {
  for (const name of names) {
    const value = request.get(name)
    if (value !== undefined && isTruthy(value)) described.set(name, value)
  }
}

function describeMessage(message: PythonValue): PythonObject {
  if (!isPythonObject(message)) throw new NotHashable('a message must be an object')
  const named = message.get('role')
  const role = typeof named === 'string' ? named : ''
  const content = message.get('content') ?? null
  switch (role) {
    case 'system':
    case 'developer':
      return toDict([
        ['role', 'system'],
        ['content', content],
      ])
    case 'user':
      return toDict([
        ['role', role],
        ['content', isPythonList(content) ? content.map(describePart) : content],
      ])
    case 'assistant':
      return describeAssistant(message, isTruthy(content) ? content : '')
    case 'tool':
      return toDict([
        ['role', role],
        ['content', content],
        ['tool_call_id', message.get('tool_call_id') ?? null],
      ])
    case 'function':
      return toDict([
        ['role', role],
        ['content', content],
        ['name', message.get('name') ?? null],
      ])
    default:
      throw new NotHashable('a message has a role that the profile does not know')
  }
}

/** Text is kept; of anything else only what it is. The hash says nothing about the bytes of a picture. */
function describePart(part: PythonValue): PythonValue {
  if (!isPythonObject(part)) return part
  const type = part.get('type') ?? null
  if (type === 'text') {
    return toDict([
      ['type', type],
      ['text', part.get('text') ?? ''],
    ])
  }
  const file = part.get('file')
  const filename = isPythonObject(file) ? file.get('filename') : part.get('filename')
  return toDict([
    ['type', type],
    ...(filename === undefined ? [] : [['filename', filename] as const]),
  ])
}

function describeAssistant(message: PythonObject, content: PythonValue): PythonObject {
  const calls = message.get('tool_calls')
  const described: (readonly [string, PythonValue])[] = [
    ['role', 'assistant'],
    ['content', content],
  ]
  if (isPythonList(calls) && calls.length > 0) {
    described.push(['tool_calls', calls.map(describeToolCall)])
  }
  return toDict(described)
}

/** One call of a tool, as it is hashed in requests and in answers. */
export function describeToolCall(call: PythonValue): PythonObject {
  const made = isPythonObject(call) ? call : toDict([])
  const called = made.get('function')
  const name = isPythonObject(called) ? called.get('name') : undefined
  const text = isPythonObject(called) ? called.get('arguments') : undefined
  return toDict([
    ['id', made.get('id') ?? ''],
    ['type', made.get('type') ?? 'function'],
    [
      'function',
      toDict([
        ['name', name ?? ''],
        ['arguments', text ?? ''],
      ]),
    ],
  ])
}

function toDict(members: readonly (readonly [string, PythonValue])[]): PythonObject {
  return new Map(members)
}
