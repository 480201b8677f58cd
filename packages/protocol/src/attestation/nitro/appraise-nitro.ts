/** Appraisal of AWS Nitro documents (spec/attestation.md AT9). */
import { concatBytes, encodeUtf8, equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { digest } from '../../crypto/digest.ts'
import {
  createEvidenceRun,
  EvidenceNotChecked,
  needResult,
  toAppraisal,
  type Appraiser,
  type EvidenceClaims,
} from '../appraisal.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { checkSignedReport, type SignedReport } from '../signed-report.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { endsOf } from '../x509/chain.ts'
import { parseNitroDocument, type NitroDocument, type NitroKind } from './document.ts'

/** Appraises a document that Nitro Enclaves gave. Collateral: `root-crl`, `intermediate-crl` (DER). */
export const appraiseNitroEnclave: Appraiser = (evidence, options) =>
  appraiseNitro('aws-nitro', evidence, options)

/** Appraises a document that NitroTPM gave: same envelope and root, other registers. */
export const appraiseNitroTpm: Appraiser = (evidence, options) =>
  appraiseNitro('aws-nitrotpm', evidence, options)

type NitroReport = SignedReport & { readonly document: NitroDocument }

async function appraiseNitro(
  kind: NitroKind,
  evidence: Parameters<Appraiser>[0],
  options: Parameters<Appraiser>[1],
): ReturnType<Appraiser> {
  const run = createEvidenceRun()
  const report = await run.check('format', () => parseReport(evidence.raw, kind))
  await checkSignedReport(run, report, evidence, options)
  await run.check('debug', () => {
    refuseDebug(needResult(report).document)
  })
  await run.check('configuration', () => checkInstance(needResult(report).document))
  return toAppraisal(kind, run, report, toClaims)
}

function parseReport(raw: Uint8Array, kind: NitroKind): NitroReport {
  const document = parseNitroDocument(raw, kind)
  const chain = document.certificates.map(parseCertificate)
  return { document, chain, signedBytes: document.signedBytes, signature: document.signature }
}

/** An enclave in debug mode has zeros for what was measured, and its console is open to the host. */
function refuseDebug({ kind, pcrs }: NitroDocument): void {
  if (kind === 'aws-nitrotpm') throw new EvidenceNotChecked('platform-has-none')
  const isDebug = [0, 1, 2].every((index) => pcrs.get(index)?.every((byte) => byte === 0))
  refuseUnless(!isDebug, 'debug-enabled')
}

/** PCR 4 of an enclave begins as zeros and is extended by the id of the instance around it. */
async function checkInstance({ kind, pcrs, instanceId }: NitroDocument): Promise<void> {
  if (kind === 'aws-nitrotpm') throw new EvidenceNotChecked('platform-has-none')
  const expected = await digest('SHA-384', concatBytes(new Uint8Array(48), encodeUtf8(instanceId)))
  const pcr = pcrs.get(4)
  const isInside = pcr !== undefined && equalBytes(pcr, expected)
  refuseUnless(isInside, 'nitro-instance-mismatch')
}

function toClaims({ document, chain }: NitroReport): EvidenceClaims {
  const { userData, pcrs, instanceId, timeMs } = document
  return {
    root: endsOf(chain).root.digest,
    binding: { form: 'whole', values: userData === null ? [] : [userData] },
    measurements: new Map([...pcrs].map(([index, pcr]) => [`pcr${index}`, toHex(pcr)])),
    tcb: { kind: 'none' },
    machine: instanceId,
    timeMs,
    settings: [],
  }
}
