/** What AMD says of the key that signs reports, in the extensions of its certificate (spec/attestation.md AT6.3 to AT6.5). */
import { decodeUtf8, equalBytes } from '../../bytes/byte-string.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import type { Certificate } from '../x509/certificate.ts'
import { openDer } from '../x509/der.ts'
import { commonNameOf } from '../x509/name.ts'
import { toTcbVersions, type SnpProduct, type SnpReport, type TcbComponent } from './report.ts'
import { ia5StringTag } from './report-numbers.ts'

// 1.3.6.1.4.1.3704.1, in hex as are all names of extensions.
const prefix = '2b060104019c7801'

/** The extension of each component. */
const extensionOf: Readonly<Record<TcbComponent, string>> = {
  bootloader: '0301',
  tee: '0302',
  snp: '0303',
  microcode: '0308',
  fmc: '0309',
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
  const code = 'snp-product-mismatch'
  const fields = openDer(extension(vek, '02') ?? refuse(code), 'certificate-malformed')
  const name = String(decodeUtf8(fields.take(ia5StringTag).content))
  fields.finish()
  const endorsed = products.get(name.replace(/-.*/s, '')) ?? refuse(code)
  refuseUnless(endorsed === (report.product ?? endorsed), code)
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
  refuseUnless(hasNames, 'snp-product-mismatch')
  for (const [component, version] of toTcbVersions(report.reportedTcb, product)) {
    refuseUnless(readVersion(vek, component) === version, 'snp-tcb-mismatch', component)
  }
  refuseUnless(isOfChip(report, vek, product), 'snp-chip-mismatch')
}

function isOfChip(
  { signingKey, chipId }: SnpReport,
  vek: Certificate,
  product: SnpProduct,
): boolean {
  const hardwareId = extension(vek, '04')
  const hasProvider = extension(vek, '05') !== undefined
  // A key for a whole provider names the provider and no chip.
  if (signingKey === 'vlek') return hasProvider && hardwareId === undefined
  // The raw bytes, without a tag around them.
  const length = product === 'Turin' ? 8 : 64
  return (
    !hasProvider &&
    hardwareId?.length === length &&
    equalBytes(hardwareId, chipId.subarray(0, length)) &&
    chipId.subarray(length).every((byte) => byte === 0) &&
    chipId.some((byte) => byte !== 0)
  )
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
  return vek.extensions.get(prefix + suffix)?.value
}
