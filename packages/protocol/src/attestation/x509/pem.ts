/** PEM certificates (RFC 7468), strict: the text is what encoding the bytes again gives. */
import { decodeUtf8 } from '../../bytes/byte-string.ts'
import { fromBase64url, toBase64url } from '../../bytes/text-encoding.ts'
import { EvidenceError } from '../evidence-errors.ts'

const begin = '-----BEGIN CERTIFICATE-----\n'
const end = '-----END CERTIFICATE-----'

/**
 * The DER of each block, in order: 64 columns, LF, padded base64, nothing around the blocks. The last line end may be
 * missing.
 *
 * @throws EvidenceError `pem-malformed`, also for more than `maxBlocks`.
 */
export function parsePemCertificates(bytes: Uint8Array, maxBlocks = 10): readonly Uint8Array[] {
  const text = decodeUtf8(bytes)
  if (text === undefined) throw new EvidenceError('pem-malformed')
  const blocks = text.split(begin)
  const blobs = blocks.slice(1).map(decodeBlock)
  const again = blobs.map(encodeBlock).join('')
  const isCanonical = text === again || `${text}\n` === again
  if (blobs.length === 0 || blobs.length > maxBlocks || !isCanonical) {
    throw new EvidenceError('pem-malformed')
  }
  return blobs
}

function decodeBlock(block: string): Uint8Array {
  const [base64 = ''] = block.split(`\n${end}`, 1)
  const text = base64
    .replaceAll('\n', '')
    .replaceAll('=', '')
    .replaceAll('+', '-')
    .replaceAll('/', '_')
  const blob = fromBase64url(text)
  if (blob === undefined) throw new EvidenceError('pem-malformed')
  return blob
}

function encodeBlock(blob: Uint8Array): string {
  const base64 = toBase64url(blob).replaceAll('-', '+').replaceAll('_', '/')
  const padded = base64.padEnd(Math.ceil(base64.length / 4) * 4, '=')
  let text = begin
  for (let at = 0; at < padded.length; at += 64) text += `${padded.slice(at, at + 64)}\n`
  return `${text}${end}\n`
}
