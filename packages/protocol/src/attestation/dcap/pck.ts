/** What Intel says of a processor, in the extension of its certificate (spec/attestation.md AT7.3). */
import { toHex } from '../../bytes/text-encoding.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import type { Certificate } from '../x509/certificate.ts'
import { openSequence, type DerReader } from '../x509/der.ts'
import { octetStringTag, oidTag, sequenceTag } from '../x509/der-numbers.ts'
import { tcbComponents } from '../limits.ts'

/** The processor and its firmware. Identifiers are lower-case hex. */
export type PckClaims = {
  readonly ppid: string
  readonly fmspc: string
  readonly pceId: string
  readonly pceSvn: number
  /** The sixteen security versions. */
  readonly componentSvns: readonly number[]
}

// 1.2.840.113741.1.13.1, in hex.
const base = '2a864886f84d010d01'
const code = 'pck-malformed'

/**
 * Reads the extension.
 *
 * @throws EvidenceError `pck-malformed`.
 */
export function readPckClaims({ extensions }: Certificate): PckClaims {
  const { value } = extensions.get(base) ?? refuse(code)
  const values = readValues(openSequence(value, code), base)
  const tcb = readValues(values('02').open(sequenceTag), `${base}02`)
  const octets = (arc: string, length: number): string => {
    const { content } = values(arc).take(octetStringTag)
    refuseUnless(content.length === length, code)
    return toHex(content)
  }
  const svn = (arc: number): number => tcb(toHex(Uint8Array.of(arc))).small()
  return {
    ppid: octets('01', 16),
    pceId: octets('03', 2),
    fmspc: octets('04', 6),
    pceSvn: svn(tcbComponents + 1),
    componentSvns: Array.from({ length: tcbComponents }, (_, at) => svn(at + 1)),
  }
}

/** Readers that stand before each value, by the hex of the last arc of the identifier before it. */
function readValues(list: DerReader, parent: string): (arc: string) => DerReader {
  const values = new Map<string, DerReader>()
  for (const fields of list.openAll()) {
    const id = toHex(fields.take(oidTag).content)
    refuseUnless(!values.has(id), code)
    values.set(id, fields)
  }
  return (arc) => values.get(parent + arc) ?? refuse(code)
}
