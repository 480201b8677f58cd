/** The attestation report of AMD SEV-SNP, versions 2 to 5 (spec/attestation.md AT6). */
import { concatBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { halfBytes, reportBytes, signedBytes, usedBytes } from './report-numbers.ts'

/** Families of processors; each has a root of its own. */
export type SnpProduct = 'Milan' | 'Genoa' | 'Turin'

/** What firmware consists of. */
export type TcbComponent = 'fmc' | 'bootloader' | 'tee' | 'snp' | 'microcode'

/** The parsed report. Nothing in it is verified. */
export type SnpReport = {
  /** The bytes that are signed. */
  readonly signed: Uint8Array
  /** r ‖ s, big-endian. */
  readonly signature: Uint8Array
  readonly signingKey: 'vcek' | 'vlek'
  /** `undefined` for a report of version 2, which does not say. */
  readonly product: SnpProduct | undefined
  readonly policy: bigint
  readonly platformInfo: bigint
  readonly vmpl: number
  readonly reportData: Uint8Array
  readonly reportedTcb: Uint8Array
  readonly committedTcb: Uint8Array
  readonly launchTcb: Uint8Array
  readonly chipId: Uint8Array
  /** Lower-case hex by name. */
  readonly measurements: ReadonlyMap<string, string>
}

/** Bit 17 is always one. */
const policyOnes = 1n << 17n
/** Bits 26 to 63 are always zero. */
const policyEnd = 1n << 26n
const signingKeys = ['vcek', 'vlek'] as const

const code = 'snp-malformed'
const places: readonly (readonly [TcbComponent, number])[] = [
  ['bootloader', 0],
  ['tee', 1],
  ['snp', 6],
  ['microcode', 7],
]
const turinPlaces: typeof places = [
  ['fmc', 0],
  ['bootloader', 1],
  ['tee', 2],
  ['snp', 3],
  ['microcode', 7],
]
const fields: readonly (readonly [string, number, number])[] = [
  ['measurement', 0x90, 48],
  ['host-data', 0xc0, 32],
  ['id-key-digest', 0xe0, 48],
  ['author-key-digest', 0x110, 48],
  ['family-id', 0x10, 16],
  ['image-id', 0x20, 16],
]

/**
 * Parses a report.
 *
 * @throws EvidenceError `snp-malformed`, `snp-version-unsupported`, `snp-product-unknown`.
 */
export function parseSnpReport(bytes: Uint8Array): SnpReport {
  refuseUnless(bytes.length === reportBytes, code, 'length')
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const u32 = (at: number): number => view.getUint32(at, true)
  const u64 = (at: number): bigint => view.getBigUint64(at, true)
  const part = (at: number, length: number): Uint8Array => bytes.subarray(at, at + length)
  const version = u32(0)
  refuseUnless(version >= 2 && version <= 5, 'snp-version-unsupported')
  const policy = u64(0x08)
  refuseUnless((policy & policyOnes) !== 0n && policy < policyEnd, code, 'policy')
  const vmpl = u32(0x30)
  refuseUnless(vmpl <= 3, code, 'vmpl')
  // 1 is ECDSA over P-384 with SHA-384, the only one there is.
  refuseUnless(u32(0x34) === 1, code, 'algorithm')
  const signature = parseSignature(bytes.subarray(signedBytes))
  const signingKey = signingKeys[(u32(0x48) >> 2) & 7] ?? refuse(code, 'signing-key')
  return {
    signed: part(0, signedBytes),
    signature,
    signingKey,
    product: version === 2 ? undefined : productOf(Number(bytes[0x188]), Number(bytes[0x189])),
    policy,
    platformInfo: u64(0x40),
    vmpl,
    reportData: part(0x50, 64),
    reportedTcb: part(0x180, 8),
    committedTcb: part(0x1e0, 8),
    launchTcb: part(0x1f0, 8),
    chipId: part(0x1a0, 64),
    measurements: new Map(fields.map(([name, at, length]) => [name, toHex(part(at, length))])),
  }
}

/**
 * The security versions in a TCB, by component. Their places differ by product: read wrongly, an old microcode would
 * pass for a new one.
 */
export function toTcbVersions(
  tcb: Uint8Array,
  product: SnpProduct,
): ReadonlyMap<TcbComponent, number> {
  const versions = new Map<TcbComponent, number>()
  for (const [name, at] of product === 'Turin' ? turinPlaces : places) {
    versions.set(name, Number(tcb[at]))
  }
  return versions
}

/** r and s, little-endian, 72 bytes each of which 48 are used; zeros to the end. */
function parseSignature(bytes: Uint8Array): Uint8Array {
  const halves = [0, halfBytes].map((at) => bytes.subarray(at, at + usedBytes).toReversed())
  // Nothing signs the padding: whoever could change it could make two reports of one.
  const isZeroPadded = bytes.every(
    (byte, at) => byte === 0 || (at < 2 * halfBytes && at % halfBytes < usedBytes),
  )
  refuseUnless(isZeroPadded, code, 'signature')
  return concatBytes(...halves)
}

function productOf(family: number, model: number): SnpProduct {
  if (family === 0x19 && model <= 0x0f) return 'Milan'
  if (family === 0x19 && (model <= 0x1f || (model >= 0xa0 && model <= 0xaf))) return 'Genoa'
  if (family === 0x1a && model <= 0x11) return 'Turin'
  return refuse('snp-product-unknown')
}
