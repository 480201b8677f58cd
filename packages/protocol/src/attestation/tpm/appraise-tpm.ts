/** The verifier of TPM 2.0 quotes (spec/attestation.md). */
import {
  createEvidenceRun,
  EvidenceNotChecked,
  needResult,
  toAppraisal,
  type Appraiser,
  type EvidenceClaims,
} from '../appraisal.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { endsOf } from '../x509/chain.ts'
import {
  checkQuotedLog,
  measurementsOf,
  parseQuotedLog,
  settingsOf,
  type QuotedLog,
} from './judge-quote.ts'
import {
  challengerPin,
  checkEndorsement,
  checkEndorsementDates,
  checkEndorsementRevocation,
  checkEndorsementRoots,
  parseEndorsement,
  type TpmEndorsement,
} from './tpm-endorsement.ts'
import { isAttestationKey } from './tpm-public.ts'

/**
 * Appraises a TPM 2.0 quote. `roots` holds the roots of EK or AK certificates, and the challengers that are trusted to
 * enrol. Measurements: `pcr0` … `pcr23`, `selection` (the bitmap of the PCRs quoted), `resets`, `restarts`, and each
 * measured event by its name. A software TPM is told from others by its root alone.
 */
export const appraiseTpm: Appraiser = async (evidence, { asOfMs, roots }) => {
  const run = createEvidenceRun()
  const quoted = await run.check('format', () => parseQuotedLog(evidence.raw, evidence.collateral))
  // Owned here: set by the check of the root, which is the first to need it.
  let endorsement: TpmEndorsement | undefined
  await run.check('root', () => {
    needResult(quoted)
    endorsement = parseEndorsement(evidence)
    checkEndorsementRoots(endorsement, roots)
  })
  const needEndorsement = (): TpmEndorsement => {
    if (endorsement === undefined) throw new EvidenceNotChecked('blocked')
    return endorsement
  }
  await run.check('chain', () => checkEndorsement(needEndorsement(), needResult(quoted).tpm.ak))
  await run.check('validity', () => {
    checkEndorsementDates(needEndorsement(), asOfMs)
  })
  await run.check('revocation', () =>
    checkEndorsementRevocation(needEndorsement(), evidence, asOfMs),
  )
  await run.check('signature', () => checkQuotedLog(needResult(quoted), evidence.collateral))
  await run.check('debug', () => {
    throw new EvidenceNotChecked('platform-has-none')
  })
  await run.check('configuration', () => {
    refuseUnless(isAttestationKey(needResult(quoted).tpm.ak), 'tpm-key')
  })
  return toAppraisal('tpm', run, quoted, (value) => toClaims(value, endorsement))
}

function toClaims(quoted: QuotedLog, endorsement: TpmEndorsement | undefined): EvidenceClaims {
  const ends = endorsement === undefined ? undefined : endsOf(endorsement.chain)
  return {
    root: ends?.root.digest ?? '',
    ...(endorsement?.kind === 'enrolment' ? { otherPins: [challengerPin(endorsement)] } : {}),
    binding: { form: 'sha256', values: [quoted.tpm.quote.extraData] },
    measurements: measurementsOf(quoted),
    tcb: { kind: 'none' },
    ...(ends === undefined ? {} : { machine: ends.leaf.digest }),
    settings: settingsOf(quoted),
  }
}
