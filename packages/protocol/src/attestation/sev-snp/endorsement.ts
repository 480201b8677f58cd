/** What AMD says of the key that signs reports, in the extensions of its certificate (spec/attestation.md AT6.3 to AT6.5). */
import { decodeUtf8, equalBytes } from '../../bytes/byte-string.ts'
import { EvidenceError } from '../evidence-errors.ts'
import type { Certificate } from '../x509/certificate.ts'
import { openDer, toOidHex } from '../x509/der.ts'
import { commonNameOf } from '../x509/name.ts'
import { toTcbVersions, type SnpProduct, type SnpReport, type TcbComponent } from './report.ts'

const prefix = '1.3.6.1.4.1.3704.1.'
const ia5String = 0x16

/** The extension of each component. */
const extensionOf: Readonly<Record<TcbComponent, string>> = {
  bootloader: '3.1',
  tee: '3.2',
  snp: '3.3',
  microcode: '3.8',
  fmc: '3.9',
}

/** Product names in certificates, before the stepping. Bergamo and Siena share the root of Genoa. */
const products: ReadonlyMap<string, SnpProduct> = new Map([
  ['Milan', 'Milan'],
  ['Genoa', 'Genoa'],
  ['Bergamo', 'Genoa'],
  ['Siena', 'Genoa'],
  ['Turin', 'Turin'],
])

/**
 * The product of a report: as it says, else (version 2) as the certificate says.
 *
 * @throws EvidenceError `snp-product-mismatch` when both speak and differ, or when neither is known.
 */
export function productOfReport(report: SnpReport, vek: Certificate): SnpProduct {
  const value = extension(vek, '2')
  if (value === undefined) throw new EvidenceError('snp-product-mismatch')
  const fields = openDer(value, 'certificate-malformed')
  const name = decodeUtf8(fields.take(ia5String).content)
  fields.finish()
  const endorsed = products.get(String(name?.split('-', 1)[0]))
  if (endorsed === undefined || endorsed !== (report.product ?? endorsed)) {
    throw new EvidenceError('snp-product-mismatch')
  }
  return endorsed
}

/**
 * Refuses a certificate that is not of the key of this chip with this firmware, under the authorities of its product.
 *
 * @param chain - root, intermediate, key.
 * @throws EvidenceError `snp-product-mismatch`, `snp-tcb-mismatch`, `snp-chip-mismatch`, `certificate-malformed`.
 */
export function checkEndorsement(
  report: SnpReport,
  [ark, ask, vek]: readonly [Certificate, Certificate, Certificate],
): void {
  const product = productOfReport(report, vek)
  const role = report.signingKey === 'vcek' ? `SEV-${product}` : `SEV-VLEK-${product}`
  const hasNames =
    commonNameOf(ark.subject) === `ARK-${product}` && commonNameOf(ask.subject) === role
  if (!hasNames) throw new EvidenceError('snp-product-mismatch')
  for (const [component, version] of toTcbVersions(report.reportedTcb, product)) {
    if (readVersion(vek, component) !== version)
      throw new EvidenceError('snp-tcb-mismatch', component)
  }
  checkChip(report, vek, product)
}

function checkChip({ signingKey, chipId }: SnpReport, vek: Certificate, product: SnpProduct): void {
  const hardwareId = extension(vek, '4')
  const providerId = extension(vek, '5')
  if (signingKey === 'vlek') {
    // A key for a whole provider names the provider and no chip.
    const isProvider = providerId !== undefined && hardwareId === undefined
    if (!isProvider) throw new EvidenceError('snp-chip-mismatch')
    return
  }
  // The raw bytes, without a tag around them.
  const length = product === 'Turin' ? 8 : 64
  const isChip =
    hardwareId?.length === length &&
    equalBytes(hardwareId, chipId.subarray(0, length)) &&
    chipId.subarray(length).every((byte) => byte === 0) &&
    chipId.some((byte) => byte !== 0)
  if (!isChip || providerId !== undefined) throw new EvidenceError('snp-chip-mismatch')
}

function readVersion(vek: Certificate, component: TcbComponent): number | undefined {
  const value = extension(vek, extensionOf[component])
  if (value === undefined) return undefined
  const fields = openDer(value, 'certificate-malformed')
  const version = fields.small()
  fields.finish()
  return version
}

function extension(vek: Certificate, suffix: string): Uint8Array | undefined {
  return vek.extensions.get(toOidHex(`${prefix}${suffix}`))?.value
}
