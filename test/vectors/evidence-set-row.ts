/** A row of the cases of evidence sets: what is judged, and what its author says must come out. */
import { encodeEvidenceSet } from '@countersign/protocol/attestation/evidence-set'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  askedOf,
  setPolicy,
  setReportData,
  setTimeMs,
  type AskedPlatform,
  type Piece,
} from './attestation/forge-set.ts'
import { judgeStoredSet, type StoredSetCase } from './evidence-set-case.ts'

/** What its author says must come out: verdict, or code; and of pieces `platform check code-or-reason`. */
export type Wanted = {
  readonly ends: string
  readonly tier?: string
  /** Each piece's checks that failed, all of them. */
  readonly failed?: readonly string[]
  /** Some of those that are open. */
  readonly open?: readonly string[]
}

/** A case to be. Without `asked`, the policy lists the platforms of the pieces. */
export type Row = Wanted & {
  readonly name: string
  readonly clause: string
  readonly pieces?: readonly Piece[]
  readonly data?: Uint8Array
  readonly minVendors?: number
  readonly asked?: readonly AskedPlatform[]
  readonly policy?: object
  /** What the case leaves out. */
  readonly without?: 'knownSince' | 'reportData'
  readonly given?: Partial<Pick<StoredSetCase, 'asOf' | 'knownSince' | 'reportData'>>
}

const { snp, azure, enclave, nitroTpm } = askedOf
const all: readonly AskedPlatform[] = [snp, azure, enclave, nitroTpm]

/**
 * The case as it is stored.
 *
 * @throws Error when something else comes out than its author named.
 */
export async function judgeRow(row: Row): Promise<StoredSetCase> {
  const { name, clause, pieces = [], minVendors = 2, policy = {}, given } = row
  const used = all.filter(({ platform }) => pieces.some(([held]) => held === platform))
  const asked = row.asked ?? (used.length === 0 ? [enclave] : used)
  const stored = {
    name,
    clause,
    policy: toBase64url(encodeUtf8(setPolicy(minVendors, asked, policy))),
    data: toBase64url(row.data ?? encodeEvidenceSet(new Map(pieces))),
    asOf: setTimeMs,
    ...(row.without === 'knownSince' ? {} : { knownSince: setTimeMs }),
    ...(row.without === 'reportData' ? {} : { reportData: toHex(setReportData) }),
    ...given,
  }
  const expect = await judgeStoredSet(stored)
  refuseSurprise(row, expect)
  return { ...stored, expect }
}

function refuseSurprise(row: Row, outcome: StoredSetCase['expect']): void {
  const { name, ends, tier = '', failed = [], open: left = [] } = row
  const isSame =
    'code' in outcome
      ? outcome.code === ends
      : outcome.verdict === ends &&
        outcome.tier === tier &&
        listEnds(outcome, 'failed').join() === failed.join() &&
        left.every((each) => listEnds(outcome, 'not-checked').includes(each))
  if (!isSame) throw new Error(`"${name}" gave ${JSON.stringify(outcome)}`)
}

function listEnds(
  { pieces }: Exclude<StoredSetCase['expect'], { code: string }>,
  status: string,
): readonly string[] {
  return pieces.flatMap(({ platform, checks }) =>
    checks.flatMap(([id, end, detail]) => (end === status ? [`${platform} ${id} ${detail}`] : [])),
  )
}
