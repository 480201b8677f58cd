/**
 * Azure confidential machines (spec/attestation.md AT18): the hardware's report vouches for the attestation key of the
 * TPM that a paravisor makes inside the machine, and this key quotes what booted and the report data.
 */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { sha256 } from '../../crypto/sha256.ts'
import {
  createEvidenceRun,
  EvidenceNotChecked,
  needResult,
  type Appraiser,
  type EvidenceAppraisal,
  type EvidenceCheckId,
  type EvidenceClaims,
  type Platform,
} from '../appraisal.ts'
import { appraiseTdx } from '../dcap/appraise-dcap.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { appraiseSevSnp } from '../sev-snp/appraise-sev-snp.ts'
import {
  checkQuotedLog,
  measurementsOf,
  parseQuotedLog,
  settingsOf,
  type QuotedLog,
} from '../tpm/judge-quote.ts'
import { isAttestationKey } from '../tpm/tpm-public.ts'
import { isSameKey } from '../x509/algorithm.ts'
import { parseAzureEvidence, parseRuntimeData, type RuntimeData } from './azure-evidence.ts'

type Parsed = {
  readonly quoted: QuotedLog
  readonly runtimeData: Uint8Array
  readonly runtime: RuntimeData
  readonly hardware: EvidenceAppraisal
  readonly hardwareClaims: EvidenceClaims
}

/** Appraises evidence of a machine on SEV-SNP. Collateral: that of `amd-sev-snp`, and the logs of a TPM. */
export const appraiseAzureSnp: Appraiser = (evidence, options) =>
  appraise('amd-sev-snp-azure', appraiseSevSnp, evidence, options)

/** Appraises evidence of a machine on TDX. Collateral: that of `intel-tdx`, and the logs of a TPM. */
export const appraiseAzureTdx: Appraiser = (evidence, options) =>
  appraise('intel-tdx-azure', appraiseTdx, evidence, options)

async function appraise(
  platform: Platform,
  appraiseHardware: Appraiser,
  { raw, collateral }: Parameters<Appraiser>[0],
  options: Parameters<Appraiser>[1],
): ReturnType<Appraiser> {
  const run = createEvidenceRun()
  const parsed = await run.check('format', async (): Promise<Parsed> => {
    const { report, runtimeData, quote } = parseAzureEvidence(raw)
    const hardware = await appraiseHardware({ raw: report, collateral }, options)
    return {
      quoted: parseQuotedLog(quote, collateral),
      runtimeData,
      runtime: parseRuntimeData(runtimeData),
      hardware,
      hardwareClaims: needHardwareClaims(hardware),
    }
  })
  const passOn = (id: EvidenceCheckId): Parsed => {
    const result = needResult(parsed)
    repeat(result.hardware, id)
    return result
  }
  for (const id of ['root', 'chain', 'validity', 'revocation'] as const) {
    await run.check(id, () => passOn(id))
  }
  await run.check('signature', async () => {
    const { quoted, runtimeData, runtime, hardwareClaims } = passOn('signature')
    checkRuntimeData(runtimeData, hardwareClaims)
    refuseUnless(isSameKey(quoted.tpm.ak.key, runtime.ak), 'azure-key-mismatch')
    await checkQuotedLog(quoted, collateral)
  })
  await run.check('debug', () => passOn('debug'))
  await run.check('configuration', () => {
    const { quoted, hardwareClaims } = passOn('configuration')
    checkLevel(hardwareClaims)
    refuseUnless(isAttestationKey(quoted.tpm.ak), 'tpm-key')
  })
  if (parsed === undefined) return { platform, checks: run.checks }
  // Where the state of the firmware is not known, the verifier of the hardware has said why.
  const tcb = parsed.value.hardware.checks.filter(({ id }) => id === 'tcb')
  return { platform, checks: [...run.checks, ...tcb], claims: toClaims(parsed.value) }
}

/** Evidence whose hardware report is none has no claims: its refusal is ours. */
function needHardwareClaims(hardware: EvidenceAppraisal): EvidenceClaims {
  repeat(hardware, 'format')
  return needResult(hardware.claims && { value: hardware.claims })
}

/** A check ends as it ended for the hardware. */
function repeat({ checks }: EvidenceAppraisal, id: EvidenceCheckId): void {
  const check = checks.find((candidate) => candidate.id === id)
  if (check?.status === 'failed') refuse(check.code, check.about)
  if (check?.status === 'not-checked') throw new EvidenceNotChecked(check.reason, check.about)
}

/** The hardware's report data is the hash of what the paravisor states, and zeros. */
function checkRuntimeData(runtimeData: Uint8Array, { binding }: EvidenceClaims): void {
  const expected = concatBytes(sha256(runtimeData), new Uint8Array(32))
  const isEndorsed = binding.values.every((value) => equalBytes(value, expected))
  refuseUnless(isEndorsed, 'azure-runtime-data')
}

/** The guest can ask for reports too, with any report data: at a level above the paravisor's. */
function checkLevel({ settings }: EvidenceClaims): void {
  const isGuest = settings.some((setting) => setting.startsWith('vmpl-'))
  refuseUnless(!isGuest, 'azure-paravisor')
}

function toClaims({ quoted, runtime, hardwareClaims }: Parsed): EvidenceClaims {
  return {
    ...hardwareClaims,
    binding: { form: 'sha256', values: [quoted.tpm.quote.extraData] },
    measurements: new Map([...hardwareClaims.measurements, ...measurementsOf(quoted)]),
    settings: [...hardwareClaims.settings, ...runtime.settings, ...settingsOf(quoted)],
  }
}
