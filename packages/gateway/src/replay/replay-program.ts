/**
 * Runs a translation again from kept bytes, for `countersign verify --replay` (spec/translation.md TR8). It needs no
 * gateway, no key and no network, and prints one line of JSON.
 */
import { hash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { adapterVersion, findAdapterByName, type Adapter } from '../translation/adapters.ts'
import { AnswerNotTranslatable } from '../translation/answer-part.ts'
import { adapterDigest } from '../translation/generated/adapter-digest.ts'
import { NotTranslatable } from '../translation/members.ts'
import { isObject, parseJson } from '../metering/read-json.ts'
import type { AnswerContext } from '../translation/translate-answer.ts'
import { loadTranslator, type Translator } from '../translation/translator.ts'

const usage = `Usage: replay-program --request FILE --upstream-response FILE --terms JSON

Translates the request and the provider's answer again. Terms: {"name", "upstreamModel", "id", "receivedMs", "status",
"returnedBytes"}, all as the receipt says. Prints {"digest", "version", "forwarded", "returned"}.`
const exitUsage = 64
const maxFileBytes = 268_435_456

type Terms = {
  readonly adapter: Adapter
  readonly upstreamModel: string
  readonly id: string
  readonly receivedMs: number
  readonly status: number
  readonly returnedBytes: number
}

/** What a translation came to: bytes by their length and SHA-256, or why there are none. */
type Made =
  | {
      readonly bytes: number
      readonly sha256: string
      readonly wholeBytes?: number
      readonly path?: string
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly refused: string }

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      request: { type: 'string' },
      'upstream-response': { type: 'string' },
      terms: { type: 'string' },
    },
  })
  const terms = readTerms(values.terms ?? '')
  const { request, 'upstream-response': answer } = values
  if (terms === undefined || request === undefined || answer === undefined) {
    process.stderr.write(`${usage}\n`)
    process.exitCode = exitUsage
    return
  }
  const result = await replay(terms, readBounded(request), readBounded(answer))
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

async function replay(terms: Terms, request: Buffer, answer: Buffer): Promise<object> {
  const translator = await loadTranslator()
  const common = { digest: adapterDigest, version: adapterVersion }
  try {
    const { adapter, upstreamModel } = terms
    const made = await translator.request(adapter, upstreamModel, request)
    const forwarded: Made = { ...describe(made.body), path: made.path, headers: made.headers }
    const context = { ...terms, caller: made.caller }
    return {
      ...common,
      forwarded,
      returned: await replayAnswer(translator, context, terms, answer),
    }
  } catch (error) {
    if (!(error instanceof NotTranslatable)) throw error
    const refused = `"${error.member}" ${error.message}`
    return { ...common, forwarded: { refused }, returned: { refused } }
  }
}

async function replayAnswer(
  translator: Translator,
  context: AnswerContext,
  { adapter, status, returnedBytes }: Terms,
  answer: Buffer,
): Promise<Made> {
  const { isStream } = context.caller
  if (status >= 400)
    return describeReturned(translator.error(adapter, status, answer), returnedBytes)
  try {
    const made = isStream
      ? await replayStream(translator, context, answer)
      : await translator.whole(context, answer)
    return describeReturned(made, returnedBytes)
  } catch (error) {
    if (error instanceof AnswerNotTranslatable) return { refused: error.message }
    throw error
  }
}

async function replayStream(
  translator: Translator,
  context: AnswerContext,
  answer: Buffer,
): Promise<Buffer> {
  const pieces: Buffer[] = []
  const stream = translator.stream(context, (bytes) => {
    pieces.push(bytes)
    return true
  })
  stream.push(answer)
  await stream.end()
  return Buffer.concat(pieces)
}

/** A caller who left has had a beginning. */
function describeReturned(made: Buffer, returnedBytes: number): Made {
  return { ...describe(made.subarray(0, returnedBytes)), wholeBytes: made.length }
}

function describe(body: Buffer): { readonly bytes: number; readonly sha256: string } {
  return { bytes: body.length, sha256: hash('sha256', body, 'hex') }
}

function readTerms(text: string): Terms | undefined {
  const json = parseJson(text)
  if (!isObject(json)) return undefined
  const { name, upstreamModel, id, receivedMs, status, returnedBytes } = json
  const adapter = typeof name === 'string' ? findAdapterByName(name) : undefined
  if (adapter === undefined || typeof upstreamModel !== 'string' || typeof id !== 'string') {
    return undefined
  }
  if (!isCount(receivedMs) || !isCount(status) || !isCount(returnedBytes)) return undefined
  return { adapter, upstreamModel, id, receivedMs, status, returnedBytes }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function readBounded(path: string): Buffer {
  if (statSync(path).size > maxFileBytes) throw new Error(`${path} is larger than 256 MiB`)
  return readFileSync(path)
}

await main()
