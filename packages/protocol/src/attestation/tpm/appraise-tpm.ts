/** The verifier of TPM 2.0 quotes (spec/attestation.md). */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import {
  verifySignature,
  type HashName,
  type SignatureScheme,
} from '../../crypto/verify-signature.ts'
import {
  createEvidenceRun,
  EvidenceNotChecked,
  needResult,
  type Appraiser,
  type EvidenceClaims,
  type PlatformEvidence,
} from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { checkBootLog } from '../event-log/boot-log.ts'
import { endsOf } from '../x509/chain.ts'
import { parseMeasuredLog, replayEvents, type MeasuredLog } from './measured-log.ts'
import {
  challengerPin,
  checkEndorsement,
  checkEndorsementDates,
  checkEndorsementRevocation,
  checkEndorsementRoots,
  parseEndorsement,
  toPublicKey,
  type TpmEndorsement,
} from './tpm-endorsement.ts'
import { parseTpmEvidence, tpmCollateral, type TpmEvidence } from './tpm-evidence.ts'
import { isAttestationKey, tpmAlgorithm, tpmHash } from './tpm-public.ts'

const hashNames: ReadonlyMap<number, HashName> = new Map([
  [tpmAlgorithm.sha256, 'SHA-256'],
  [tpmAlgorithm.sha384, 'SHA-384'],
])

/**
 * Appraises a TPM 2.0 quote. `roots` holds the roots of EK or AK certificates, and the challengers that are trusted to
 * enrol. Measurements: `pcr0` … `pcr23`, `selection` (the bitmap of the PCRs quoted), `resets`, `restarts`, and each
 * measured event by its name. A software TPM is told from others by its root alone.
 */
export const appraiseTpm: Appraiser = async (evidence, { asOfMs, roots }) => {
  const run = createEvidenceRun()
  const parsed = await run.check('format', () => ({
    evidence: parseTpmEvidence(evidence.raw),
    log: parseLog(evidence),
  }))
  // Owned here: set by the check of the root, which is the first to need it.
  let endorsement: TpmEndorsement | undefined
  await run.check('root', () => {
    needResult(parsed)
    endorsement = parseEndorsement(evidence)
    checkEndorsementRoots(endorsement, roots)
  })
  const needEndorsement = (): TpmEndorsement => {
    if (endorsement === undefined) throw new EvidenceNotChecked('blocked')
    return endorsement
  }
  await run.check('chain', () =>
    checkEndorsement(needEndorsement(), needResult(parsed).evidence.ak),
  )
  await run.check('validity', () => {
    checkEndorsementDates(needEndorsement(), asOfMs)
  })
  await run.check('revocation', () =>
    checkEndorsementRevocation(needEndorsement(), evidence, asOfMs),
  )
  await run.check('signature', async () => {
    const { evidence: tpm, log } = needResult(parsed)
    await checkQuote(tpm)
    checkLogs(tpm, log, evidence)
  })
  await run.check('debug', () => {
    throw new EvidenceNotChecked('platform-has-none')
  })
  await run.check('configuration', () => {
    if (!isAttestationKey(needResult(parsed).evidence.ak)) throw new EvidenceError('tpm-key')
  })
  const { checks } = run
  if (parsed === undefined) return { platform: 'tpm', checks }
  const claims = toClaims(parsed.value.evidence, parsed.value.log, endorsement)
  return { platform: 'tpm', checks, claims }
}

function parseLog({ collateral }: PlatformEvidence): MeasuredLog | undefined {
  const bytes = collateral.get(tpmCollateral.measuredLog)
  return bytes === undefined ? undefined : parseMeasuredLog(bytes)
}

/** The AK signed the quote, and the values shown are those whose digest it signed. */
async function checkQuote({ attest, quote, signature, ak, pcrs }: TpmEvidence): Promise<void> {
  const scheme = toScheme(signature.scheme, signature.hash)
  // A restricted key fixes its scheme: any other was not made by a TPM.
  if (scheme === undefined || ak.schemeHash !== signature.hash) throw new EvidenceError('tpm-key')
  const isSigned = await verifySignature(toPublicKey(ak), scheme, signature.bytes, attest)
  if (!isSigned) throw new EvidenceError('tpm-quote-signature-invalid')
  const digest = tpmHash(signature.hash, concatBytes(...pcrs.values()))
  if (!equalBytes(digest, quote.pcrDigest)) throw new EvidenceError('tpm-pcr-mismatch')
}

/** Logs are only claims until they lead to the values that were signed. */
function checkLogs(
  { pcrs }: TpmEvidence,
  log: MeasuredLog | undefined,
  { collateral }: PlatformEvidence,
): void {
  if (log !== undefined) {
    const value = pcrs.get(log.pcr)
    if (value === undefined || !equalBytes(value, replayEvents(log.events))) {
      throw new EvidenceError('event-log-mismatch', 'measured log')
    }
  }
  const bootLog = collateral.get(tpmCollateral.bootLog)
  if (bootLog !== undefined) checkBootLog(bootLog, 'sha256', pcrs)
}

function toScheme(scheme: 'ecdsa' | 'rsassa', hash: number): SignatureScheme | undefined {
  const name = hashNames.get(hash)
  if (name === undefined) return undefined
  return { name: scheme === 'ecdsa' ? 'ECDSA' : 'RSASSA-PKCS1-v1_5', hash: name }
}

function toClaims(
  { quote, pcrs }: TpmEvidence,
  log: MeasuredLog | undefined,
  endorsement: TpmEndorsement | undefined,
): EvidenceClaims {
  const ends = endorsement === undefined ? undefined : endsOf(endorsement.chain)
  const measurements = new Map<string, string>([
    ['selection', toBitmap(pcrs.keys())],
    ['resets', quote.resetCount.toString(16).padStart(8, '0')],
    ['restarts', quote.restartCount.toString(16).padStart(8, '0')],
  ])
  for (const [pcr, value] of pcrs) measurements.set(`pcr${pcr}`, toHex(value))
  for (const { name, digest } of log?.events ?? []) measurements.set(name, toHex(digest))
  return {
    root: ends?.root.digest ?? '',
    ...(endorsement?.kind === 'enrolment' ? { otherPins: [challengerPin(endorsement)] } : {}),
    binding: { form: 'sha256', values: [quote.extraData] },
    measurements,
    tcb: { kind: 'none' },
    ...(ends === undefined ? {} : { machine: ends.leaf.digest }),
    settings: quote.isClockSafe ? [] : ['clock-unsafe'],
  }
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
