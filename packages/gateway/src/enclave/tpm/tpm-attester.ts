/** Evidence from a TPM 2.0: a quote over measured boot and over the gateway, by a key that was enrolled. */
import type { MeasuredEvent } from '@countersign/protocol/attestation/tpm/measured-log'
import { nativeSha256 } from '../../keys/native-sha256.ts'
import { AttestationError } from '../attestation-error.ts'
import type { EvidenceSource } from '../evidence-source.ts'
import { measureGateway } from './measure-gateway.ts'
import { openEndorsedKey, type AkSource } from './endorsed-key.ts'
import { quoteAsEvidence, quotedPcrs, readLogs } from './quote-evidence.ts'
import { hasSha256Bank } from './tpm-client.ts'
import { withPrimary, withTpm } from './tpm-session.ts'
import type { TpmAddress } from './tpm-transport.ts'

/** Which TPM, and what of it. */
export type TpmAttesterOptions = {
  readonly address: TpmAddress
  /** Bounds each command; a key can take a TPM of hardware some seconds. */
  readonly timeoutMs: number
  /** PCRs to quote, of the SHA-256 bank; `applicationPcr` is always among them. */
  readonly pcrs: readonly number[]
  readonly applicationPcr: number
  /** What to measure before any key is made. */
  readonly events: readonly MeasuredEvent[]
  readonly endorsement: AkSource
  /** The firmware's event log, where the kernel shows one. */
  readonly bootLogFile?: string
}

/**
 * Measures the gateway and gives the source of evidence.
 *
 * @throws AttestationError, `measurement-conflict` and `enrolment-mismatch` among others.
 */
export async function createTpmAttester(options: TpmAttesterOptions): Promise<EvidenceSource> {
  const { address, timeoutMs, applicationPcr: pcr, events, endorsement } = options
  const log = { pcr, events }
  const ak = await withTpm(address, timeoutMs, async (tpm) => {
    if (!(await hasSha256Bank(tpm))) {
      throw new AttestationError('attester-malformed', 'the TPM keeps no SHA-256 bank')
    }
    const endorsed = await openEndorsedKey(tpm, endorsement)
    await measureGateway(tpm, log)
    return endorsed
  })
  const pcrs = quotedPcrs(options.pcrs, pcr)
  const logs = await readLogs(log, options.bootLogFile)
  const collateral = new Map<string, Uint8Array>([ak.collateral, ...logs])
  return {
    kind: 'tpm',
    attest: (reportData) =>
      withTpm(address, timeoutMs, (tpm) =>
        withPrimary(tpm, ak.template, async (key) => {
          const raw = await quoteAsEvidence(tpm, key, nativeSha256(reportData), pcrs)
          return { raw, collateral }
        }),
      ),
  }
}
