/** `countersign verify --replay`: the translation of a call, run again by the gateway's program (spec/translation.md TR8). */
import { spawn } from 'node:child_process'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { isCborMap, type CborMap, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { ProtocolError } from '@countersign/protocol/errors'
import { parseClaim } from '@countersign/protocol/receipt/claims'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import { ClientError } from '../errors.ts'
import { locateProgram } from '../network/run-program.ts'
import { isJsonMap } from '../pay/base64-json.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintable } from './printable.ts'
import type { Output } from './terminal.ts'

/** One comparison. `not-checked` is never a pass. */
export type ReplayCheck = {
  readonly id: 'upstream-bytes' | 'adapter' | 'forwarded' | 'returned'
  readonly status: 'passed' | 'failed' | 'not-checked'
  readonly detail: string
}

/** The files that a replay reads. */
export type ReplayFiles = {
  readonly request: string
  readonly upstreamResponse: string
  readonly upstreamBytes: Uint8Array
}

const maxOutputCharacters = 65_536
const ids = ['upstream-bytes', 'adapter', 'forwarded', 'returned'] as const

/**
 * Replays the translation that a bundle tells of. That the bundle is genuine is for `verify` to say.
 *
 * @throws ClientError `program-missing`, `program-failed`.
 */
export async function replayTranslation(
  bundle: Uint8Array,
  files: ReplayFiles,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly ReplayCheck[]> {
  const told = readTold(bundle)
  if (typeof told === 'string')
    return ids.map((id) => ({ id, status: 'not-checked', detail: told }))
  const isSame = equalBytes(sha256(files.upstreamBytes), told.upstreamSha256)
  if (!isSame) {
    const others: readonly ReplayCheck[] = ids.slice(1).map((id) => ({
      id,
      status: 'not-checked',
      detail: 'these are not the bytes of the provider',
    }))
    return [{ id: 'upstream-bytes', status: 'failed', detail: 'have another hash' }, ...others]
  }
  const made = await runProgram(files, told, environment)
  return [
    { id: 'upstream-bytes', status: 'passed', detail: `${files.upstreamBytes.length} bytes` },
    ...compare(told, made),
  ]
}

/** The exit code of the comparisons alone. */
export function exitCodeOfReplay(checks: readonly ReplayCheck[]): ExitCode {
  if (checks.some(({ status }) => status === 'failed')) return exitCodes.invalid
  // Which code ran is said by the digest; that its bytes were the same is said by the bytes.
  const needed = checks.filter(({ id }) => id !== 'adapter')
  return needed.every(({ status }) => status === 'passed') ? exitCodes.ok : exitCodes.incomplete
}

/** The comparisons for people, ending with a line feed. */
export function formatReplay(checks: readonly ReplayCheck[], output: Output): string {
  const marks = {
    passed: ['green', '✓'],
    failed: ['red', '✗'],
    'not-checked': ['yellow', '–'],
  } as const
  const lines = checks.map(({ id, status, detail }) => {
    const [style, mark] = marks[status]
    return `${output.style(style, mark)} ${id.padEnd(21)}${toPrintable(detail)}`
  })
  return `\n${[output.style('bold', 'replay of the translation'), ...lines].join('\n')}\n`
}

/** What the receipt tells of the translation. */
type Told = {
  readonly terms: Readonly<Record<string, string | number>>
  readonly upstreamSha256: Uint8Array
  readonly forwarded: {
    readonly sha256: Uint8Array
    readonly path: string
    readonly headers: CborMap
  }
  readonly response: { readonly sha256: Uint8Array; readonly bytes: number }
  readonly isTranslated: boolean
  readonly isComplete: boolean
  readonly digest: Uint8Array
}

/** Or why it cannot be read. */
function readTold(bytes: Uint8Array): Told | string {
  try {
    const bundle = parseBundle(bytes)
    const { payload } = parseStatement(bundle.statement)
    const claims = new Map<string, CborMap>()
    for (const entry of bundle.claims) {
      if (entry.kind !== 'claim') continue
      const { name, value } = parseClaim(entry.bytes)
      if (isCborMap(value)) claims.set(name, value)
    }
    return toTold(toHex(payload.id), claims) ?? 'a claim that it needs is withheld or malformed'
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}

function toTold(id: string, claims: ReadonlyMap<string, CborMap>): Told | undefined | string {
  const translation = claims.get('translation')
  if (translation === undefined) return 'the receipt tells of no translation'
  const at = (claim: string, member: string): CborValue | undefined =>
    claims.get(claim)?.get(member)
  const name = translation.get('name')
  const path = translation.get('path')
  const digest = translation.get('digest')
  const headers = translation.get('headers')
  const upstreamModel = at('routing', 'model') ?? at('model', 'requested')
  const receivedMs = at('timing', 'received')
  const status = at('upstream-response', 'status')
  const upstreamSha256 = at('upstream-response', 'sha256')
  const forwardedSha256 = at('forwarded', 'sha256')
  const responseSha256 = at('response', 'sha256')
  const bytes = at('response', 'bytes')
  if (typeof name !== 'string' || typeof path !== 'string' || typeof upstreamModel !== 'string')
    return undefined
  if (typeof receivedMs !== 'number' || typeof status !== 'number' || typeof bytes !== 'number')
    return undefined
  if (!isBytes(upstreamSha256) || !isBytes(forwardedSha256)) return undefined
  if (!isBytes(responseSha256) || !isBytes(digest)) return undefined
  if (headers === undefined || !isCborMap(headers)) return undefined
  return {
    terms: { name, upstreamModel, id, receivedMs, status, returnedBytes: bytes },
    upstreamSha256,
    forwarded: { sha256: forwardedSha256, path, headers },
    response: { sha256: responseSha256, bytes },
    isTranslated: at('response', 'transform') === at('forwarded', 'transform'),
    isComplete: at('outcome', 'state') === 'complete',
    digest,
  }
}

function isBytes(value: CborValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array
}

function compare(told: Told, made: JsonMap): readonly ReplayCheck[] {
  const digest = fromHex(textOf(made.get('digest')))
  const isSameAdapter = digest !== undefined && equalBytes(digest, told.digest)
  const judge = (id: ReplayCheck['id'], difference: string | undefined): ReplayCheck => {
    if (difference === undefined) return { id, status: 'passed', detail: '' }
    // Another adapter may rightly write other bytes: that proves nothing against the receipt.
    return isSameAdapter
      ? { id, status: 'failed', detail: difference }
      : { id, status: 'not-checked', detail: `${difference}, by another adapter` }
  }
  const adapter: ReplayCheck = isSameAdapter
    ? { id: 'adapter', status: 'passed', detail: toHex(told.digest) }
    : { id: 'adapter', status: 'not-checked', detail: `the receipt names ${toHex(told.digest)}` }
  const returned: ReplayCheck = told.isTranslated
    ? judge('returned', differReturned(told, made.get('returned')))
    : { id: 'returned', status: 'not-checked', detail: 'the gateway wrote this answer itself' }
  return [adapter, judge('forwarded', differForwarded(told, made.get('forwarded'))), returned]
}

function differForwarded({ forwarded }: Told, made: JsonValue | undefined): string | undefined {
  if (!isJsonMap(made)) return 'nothing was translated'
  if (made.has('refused')) return `is refused: ${textOf(made.get('refused'))}`
  if (textOf(made.get('path')) !== forwarded.path) return 'goes to another path'
  if (!sameHeaders(forwarded.headers, made.get('headers'))) return 'has other headers'
  return textOf(made.get('sha256')) === toHex(forwarded.sha256) ? undefined : 'has another hash'
}

function differReturned(
  { response, isComplete }: Told,
  made: JsonValue | undefined,
): string | undefined {
  if (!isJsonMap(made)) return 'nothing was translated'
  if (made.has('refused')) return `is refused: ${textOf(made.get('refused'))}`
  if (textOf(made.get('sha256')) !== toHex(response.sha256)) return 'has another hash'
  const isWhole = made.get('wholeBytes') === response.bytes
  return isComplete && !isWhole ? 'is only a beginning of what the provider said' : undefined
}

function sameHeaders(told: CborMap, made: JsonValue | undefined): boolean {
  if (!isJsonMap(made) || made.size !== told.size) return false
  return Array.from(made).every(([name, value]) => told.get(name) === value)
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

async function runProgram(
  { request, upstreamResponse }: ReplayFiles,
  { terms }: Told,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<JsonMap> {
  const args = [
    ...locateProgram('replay'),
    `--request=${request}`,
    `--upstream-response=${upstreamResponse}`,
    `--terms=${JSON.stringify(terms)}`,
  ]
  const child = spawn(process.execPath, args, {
    env: { ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out = (out + text).slice(0, maxOutputCharacters)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-2000)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => reject(new ClientError('program-failed', { cause })))
    child.once('close', resolve)
  })
  const made = code === 0 ? decodeJson(new TextEncoder().encode(out)) : undefined
  if (!isJsonMap(made)) throw new ClientError('program-failed', { detail: `replay: ${errors}` })
  return made
}
