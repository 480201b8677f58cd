/** Appraisal of the reports of NVIDIA GPUs (spec/attestation.md AT10). */
import { encodeUtf8, equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import {
  createEvidenceRun,
  EvidenceNotChecked,
  needCollateral,
  needResult,
  toAppraisal,
  type Appraiser,
  type EvidenceClaims,
  type PlatformEvidence,
} from '../appraisal.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { checkSignedReport, type SignedReport } from '../signed-report.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import { endsOf } from '../x509/chain.ts'
import { openSequence, type DerReader } from '../x509/der.ts'
import { octetStringTag, oidTag, sequenceTag } from '../x509/der-numbers.ts'
import { parsePemCertificates } from '../x509/pem.ts'
import { parseNvidiaReport, type NvidiaReport } from './report.ts'
import { decoderIndex, fwidsTag } from './report-numbers.ts'

type GpuReport = SignedReport & { readonly report: NvidiaReport }

// Where a certificate names the firmware: 2.23.133.5.4.1 in Hopper's own form, and DiceTcbInfo, 2.23.133.5.4.1.1.
const hopperFirmware = '678105050401'
const diceTcbInfo = '67810505040101'

/**
 * Appraises the report of one GPU. Collateral: `certificates` (PEM, leaf first), `root-crl` and `intermediate-crl`
 * (DER). The report is of a GPU that took this nonce: nothing ties it to the machine that asked.
 */
export const appraiseNvidiaGpu: Appraiser = async (evidence, options) => {
  const run = createEvidenceRun()
  const gpu = await run.check('format', () => parseGpuReport(evidence))
  await checkSignedReport(run, gpu, evidence, options)
  await run.check('debug', () => {
    throw new EvidenceNotChecked('platform-has-none')
  })
  await run.check('configuration', () => {
    checkFirmware(needResult(gpu))
  })
  return toAppraisal('nvidia-gpu', run, gpu, toClaims)
}

function parseGpuReport(evidence: PlatformEvidence): GpuReport {
  const report = parseNvidiaReport(evidence.raw)
  const blocks = parsePemCertificates(needCollateral(evidence, 'certificates'))
  const chain = blocks.toReversed().map(parseCertificate)
  return { report, chain, signedBytes: report.signedBytes, signature: report.signature }
}

/** Firmware that says what it is must be the one whose key the certificate holds. */
function checkFirmware({ report: { firmwareId }, chain }: GpuReport): void {
  if (firmwareId === null) return
  const certified = parseFirmwareIds(endsOf(chain).leaf)
  const isCertified = certified.some((digest) => equalBytes(digest, firmwareId))
  refuseUnless(isCertified, 'nvidia-firmware-mismatch')
}

function parseFirmwareIds({ extensions }: Certificate): readonly Uint8Array[] {
  const hopper = extensions.get(hopperFirmware)
  if (hopper !== undefined) {
    const fields = openSequence(hopper.value, 'nvidia-malformed')
    fields.small()
    fields.take(sequenceTag)
    const digest = readFirmwareId(fields.open(sequenceTag))
    fields.finish()
    return [digest]
  }
  const info = extensions.get(diceTcbInfo)
  return info === undefined ? [] : parseTcbInfo(info.value)
}

/** DiceTcbInfo (TCG DICE Attestation Architecture §6.1.1): fields of context-specific tags, of which `fwids` counts. */
function parseTcbInfo(value: Uint8Array): readonly Uint8Array[] {
  const fields = openSequence(value, 'nvidia-malformed')
  const digests: Uint8Array[] = []
  for (let tag = fields.peek(); tag !== undefined; tag = fields.peek()) {
    if (tag === fwidsTag) {
      for (const entry of fields.open(tag).openAll()) digests.push(readFirmwareId(entry))
    } else fields.take(tag)
  }
  return digests
}

function readFirmwareId(entry: DerReader): Uint8Array {
  entry.take(oidTag)
  const digest = entry.take(octetStringTag).content
  entry.finish()
  return digest
}

function toClaims({ report, chain }: GpuReport): EvidenceClaims {
  const { measurements, isDecoderOff, isPcieProtected, driverVersion, vbiosVersion } = report
  const said = [...measurements].filter(([index]) => index !== decoderIndex || !isDecoderOff)
  // The device's own certificate stands above that of its firmware.
  const device = chain.at(-2)?.digest ?? ''
  return {
    root: endsOf(chain).root.digest,
    binding: { form: 'gpu', values: [report.nonce] },
    measurements: new Map([
      ...said.map(([index, digest]) => [`block${index}`, toHex(digest)] as const),
      ['driver', toHex(encodeUtf8(driverVersion))],
      ['vbios', toHex(encodeUtf8(vbiosVersion))],
    ]),
    tcb: { kind: 'none' },
    machine: device,
    settings: isPcieProtected ? ['protected-pcie'] : [],
  }
}
