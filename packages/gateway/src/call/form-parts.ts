/** Reads a form of parts (RFC 7578) in the one way in which all providers read it; anything else is refused. */
import { nativeSha256 } from '../keys/native-sha256.ts'
import type { MemberSpan } from './scan-json.ts'

/** One part, by what a receipt says of it. */
export type FormPart = {
  readonly name: string
  readonly isFile: boolean
  /** Its content as bytes of the body, `end` exclusive. */
  readonly span: MemberSpan
  readonly sha256: Uint8Array
}

/** Why a form cannot be read. */
export type FormFault =
  | 'no-boundary'
  | 'no-start'
  | 'no-end'
  | 'too-many-parts'
  | 'part-headers-too-large'
  | 'part-header-malformed'

const maxParts = 64
const maxPartHeaderBytes = 4096
const lineEnd = Buffer.from('\r\n')
const headerEnd = Buffer.from('\r\n\r\n')
// The characters of RFC 2046 that no parser splits differently.
const boundaryForm =
  /^multipart\/form-data;[ \t]*boundary=(?:"([0-9A-Za-z'()+_,./:=?-]{1,70})"|([0-9A-Za-z'+_.-]{1,70}))[ \t]*$/i
const disposition =
  /^form-data;[ \t]*name="([^"\\\r\n]{1,64})"(;[ \t]*filename="(?:[^"\\\r\n]|\\[^\r\n]){0,1024}")?(?:;[ \t]*filename\*=[^\r\n;"]{1,1024})?[ \t]*$/i

/** The boundary that a Content-Type names, when it names nothing else. */
export function readBoundary(contentType: string): string | undefined {
  const [, quoted, plain] = boundaryForm.exec(contentType.trim()) ?? []
  return quoted ?? plain
}

/** The parts of a body, in their order. */
export function parseForm(body: Buffer, boundary: string): readonly FormPart[] | FormFault {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const parts: FormPart[] = []
  const first = delimiter.subarray(lineEnd.length)
  if (!body.subarray(0, first.length).equals(first)) return 'no-start'
  let offset = first.length
  for (;;) {
    const mark = body.toString('latin1', offset, offset + 2)
    if (mark === '--') return isEnd(body, offset + 2) ? parts : 'no-end'
    if (mark !== '\r\n') return 'no-end'
    if (parts.length === maxParts) return 'too-many-parts'
    const headersStart = offset + 2
    const headersEnd = body.indexOf(headerEnd, offset)
    if (headersEnd < 0 || headersEnd - headersStart > maxPartHeaderBytes) {
      return 'part-headers-too-large'
    }
    const start = headersEnd + headerEnd.length
    const end = body.indexOf(delimiter, headersEnd + lineEnd.length)
    if (end < 0 || end < start) return 'no-end'
    const named = readName(body.toString('utf8', headersStart, headersEnd))
    if (named === undefined) return 'part-header-malformed'
    parts.push({ ...named, span: { start, end }, sha256: nativeSha256(body.subarray(start, end)) })
    offset = end + delimiter.length
  }
}

/** After the last boundary there is nothing but the end of its line. */
function isEnd(body: Buffer, offset: number): boolean {
  return offset === body.length || body.subarray(offset).equals(lineEnd)
}

function readName(
  headers: string,
): { readonly name: string; readonly isFile: boolean } | undefined {
  const lines = headers.split('\r\n').map((line) => /^([A-Za-z-]{1,64}):[ \t]*(.*)$/.exec(line))
  const dispositions = lines.filter((line) => line?.[1]?.toLowerCase() === 'content-disposition')
  // An encoded part would be read as something else than its bytes.
  const isOdd = lines.some(
    (line) => line === null || /^content-transfer-encoding$/i.test(line[1] ?? ''),
  )
  if (isOdd || dispositions.length !== 1) return undefined
  const match = disposition.exec(dispositions[0]?.[2] ?? '')
  const name = match?.[1]
  if (name === undefined || !name.isWellFormed()) return undefined
  return { name, isFile: match?.[2] !== undefined || / filename\*=/i.test(headers) }
}
