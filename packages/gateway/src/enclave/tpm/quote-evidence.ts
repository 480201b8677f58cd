/** A quote as evidence has it, and the logs that travel beside it. */
import { readFile } from 'node:fs/promises'
import {
  encodeTpmEvidence,
  tpmCollateral,
} from '@countersign/protocol/attestation/tpm/tpm-evidence'
import {
  encodeMeasuredLog,
  type MeasuredLog,
} from '@countersign/protocol/attestation/tpm/measured-log'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { nativeSha256 } from '../../keys/native-sha256.ts'
import { AttestationError } from '../attestation-error.ts'
import { quotePcrs, readPcrs, type TpmKey } from './tpm-client.ts'
import type { TpmTransport } from './tpm-transport.ts'

// A PCR that moves between quote and reading shows in the digest; boot is over, so that is rare.
const maxQuotes = 5

/** What is quoted: what the operator names, and the PCR of the gateway. */
export function quotedPcrs(pcrs: readonly number[], applicationPcr: number): readonly number[] {
  return [...new Set([...pcrs, applicationPcr])].toSorted((a, b) => a - b)
}

/**
 * A quote by this key, and PCR values that it is over (spec/attestation.md AT15.1).
 *
 * @throws AttestationError `attester-malformed` when the PCRs do not stand still.
 */
export async function quoteAsEvidence(
  tpm: TpmTransport,
  key: TpmKey,
  qualifyingData: Uint8Array,
  pcrs: readonly number[],
): Promise<Uint8Array> {
  for (let attempt = 0; attempt < maxQuotes; attempt++) {
    const { attest, signature, quote } = await quotePcrs(tpm, key, qualifyingData, pcrs)
    const pcrValues = await readPcrs(tpm, pcrs)
    const digest = nativeSha256(Buffer.concat(pcrValues))
    if (equalBytes(digest, quote.pcrDigest)) {
      return encodeTpmEvidence({ attest, signature, akPublic: key.public.bytes, pcrValues })
    }
  }
  throw new AttestationError('attester-malformed', 'PCRs do not stand still')
}

/** The logs as collateral: what the gateway measured, and what the firmware did where a file says so. */
export async function readLogs(
  log: MeasuredLog,
  bootLogFile: string | undefined,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const logs = new Map([[tpmCollateral.measuredLog as string, encodeMeasuredLog(log)]])
  if (bootLogFile !== undefined) logs.set(tpmCollateral.bootLog, await readBootLog(bootLogFile))
  return logs
}

async function readBootLog(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    throw new AttestationError('attester-unreachable', file, { cause })
  }
}
