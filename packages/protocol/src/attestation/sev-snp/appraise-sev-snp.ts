/** AMD SEV-SNP (spec/attestation.md AT6). Collateral: `ark`, `ask` (or ASVK), `vek`, `crl`, all DER. */
import { toHex } from '../../bytes/text-encoding.ts'
import {
  createEvidenceRun,
  needCollateral,
  needResult,
  toAppraisal,
  type AppraisalOptions,
  type EvidenceAppraisal,
  type EvidenceClaims,
  type PlatformEvidence,
  type Tcb,
} from '../appraisal.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { checkEcdsa } from '../x509/algorithm.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import { checkDates, checkIssuance, checkRoot, checkSigner } from '../x509/chain.ts'
import { checkRevocation } from '../x509/revocation-list.ts'
import { checkEndorsement, productOfReport } from './endorsement.ts'
import { parseSnpReport, toTcbVersions, type SnpProduct, type SnpReport } from './report.ts'

type Chain = readonly [ark: Certificate, ask: Certificate, vek: Certificate]

const migrationAgent = 1n << 18n
const debug = 1n << 19n

/** Bits that stand for a deviation from the safest setting, when they are set or when they are not. */
const policySettings: readonly (readonly [string, bigint])[] = [['smt-allowed', 1n << 16n]]
const missingProtections: readonly (readonly [string, bigint])[] = [
  ['rapl-on', 1n << 3n],
  ['ciphertext-visible', 1n << 4n],
  ['no-alias-check', 1n << 5n],
]

/** Judges a report. It never throws for bad evidence. */
export async function appraiseSevSnp(
  evidence: PlatformEvidence,
  { asOfMs, roots }: AppraisalOptions,
): Promise<EvidenceAppraisal> {
  const run = createEvidenceRun()
  const report = await run.check('format', () => parseSnpReport(evidence.raw))
  const root = await run.check('root', () => {
    needResult(report)
    const ark = parseCertificate(needCollateral(evidence, 'ark'))
    checkRoot([ark], roots)
    return ark
  })
  const chain = await run.check('chain', async () => {
    const certificates: Chain = [
      needResult(root),
      parseCertificate(needCollateral(evidence, 'ask')),
      parseCertificate(needCollateral(evidence, 'vek')),
    ]
    await checkIssuance(certificates)
    checkSigner(certificates[2])
    checkEndorsement(needResult(report), certificates)
    return certificates
  })
  await run.check('validity', () => {
    checkDates(needResult(chain), asOfMs)
  })
  await run.check('revocation', async () => {
    const [ark, ask] = needResult(chain)
    // Keys of chips have the serial 0: only their issuer can be listed.
    await checkRevocation(evidence, 'crl', ark, [ask], asOfMs)
  })
  await run.check('signature', () => {
    const { signature, signed } = needResult(report)
    return checkEcdsa(needResult(chain)[2].publicKey, 384, signature, signed)
  })
  await run.check('debug', () => {
    refuseUnless((needResult(report).policy & debug) === 0n, 'debug-enabled')
  })
  await run.check('configuration', () => {
    refuseUnless((needResult(report).policy & migrationAgent) === 0n, 'migration-enabled')
  })
  return toAppraisal('amd-sev-snp', run, report, (value) =>
    claimsOf(value, root?.value, chain?.value),
  )
}

function claimsOf(
  report: SnpReport,
  root: Certificate | undefined,
  chain: Chain | undefined,
): EvidenceClaims {
  const { policy, platformInfo, vmpl, chipId, measurements, reportData } = report
  const settings = [
    ...policySettings.filter(([, bit]) => (policy & bit) !== 0n),
    ...missingProtections.filter(([, bit]) => (platformInfo & bit) === 0n),
  ].map(([name]) => name)
  if (vmpl !== 0) settings.push(`vmpl-${vmpl}`)
  const isMasked = chipId.every((byte) => byte === 0)
  return {
    root: root?.digest ?? '',
    binding: { form: 'whole', values: [reportData] },
    measurements,
    tcb:
      chain === undefined ? { kind: 'unknown' } : tcbOf(report, productOfReport(report, chain[2])),
    ...(isMasked ? {} : { machine: toHex(chipId) }),
    settings,
  }
}

/** By component the lowest of what is reported, what the chip cannot go below, and what the guest started on. */
function tcbOf(report: SnpReport, product: SnpProduct): Tcb {
  const versions = new Map<string, number>()
  for (const tcb of [report.reportedTcb, report.committedTcb, report.launchTcb]) {
    for (const [name, version] of toTcbVersions(tcb, product)) {
      versions.set(name, Math.min(version, versions.get(name) ?? version))
    }
  }
  return { kind: 'versions', product, versions }
}
