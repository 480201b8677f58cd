/** The report that Azure's paravisor leaves in its TPM (spec/attestation.md AT18.8). Nothing in it is verified here. */
import { AttestationError } from '../attestation-error.ts'

/** What of the report becomes evidence. */
export type HclReport = {
  /** `amd-sev-snp`: a signed report. `intel-tdx`: a TDREPORT, which the host's service has made a quote of. */
  readonly hardware: 'amd-sev-snp' | 'intel-tdx'
  readonly report: Uint8Array
  /** The paravisor's statement: JSON. */
  readonly runtimeData: Uint8Array
}

/** Where it is. */
export const hclReportIndex = 0x01400001

const signature = 'HCLA'
const reportAt = 32
const dataAt = reportAt + 1184
const headBytes = 20
const sha256Type = 1
const kinds: ReadonlyMap<number, readonly [HclReport['hardware'], number]> = new Map([
  [2, ['amd-sev-snp', 1184]],
  [4, ['intel-tdx', 1024]],
])

/**
 * Takes the report apart. What stands behind it means nothing: the index is larger.
 *
 * @throws AttestationError `attester-malformed`.
 */
export function parseHclReport(stored: Uint8Array): HclReport {
  const bytes = Buffer.from(stored)
  if (bytes.length < dataAt + headBytes || bytes.toString('latin1', 0, 4) !== signature) {
    throw malformed()
  }
  const [hardware, sizeBytes = 0] = kinds.get(bytes.readUInt32LE(dataAt + 8)) ?? []
  const length = bytes.readUInt32LE(dataAt + 16)
  const start = dataAt + headBytes
  const isWhole = length > 0 && length <= bytes.length - start
  if (hardware === undefined || bytes.readUInt32LE(dataAt + 12) !== sha256Type || !isWhole) {
    throw malformed()
  }
  return {
    hardware,
    report: Uint8Array.from(bytes.subarray(reportAt, reportAt + sizeBytes)),
    runtimeData: Uint8Array.from(bytes.subarray(start, start + length)),
  }
}

function malformed(): AttestationError {
  return new AttestationError('attester-malformed', 'report of the paravisor')
}
