/** Distinguished names: read only where a vendor puts a role into one. */
import { decodeUtf8 } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { openSequence } from './der.ts'
import { oidTag, sequenceTag } from './der-numbers.ts'

const setTag = 0x31
// 2.5.4.3
const commonName = '550403'
const code = 'certificate-malformed'

/**
 * The common name in a Name, `undefined` when there is none or more than one.
 *
 * @throws EvidenceError `certificate-malformed`.
 */
export function commonNameOf(name: Uint8Array): string | undefined {
  const names: (string | undefined)[] = []
  const sequence = openSequence(name, code)
  while (sequence.peek() !== undefined) {
    const attribute = sequence.open(setTag).open(sequenceTag)
    const id = toHex(attribute.take(oidTag).content)
    const text = decodeUtf8(attribute.take(attribute.peek() ?? 0).content)
    if (id === commonName) names.push(text)
  }
  return names.length === 1 ? names[0] : undefined
}
