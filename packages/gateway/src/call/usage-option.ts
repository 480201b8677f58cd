/**
 * Asks the provider of a chat stream for its usage, where the caller did not (spec/receipt.md RC4.11): one insertion
 * into the very bytes of the body.
 */
import { scanTopLevel, type MemberSpan } from './scan-json.ts'
import type { Splice } from './splice.ts'

const option = '"include_usage":true'
const member = 'stream_options'

/**
 * What adds the option to a body; `undefined` where there is nothing to add: the call is no stream, the caller said
 * something about usage, or what stands there can be read in two ways.
 *
 * @param members - the top-level members of the body, by `scanTopLevel`.
 */
export function createUsageOption(
  body: Buffer,
  members: ReadonlyMap<string, MemberSpan>,
): Splice | undefined {
  const stream = members.get('stream')
  if (stream === undefined || tokenAt(body, stream) !== 'true') return undefined
  // Some providers take "Stream_Options" for the same: they would have two of them then.
  for (const name of members.keys()) {
    if (name !== member && name.toLowerCase() === member) return undefined
  }
  const span = members.get(member)
  if (span === undefined) return insertAt(stream.end, `,"${member}":{${option}}`)
  return tokenAt(body, span) === 'null'
    ? { span, text: `{${option}}` }
    : insertIntoObject(body, span)
}

function insertIntoObject(body: Buffer, { start, end }: MemberSpan): Splice | undefined {
  const inner = scanTopLevel(body.subarray(start, end))
  if (typeof inner === 'string') return undefined
  for (const name of inner.keys()) if (name.toLowerCase() === 'include_usage') return undefined
  return insertAt(start + 1, inner.size === 0 ? option : `${option},`)
}

function insertAt(offset: number, text: string): Splice {
  return { span: { start: offset, end: offset }, text }
}

function tokenAt(body: Buffer, { start, end }: MemberSpan): string {
  return end - start > 8 ? '' : body.toString('latin1', start, end)
}
