/** Reports of a made-up chip under test roots, right or wrong in any one field. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { derElement, derUnsignedInteger } from '../../provider/der.ts'
import { seededBytes } from '../signers.ts'
import type { TestEvidence } from './dcap-evidence.ts'
import {
  authorityExtensions,
  basicConstraints,
  createCertificate,
  createExtension,
  createRevocationList,
  keyUsage,
  pinOf,
  type CertificatePlan,
  type RevocationListPlan,
} from './certificate.ts'
import { seededKey, type TestKey } from './test-key.ts'

/** Families of processors, in the order of their age. */
export type TestProduct = 'Milan' | 'Genoa' | 'Turin'

/** What deviates from good evidence. */
export type SnpEdits = {
  readonly product?: TestProduct
  readonly signingKey?: 'vcek' | 'vlek'
  readonly report?: (report: Uint8Array) => void
  /** After it was signed. */
  readonly signedReport?: (report: Uint8Array) => Uint8Array
  readonly ark?: Partial<CertificatePlan>
  readonly ask?: Partial<CertificatePlan>
  readonly vek?: Partial<CertificatePlan>
  /** Extensions of the chip's certificate, by the end of their identifiers. */
  readonly vekExtensions?: (extensions: Map<string, Uint8Array>) => void
  readonly list?: Partial<RevocationListPlan>
  readonly collateral?: (collateral: Map<string, Uint8Array>) => void
}

/** When good evidence is judged. */
export const snpAsOfMs: number = Date.parse('2026-06-01T00:00:00Z')

/** What good evidence is bound to. */
export const snpReportData: Uint8Array = concatBytes(seededBytes('snp/1'), seededBytes('snp/2'))

const dayMs = 86_400_000
const dates = { notBeforeMs: snpAsOfMs - 300 * dayMs, notAfterMs: snpAsOfMs + 3000 * dayMs }
const prefix = '1.3.6.1.4.1.3704.1.'
const cpuOf: Readonly<Record<TestProduct, readonly [number, number, number]>> = {
  Milan: [0x19, 0x01, 0x01],
  Genoa: [0x19, 0x11, 0x01],
  Turin: [0x1a, 0x02, 0x01],
}

/** The roots by product: SHA-256 in hex. */
export function snpRoot(product: TestProduct): string {
  return pinOf(forgeArk(product))
}

/** Good evidence, but for the edits. */
export function forgeSnp(edits: SnpEdits = {}): TestEvidence {
  const product = edits.product ?? 'Milan'
  const signingKey = edits.signingKey ?? 'vcek'
  const arkKey = seededKey(`ark ${product}`)
  const askName = signingKey === 'vcek' ? `SEV-${product}` : `SEV-VLEK-${product}`
  const askKey = seededKey(askName)
  const vekKey = seededKey(`${signingKey} ${product}`)
  const ask = certify(askName, `ARK-${product}`, askKey, arkKey, edits.ask, [
    basicConstraints(true, 0),
    keyUsage(0x04),
  ])
  const vek = certify(signingKey.toUpperCase(), askName, vekKey, askKey, edits.vek, [
    ...vekExtensions(product, signingKey, edits),
  ])
  const collateral = new Map([
    ['ark', forgeArk(product, edits.ark)],
    ['ask', ask],
    ['vek', vek],
    ['crl', forgeList(product, arkKey, edits.list)],
  ])
  edits.collateral?.(collateral)
  const report = forgeReport(product, signingKey)
  edits.report?.(report)
  sign(report, vekKey)
  return { raw: edits.signedReport?.(report) ?? report, collateral }
}

function forgeArk(product: TestProduct, edits?: Partial<CertificatePlan>): Uint8Array {
  const key = seededKey(`ark ${product}`)
  return certify(`ARK-${product}`, `ARK-${product}`, key, key, edits, authorityExtensions())
}

function certify(
  subject: string,
  issuer: string,
  key: TestKey,
  issuerKey: TestKey,
  edits: Partial<CertificatePlan> = {},
  extensions: readonly Uint8Array[] = [],
): Uint8Array {
  return createCertificate({
    subject,
    issuer,
    key,
    issuerKey,
    ...dates,
    serial: 0,
    extensions,
    ...edits,
  })
}

function forgeList(
  product: TestProduct,
  key: TestKey,
  edits: Partial<RevocationListPlan> = {},
): Uint8Array {
  return createRevocationList({
    issuer: `ARK-${product}`,
    key,
    thisUpdateMs: snpAsOfMs - dayMs,
    nextUpdateMs: snpAsOfMs + 300 * dayMs,
    revoked: [],
    ...edits,
  })
}

function vekExtensions(
  product: TestProduct,
  signingKey: 'vcek' | 'vlek',
  edits: SnpEdits,
): readonly Uint8Array[] {
  const extensions = new Map([
    ['1', derInteger(product === 'Turin' ? 1 : 0)],
    ['2', derIa5(`${product}-B0`)],
    ['3.1', derInteger(4)],
    ['3.2', derInteger(1)],
    ['3.3', derInteger(24)],
    ['3.8', derInteger(219)],
    ...(product === 'Turin' ? ([['3.9', derInteger(7)]] as const) : []),
    signingKey === 'vcek'
      ? (['4', chipId(product).subarray(0, product === 'Turin' ? 8 : 64)] as const)
      : (['5', derIa5('test provider')] as const),
  ])
  edits.vekExtensions?.(extensions)
  return Array.from(extensions, ([id, value]) => createExtension(`${prefix}${id}`, false, value))
}

function forgeReport(product: TestProduct, signingKey: 'vcek' | 'vlek'): Uint8Array {
  const report = new Uint8Array(1184)
  const view = new DataView(report.buffer)
  view.setUint32(0, 3, true)
  // ABI 1.31; bit 17 is always set.
  view.setUint32(0x08, 0x2001f, true)
  view.setUint32(0x34, 1, true)
  const tcb = product === 'Turin' ? [7, 4, 1, 24, 0, 0, 0, 219] : [4, 1, 0, 0, 0, 0, 24, 219]
  for (const at of [0x38, 0x180, 0x1e0, 0x1f0]) report.set(tcb, at)
  // RAPL off, ciphertext hidden, memory aliases looked for.
  view.setUint32(0x40, 0x38, true)
  view.setUint32(0x48, signingKey === 'vcek' ? 0 : 1 << 2, true)
  report.set(snpReportData, 0x50)
  report.set(seededBytes('snp measurement'), 0x90)
  report.set(cpuOf[product], 0x188)
  if (signingKey === 'vcek') report.set(chipId(product), 0x1a0)
  return report
}

function chipId(product: TestProduct): Uint8Array {
  const id = new Uint8Array(64)
  id.set(seededBytes(`chip ${product}`))
  if (product === 'Turin') id.fill(0, 8)
  return id
}

function sign(report: Uint8Array, key: TestKey): void {
  const signature = key.sign(report.subarray(0, 0x2a0))
  report.set(signature.subarray(0, 48).toReversed(), 0x2a0)
  report.set(signature.subarray(48).toReversed(), 0x2a0 + 72)
}

function derInteger(value: number): Uint8Array {
  return derUnsignedInteger(Uint8Array.of(value))
}

function derIa5(text: string): Uint8Array {
  return derElement(0x16, Buffer.from(text, 'ascii'))
}
