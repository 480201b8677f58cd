/** A quote with its log, and what both show: the part that evidence of all TPMs has in common (spec/attestation.md AT15). */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { digest } from '../../crypto/digest.ts'
import { verifySignature } from '../../crypto/verify-signature.ts'
import type { PlatformEvidence } from '../appraisal.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { checkBootLog } from '../event-log/boot-log.ts'
import { sha256Bank } from '../event-log/tcg-log.ts'
import { parseMeasuredLog, replayEvents, type MeasuredLog } from './measured-log.ts'
import { parseTpmEvidence, tpmCollateral, type TpmEvidence } from './tpm-evidence.ts'
import { tpmHashes } from './tpm-public.ts'

/** A parsed quote and what the gateway says that it measured. */
export type QuotedLog = { readonly tpm: TpmEvidence; readonly log: MeasuredLog | undefined }

type Collateral = PlatformEvidence['collateral']

/**
 * Parses by AT15.1, AT15.2 and AT15.8.
 *
 * @throws EvidenceError `tpm-malformed`, `event-log-malformed`.
 */
export function parseQuotedLog(bytes: Uint8Array, collateral: Collateral): QuotedLog {
  const log = collateral.get(tpmCollateral.measuredLog)
  return {
    tpm: parseTpmEvidence(bytes),
    log: log === undefined ? undefined : parseMeasuredLog(log),
  }
}

/**
 * Judges by AT15.4, AT15.8 and AT15.9.
 *
 * @throws EvidenceError `tpm-key`, `tpm-quote-signature-invalid`, `tpm-pcr-mismatch`, `event-log-…`.
 */
export async function checkQuotedLog(
  { tpm, log }: QuotedLog,
  collateral: Collateral,
): Promise<void> {
  await checkQuote(tpm)
  checkLogs(tpm, log, collateral)
}

/** What a policy compares (AT15.11). */
export function measurementsOf({ tpm: { quote, pcrs }, log }: QuotedLog): Map<string, string> {
  const measurements = new Map<string, string>([
    ['selection', toBitmap(pcrs.keys())],
    ['resets', quote.resetCount.toString(16).padStart(8, '0')],
    ['restarts', quote.restartCount.toString(16).padStart(8, '0')],
  ])
  for (const [pcr, value] of pcrs) measurements.set(`pcr${pcr}`, toHex(value))
  for (const event of log?.events ?? []) measurements.set(event.name, toHex(event.digest))
  return measurements
}

/** Deviations from the safest settings (AT15.3). */
export function settingsOf({ tpm: { quote } }: QuotedLog): readonly string[] {
  return quote.isClockSafe ? [] : ['clock-unsafe']
}

/** The AK signed the quote, and the values shown are those whose digest it signed. */
async function checkQuote({ attest, quote, signature, ak, pcrs }: TpmEvidence): Promise<void> {
  const hash = tpmHashes.get(signature.hash) ?? refuse('tpm-key')
  // A restricted key fixes its scheme: any other was not made by a TPM.
  refuseUnless(ak.schemeHash === signature.hash, 'tpm-key')
  const scheme = { name: signature.name, hash }
  const isSigned = await verifySignature(ak.key, scheme, signature.bytes, attest)
  refuseUnless(isSigned, 'tpm-quote-signature-invalid')
  const pcrDigest = await digest(hash, concatBytes(...pcrs.values()))
  refuseUnless(equalBytes(pcrDigest, quote.pcrDigest), 'tpm-pcr-mismatch')
}

/** Logs are only claims until they lead to the values that were signed. */
function checkLogs(
  { pcrs }: TpmEvidence,
  log: MeasuredLog | undefined,
  collateral: Collateral,
): void {
  if (log !== undefined) {
    const value = pcrs.get(log.pcr)
    const isProven = value !== undefined && equalBytes(value, replayEvents(log.events))
    refuseUnless(isProven, 'event-log-mismatch', 'measured log')
  }
  const bootLog = collateral.get(tpmCollateral.bootLog)
  if (bootLog !== undefined) checkBootLog(bootLog, sha256Bank, pcrs)
}

function toBitmap(pcrs: Iterable<number>): string {
  let bitmap = 0
  for (const pcr of pcrs) bitmap |= 1 << pcr
  return toHex(Uint8Array.of(bitmap, bitmap >> 8, bitmap >> 16))
}
