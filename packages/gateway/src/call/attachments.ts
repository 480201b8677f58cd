/** Finds pictures, files and sound inside a JSON body and hashes each as the bytes that it stands for (spec/receipt.md RC4.6). */
import { nativeSha256 } from '../keys/native-sha256.ts'
import { visitMembers } from './visit-members.ts'

/** One attachment. */
export type Attachment = {
  /** Where its base64 text begins in the body. */
  readonly start: number
  /** Bytes that the text decodes to. */
  readonly bytes: number
  readonly sha256: Uint8Array
}

const maxAttachments = 64
const leastCharacters = 64
const maxPrefix = 256
const quote = 0x22
const dataUrl = Buffer.from('data:')
const base64Mark = Buffer.from(';base64,')
const dataMember = Buffer.from('"data"')
const nothingOpaque: ReadonlySet<string> = new Set()

/** The attachments of a body that passed `scanTopLevel`, in their order; those after the 64th are left out. */
export function findAttachments(body: Buffer): readonly Attachment[] {
  // Most bodies have none: two native searches say so.
  if (!body.includes(base64Mark) && !body.includes(dataMember)) return []
  const found: Attachment[] = []
  visitMembers(body, nothingOpaque, (name, _, valueStart) => {
    if (found.length === maxAttachments || body[valueStart] !== quote) return
    const start = startOfBase64(body, name, valueStart + 1)
    // Base64 has no quote and no escape in it: what has one decodes to less than its length says.
    const end = start === undefined ? -1 : body.indexOf(quote, start)
    const attachment = start === undefined ? undefined : decode(body, start, end)
    if (attachment !== undefined) found.push(attachment)
  })
  return found
}

function startOfBase64(body: Buffer, name: string, textStart: number): number | undefined {
  if (body.subarray(textStart, textStart + dataUrl.length).equals(dataUrl)) {
    const mark = body.subarray(textStart, textStart + maxPrefix).indexOf(base64Mark)
    return mark < 0 ? undefined : textStart + mark + base64Mark.length
  }
  return name === 'data' ? textStart : undefined
}

function decode(body: Buffer, start: number, end: number): Attachment | undefined {
  if (end - start < leastCharacters) return undefined
  const text = body.toString('latin1', start, end)
  const characters = text.length - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)
  const bytes = Buffer.from(text, 'base64')
  // The decoder passes over what is no base64.
  if (bytes.length !== Math.floor((characters * 3) / 4) || characters % 4 === 1) return undefined
  return { start, bytes: bytes.length, sha256: nativeSha256(bytes) }
}
