/** Exact changes of a body: bytes put in place of others, everything else as it came. */
import type { MemberSpan } from './scan-json.ts'

/** What stands in a span is replaced by this text; an empty span is an insertion. */
export type Splice = { readonly span: MemberSpan; readonly text: string }

/** The body with all splices, whose spans do not overlap. */
export function applySplices(body: Buffer, splices: readonly Splice[]): Buffer {
  const pieces: Buffer[] = []
  let offset = 0
  for (const { span, text } of splices.toSorted((a, b) => a.span.start - b.span.start)) {
    pieces.push(body.subarray(offset, span.start), Buffer.from(text))
    offset = span.end
  }
  return Buffer.concat([...pieces, body.subarray(offset)])
}
