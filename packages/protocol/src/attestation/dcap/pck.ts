/** What Intel says of a processor, in the extension of its certificate (spec/attestation.md AT7.3). */
import { toHex } from '../../bytes/text-encoding.ts'
import { EvidenceError } from '../evidence-errors.ts'
import type { Certificate } from '../x509/certificate.ts'
import { derTags, openSequence, toOidHex, type DerReader } from '../x509/der.ts'

/** The processor and its firmware. Identifiers are lower-case hex. */
export type PckClaims = {
  readonly ppid: string
  readonly fmspc: string
  readonly pceId: string
  readonly pceSvn: number
  /** The sixteen security versions. */
  readonly componentSvns: readonly number[]
}

const base = '1.2.840.113741.1.13.1'
const components = 16

/**
 * Reads the extension.
 *
 * @throws EvidenceError `pck-malformed`.
 */
export function readPckClaims({ extensions }: Certificate): PckClaims {
  const extension = extensions.get(toOidHex(base))
  if (extension === undefined) throw new EvidenceError('pck-malformed')
  const values = readValues(openSequence(extension.value, 'pck-malformed'))
  const tcb = readValues(open(values, `${base}.2`, derTags.sequence))
  const svn = (place: number): number => {
    const fields = tcb.get(toOidHex(`${base}.2.${place}`))
    if (fields === undefined) throw new EvidenceError('pck-malformed')
    return fields.small()
  }
  return {
    ppid: toHex(octets(values, 1, 16)),
    pceId: toHex(octets(values, 3, 2)),
    fmspc: toHex(octets(values, 4, 6)),
    pceSvn: svn(components + 1),
    componentSvns: Array.from({ length: components }, (_, at) => svn(at + 1)),
  }
}

/** Readers that stand before each value, by the hex of the identifier before it. */
function readValues(list: DerReader): ReadonlyMap<string, DerReader> {
  const values = new Map<string, DerReader>()
  while (list.peek() !== undefined) {
    const fields = list.open(derTags.sequence)
    const id = toHex(fields.take(derTags.oid).content)
    if (values.has(id)) throw new EvidenceError('pck-malformed')
    values.set(id, fields)
  }
  return values
}

function open(values: ReadonlyMap<string, DerReader>, id: string, tag: number): DerReader {
  const fields = values.get(toOidHex(id))
  if (fields === undefined) throw new EvidenceError('pck-malformed')
  return fields.open(tag)
}

function octets(values: ReadonlyMap<string, DerReader>, place: number, length: number): Uint8Array {
  const { content } = values.get(toOidHex(`${base}.${place}`))?.take(derTags.octetString) ?? {}
  if (content?.length !== length) throw new EvidenceError('pck-malformed')
  return content
}
