/** PEM certificates (RFC 7468), strict: the text is what encoding the bytes again gives. */
import { decodeUtf8 } from '../../bytes/byte-string.ts'
import { fromBase64 } from '../../bytes/text-encoding.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'

const begin = '-----BEGIN CERTIFICATE-----\n'
const end = '\n-----END CERTIFICATE-----\n'
const lines = /.{1,64}/g

/**
 * The DER of each block, in order: 64 columns, LF, padded base64, nothing around the blocks. The last line end may be
 * missing.
 *
 * @throws EvidenceError `pem-malformed`, also for more than `maxBlocks`.
 */
export function parsePemCertificates(bytes: Uint8Array, maxBlocks = 10): readonly Uint8Array[] {
  const text = decodeUtf8(bytes) ?? refuse('pem-malformed')
  const [before, ...blocks] = (text.endsWith('\n') ? text : `${text}\n`).split(begin)
  const isList = before === '' && blocks.length > 0 && blocks.length <= maxBlocks
  refuseUnless(isList, 'pem-malformed')
  return blocks.map(parseBlock)
}

function parseBlock(block: string): Uint8Array {
  const [wrapped = ''] = block.split(end, 1)
  const base64 = wrapped.replaceAll('\n', '')
  const isCanonical = block === `${String(base64.match(lines)?.join('\n'))}${end}`
  refuseUnless(isCanonical, 'pem-malformed')
  return fromBase64(base64) ?? refuse('pem-malformed')
}
