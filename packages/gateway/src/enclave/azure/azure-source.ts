/**
 * Evidence of Azure confidential machines (spec/attestation.md AT18): the paravisor's report and a quote of its TPM by
 * the key that the hardware vouches for.
 */
import { encodeAzureEvidence } from '@countersign/protocol/attestation/azure/azure-evidence'
import type { MeasuredEvent } from '@countersign/protocol/attestation/tpm/measured-log'
import { nativeSha256 } from '../../keys/native-sha256.ts'
import { AttestationError } from '../attestation-error.ts'
import type { EvidenceSource } from '../evidence-source.ts'
import { measureGateway } from '../tpm/measure-gateway.ts'
import { quoteAsEvidence, quotedPcrs, readLogs } from '../tpm/quote-evidence.ts'
import { readPersistentKey } from '../tpm/tpm-client.ts'
import { readNv } from '../tpm/tpm-nv.ts'
import { withTpm } from '../tpm/tpm-session.ts'
import type { TpmAddress, TpmTransport } from '../tpm/tpm-transport.ts'
import { openAzureMetadata, type AzureMetadata } from './azure-metadata.ts'
import { hclReportIndex, parseHclReport, type HclReport } from './hcl-report.ts'

/** Which TPM, what of it, and where the metadata service is. */
export type AzureOptions = {
  readonly address: TpmAddress
  readonly timeoutMs: number
  readonly pcrs: readonly number[]
  readonly applicationPcr: number
  /** What to measure before any key is made. */
  readonly events: readonly MeasuredEvent[]
  readonly metadataUrl: string
  readonly bootLogFile?: string
}

type Hardware = {
  readonly report: Uint8Array
  readonly collateral: ReadonlyMap<string, Uint8Array>
}

const akHandle = 0x81000003
const reportedTcb = [0x180, 0x188] as const
const chipId = [0x1a0, 0x1e0] as const

/**
 * Measures the gateway and gives the source of evidence.
 *
 * @throws AttestationError, `measurement-conflict` and `attester-malformed` on another machine among others.
 */
export async function createAzureSource(options: AzureOptions): Promise<EvidenceSource> {
  const { address, timeoutMs, applicationPcr: pcr, events } = options
  const { hardware } = await withTpm(address, timeoutMs, async (tpm) => {
    const report = await readReport(tpm)
    await measureGateway(tpm, { pcr, events })
    return report
  })
  const pcrs = quotedPcrs(options.pcrs, pcr)
  const logs = await readLogs({ pcr, events }, options.bootLogFile)
  const readHardware = createHardwareReader(openAzureMetadata(options.metadataUrl, timeoutMs))
  return {
    kind: `${hardware}-azure`,
    attest: async (reportData) => {
      const { hcl, quote } = await withTpm(address, timeoutMs, async (tpm) => {
        const key = await readPersistentKey(tpm, akHandle)
        return {
          quote: await quoteAsEvidence(tpm, key, nativeSha256(reportData), pcrs),
          hcl: await readReport(tpm),
        }
      })
      // A machine that moved to other hardware is another one: it starts anew.
      if (hcl.hardware !== hardware) throw new AttestationError('attester-malformed', hcl.hardware)
      const { report, collateral } = await readHardware(hcl)
      const { runtimeData } = hcl
      const raw = encodeAzureEvidence({ report, runtimeData, quote })
      return { raw, collateral: new Map([...collateral, ...logs]) }
    },
  }
}

async function readReport(tpm: TpmTransport): Promise<HclReport> {
  // On Azure the owner may read it, with an empty password.
  const stored = await readNv(tpm, hclReportIndex, 'owner')
  if (stored === undefined) {
    throw new AttestationError(
      'attester-malformed',
      'no report of a paravisor: no confidential machine',
    )
  }
  return parseHclReport(stored)
}

/** Certificates are for one firmware of one chip: as long as the report names the same, they are asked for once. */
function createHardwareReader(metadata: AzureMetadata): (hcl: HclReport) => Promise<Hardware> {
  // Owned by the function below.
  let known: { readonly of: string; readonly collateral: Hardware['collateral'] } | undefined
  return async ({ hardware, report }) => {
    if (hardware === 'intel-tdx') {
      return { report: await metadata.quoteReport(report), collateral: new Map() }
    }
    const of = [reportedTcb, chipId]
      .map(([start, end]) => Buffer.from(report.subarray(start, end)).toString('hex'))
      .join()
    if (known?.of !== of) known = { of, collateral: await metadata.readCertificates() }
    return { report, collateral: known.collateral }
  }
}
