/** A quote with its log, and what both show: the part that evidence of all TPMs has in common (spec/attestation.md AT15). */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import {
  verifySignature,
  type HashName,
  type SignatureScheme,
} from '../../crypto/verify-signature.ts'
import type { PlatformEvidence } from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { checkBootLog } from '../event-log/boot-log.ts'
import { sha256Bank } from '../event-log/tcg-log.ts'
import { parseMeasuredLog, replayEvents, type MeasuredLog } from './measured-log.ts'
import { toPublicKey } from './tpm-endorsement.ts'
import { parseTpmEvidence, tpmCollateral, type TpmEvidence } from './tpm-evidence.ts'
import { tpmAlgorithm, tpmHash } from './tpm-public.ts'

/** A parsed quote and what the gateway says that it measured. */
export type QuotedLog = { readonly tpm: TpmEvidence; readonly log: MeasuredLog | undefined }

type Collateral = PlatformEvidence['collateral']

const hashNames: ReadonlyMap<number, HashName> = new Map([
  [tpmAlgorithm.sha256, 'SHA-256'],
  [tpmAlgorithm.sha384, 'SHA-384'],
])

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
  for (const { name, digest } of log?.events ?? []) measurements.set(name, toHex(digest))
  return measurements
}

/** Deviations from the safest settings (AT15.3). */
export function settingsOf({ tpm: { quote } }: QuotedLog): readonly string[] {
  return quote.isClockSafe ? [] : ['clock-unsafe']
}

/** The AK signed the quote, and the values shown are those whose digest it signed. */
async function checkQuote({ attest, quote, signature, ak, pcrs }: TpmEvidence): Promise<void> {
  const scheme = toScheme(signature.scheme, signature.hash)
  // A restricted key fixes its scheme: any other was not made by a TPM.
  if (scheme === undefined || ak.schemeHash !== signature.hash) throw new EvidenceError('tpm-key')
  const isSigned = await verifySignature(toPublicKey(ak), scheme, signature.bytes, attest)
  if (!isSigned) throw new EvidenceError('tpm-quote-signature-invalid')
  const digest = await tpmHash(signature.hash, concatBytes(...pcrs.values()))
  if (!equalBytes(digest, quote.pcrDigest)) throw new EvidenceError('tpm-pcr-mismatch')
}

/** Logs are only claims until they lead to the values that were signed. */
function checkLogs(
  { pcrs }: TpmEvidence,
  log: MeasuredLog | undefined,
  collateral: Collateral,
): void {
  if (log !== undefined) {
    const value = pcrs.get(log.pcr)
    if (value === undefined || !equalBytes(value, replayEvents(log.events))) {
      throw new EvidenceError('event-log-mismatch', 'measured log')
    }
  }
  const bootLog = collateral.get(tpmCollateral.bootLog)
  if (bootLog !== undefined) checkBootLog(bootLog, sha256Bank, pcrs)
}

function toScheme(scheme: 'ecdsa' | 'rsassa', hash: number): SignatureScheme | undefined {
  const name = hashNames.get(hash)
  if (name === undefined) return undefined
  return { name: scheme === 'ecdsa' ? 'ECDSA' : 'RSASSA-PKCS1-v1_5', hash: name }
}

function toBitmap(pcrs: Iterable<number>): string {
  let [low, middle, high] = [0, 0, 0]
  for (const pcr of pcrs) {
    if (pcr < 8) low |= 1 << pcr
    else if (pcr < 16) middle |= 1 << (pcr - 8)
    else high |= 1 << (pcr - 16)
  }
  return toHex(Uint8Array.of(low, middle, high))
}
