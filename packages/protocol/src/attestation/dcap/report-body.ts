/** What an enclave or a trust domain reports about itself (spec/attestation.md AT7.11, AT7.12). */
import { toHex } from '../../bytes/text-encoding.ts'
import { refuseUnless } from '../evidence-errors.ts'
import type { QuoteBody } from './quote.ts'

/** The report of an enclave: of the quoting enclave, or of the one that is attested. */
export type EnclaveReport = {
  readonly miscSelect: Uint8Array
  readonly attributes: Uint8Array
  /** The first byte of the attributes. */
  readonly flags: number
  readonly mrSigner: string
  readonly isvProdId: number
  readonly isvSvn: number
  readonly reportData: Uint8Array
}

/** What a trust domain says of the module that keeps it apart. */
export type ModuleReport = {
  /** All sixteen security versions: the first is the module's, the second the module's version. */
  readonly teeTcbSvn: Uint8Array
  readonly svn: number
  readonly version: number
  readonly mrSignerSeam: string
  readonly seamAttributes: Uint8Array
}

/** What a policy compares. */
export type BodyClaims = {
  readonly reportData: Uint8Array
  readonly measurements: ReadonlyMap<string, string>
  readonly settings: readonly string[]
}

/** What names the code of a domain. */
export const domainRegisters: readonly string[] = ['mrtd', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3']

const domainFields: readonly (readonly [string, number, number])[] = [
  ['mrtd', 136, 48],
  ['rtmr0', 328, 48],
  ['rtmr1', 376, 48],
  ['rtmr2', 424, 48],
  ['rtmr3', 472, 48],
  ['mrconfigid', 184, 48],
  ['mrowner', 232, 48],
  ['mrownerconfig', 280, 48],
  ['mrseam', 16, 48],
]
const serviceDomainAt = 600

/** TD attributes that are not reserved: 0, 27, 28, 29, 30, 31, 63. */
const knownAttributes = 0x80000000f8000001n
const debugAttribute = 1n
const septVeDisable = 1n << 28n
const migratable = 1n << 29n
const perfmon = 1n << 63n
/** Of the extended features: bits that must be set, and all that may be. */
const xfamOnes = 0x3n
const xfamKnown = 0x6dbe7n

const sgxDebug = 0x02
const sgxSettings: readonly (readonly [string, number])[] = [
  ['provision-key', 0x10],
  ['einittoken-key', 0x20],
]

/** The fields of the report of an enclave. */
export function readEnclaveReport(bytes: Uint8Array): EnclaveReport {
  const view = viewOf(bytes)
  return {
    miscSelect: bytes.subarray(16, 20),
    attributes: bytes.subarray(48, 64),
    flags: view.getUint8(48),
    mrSigner: toHex(bytes.subarray(128, 160)),
    isvProdId: view.getUint16(256, true),
    isvSvn: view.getUint16(258, true),
    reportData: bytes.subarray(320, 384),
  }
}

/** The fields about the module, of a trust domain. */
export function readModuleReport({ bytes }: QuoteBody): ModuleReport {
  return {
    teeTcbSvn: bytes.subarray(0, 16),
    svn: viewOf(bytes).getUint8(0),
    version: viewOf(bytes).getUint8(1),
    mrSignerSeam: toHex(bytes.subarray(64, 112)),
    seamAttributes: bytes.subarray(112, 120),
  }
}

/** Whether an enclave can be looked into. */
export function isDebugEnclave({ flags }: EnclaveReport): boolean {
  return (flags & sgxDebug) !== 0
}

/**
 * Refuses an enclave or a domain that its host can look into.
 *
 * @throws EvidenceError `debug-enabled`.
 */
export function checkDebug(body: QuoteBody): void {
  const isDebug =
    body.kind === 'sgx'
      ? isDebugEnclave(readEnclaveReport(body.bytes))
      : (attributesOf(body) & debugAttribute) !== 0n
  refuseUnless(!isDebug, 'debug-enabled')
}

/**
 * Refuses a domain with reserved attributes or features, or one that can be moved.
 *
 * @throws EvidenceError `td-attributes`, `migration-enabled`.
 */
export function checkConfiguration(body: QuoteBody): void {
  if (body.kind === 'sgx') return
  const xfam = viewOf(body.bytes).getBigUint64(128, true)
  const isKnown = (xfam & xfamOnes) === xfamOnes && (xfam & ~xfamKnown) === 0n
  refuseUnless(isKnown, 'td-attributes', 'xfam')
  checkAttributes(attributesOf(body))
}

/**
 * Refuses reserved attributes of a domain, and that it can be moved.
 *
 * @throws EvidenceError `td-attributes`, `migration-enabled`.
 */
export function checkAttributes(attributes: bigint): void {
  refuseUnless((attributes & ~knownAttributes) === 0n, 'td-attributes', 'attributes')
  refuseUnless((attributes & migratable) === 0n, 'migration-enabled')
}

/** Attributes that deviate from the safest, by name. */
export function settingsOfAttributes(attributes: bigint): string[] {
  const settings: string[] = []
  if ((attributes & septVeDisable) === 0n) settings.push('sept-ve-enabled')
  if ((attributes & perfmon) !== 0n) settings.push('perfmon')
  return settings
}

/** What the body says, for a policy to judge. */
export function readClaims(body: QuoteBody): BodyClaims {
  return body.kind === 'sgx' ? readEnclaveClaims(body) : readDomainClaims(body)
}

function readEnclaveClaims({ bytes }: QuoteBody): BodyClaims {
  const { flags, mrSigner, isvProdId, isvSvn, reportData } = readEnclaveReport(bytes)
  const measurements = new Map([
    ['mrenclave', toHex(bytes.subarray(64, 96))],
    ['mrsigner', mrSigner],
    ['isvprodid', isvProdId.toString(16).padStart(4, '0')],
    ['isvsvn', isvSvn.toString(16).padStart(4, '0')],
  ])
  const settings = sgxSettings.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name)
  return { reportData, measurements, settings }
}

function readDomainClaims(body: QuoteBody): BodyClaims {
  const { bytes } = body
  const measurements = new Map(
    domainFields.map(([name, at, length]) => [name, toHex(bytes.subarray(at, at + length))]),
  )
  const settings = settingsOfAttributes(attributesOf(body))
  const serviceDomain = bytes.subarray(serviceDomainAt)
  if (serviceDomain.length > 0) measurements.set('mrservicetd', toHex(serviceDomain))
  if (serviceDomain.some((byte) => byte !== 0)) settings.push('service-td')
  return { reportData: bytes.subarray(520, 584), measurements, settings }
}

function attributesOf({ bytes }: QuoteBody): bigint {
  return viewOf(bytes).getBigUint64(120, true)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
