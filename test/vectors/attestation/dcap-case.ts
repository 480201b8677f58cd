/** One case about a quote. */
import { dcapAsOfMs, dcapRoot, forgeDcap, type DcapEdits } from './dcap-evidence.ts'
import type { EvidenceCase } from './evidence-case.ts'

type Failed = NonNullable<EvidenceCase['failed']>
/** A name, what is wrong, what must fail, the kind. */
export type DcapRow = readonly [
  name: string,
  edits: DcapEdits,
  failed?: Failed,
  kind?: 'sgx' | 'tdx',
]

/** A case about good evidence with edits. */
export function dcapCase(
  clause: string,
  [name, edits, failed = {}, kind = 'tdx']: DcapRow,
): EvidenceCase {
  return {
    name: `${kind}: ${name}`,
    clause,
    platform: kind === 'tdx' ? 'intel-tdx' : 'intel-sgx',
    ...forgeDcap(kind, edits),
    asOfMs: dcapAsOfMs,
    roots: [dcapRoot],
    failed,
  }
}
