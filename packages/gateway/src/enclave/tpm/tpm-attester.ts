/** Evidence from a TPM 2.0: a quote over measured boot and over the gateway, by a key that was enrolled. */
import { readFile } from 'node:fs/promises'
import {
  encodeTpmEvidence,
  tpmCollateral,
} from '@countersign/protocol/attestation/tpm/tpm-evidence'
import {
  encodeMeasuredLog,
  type MeasuredEvent,
} from '@countersign/protocol/attestation/tpm/measured-log'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { nativeSha256 } from '../../keys/native-sha256.ts'
import { AttestationError } from '../attestation-error.ts'
import type { EvidenceSource } from '../evidence-source.ts'
import { measureGateway } from './measure-gateway.ts'
import { openEndorsedKey, type AkSource } from './endorsed-key.ts'
import { withPrimary, withTpm } from './tpm-session.ts'
import { hasSha256Bank, quotePcrs, readPcrs, type TpmKey, type TpmQuoted } from './tpm-client.ts'
import type { TpmAddress, TpmTransport } from './tpm-transport.ts'

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

type Quoted = {
  readonly key: TpmKey
  readonly quoted: TpmQuoted
  readonly values: readonly Uint8Array[]
}

// A PCR that moves between quote and reading shows in the digest; boot is over, so that is rare.
const maxQuotes = 5

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
  const pcrs = [...new Set([...options.pcrs, pcr])].toSorted((a, b) => a - b)
  const collateral = new Map<string, Uint8Array>([
    ak.collateral,
    [tpmCollateral.measuredLog, encodeMeasuredLog(log)] as const,
  ])
  if (options.bootLogFile !== undefined) {
    collateral.set(tpmCollateral.bootLog, await readBootLog(options.bootLogFile))
  }
  return {
    kind: 'tpm',
    attest: (reportData) =>
      withTpm(address, timeoutMs, async (tpm) => {
        const { key, quoted, values } = await quoteStable(
          tpm,
          ak.template,
          nativeSha256(reportData),
          pcrs,
        )
        const raw = encodeTpmEvidence({
          attest: quoted.attest,
          signature: quoted.signature,
          akPublic: key.public.bytes,
          pcrValues: values,
        })
        return { raw, collateral }
      }),
  }
}

async function readBootLog(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    throw new AttestationError('attester-unreachable', file, { cause })
  }
}

/** A quote, and PCR values that it is over. */
function quoteStable(
  tpm: TpmTransport,
  template: Uint8Array,
  qualifyingData: Uint8Array,
  pcrs: readonly number[],
): Promise<Quoted> {
  return withPrimary(tpm, template, async (key) => {
    for (let attempt = 0; attempt < maxQuotes; attempt++) {
      const quoted = await quotePcrs(tpm, key, qualifyingData, pcrs)
      const values = await readPcrs(tpm, pcrs)
      const digest = nativeSha256(Buffer.concat(values))
      if (equalBytes(digest, quoted.quote.pcrDigest)) return { key, quoted, values }
    }
    throw new AttestationError('attester-malformed', 'PCRs do not stand still')
  })
}
