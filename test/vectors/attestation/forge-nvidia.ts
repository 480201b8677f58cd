/** GPU reports under a synthetic root: right by default, wrong in one place by an edit. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import {
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derUnsignedInteger,
  derElement,
} from '../../provider/der.ts'
import {
  createCertificate,
  createExtension,
  createRevocationList,
  keyUsage,
  pinOf,
  planChain,
  toPem,
  type CertificatePlan,
} from './certificate.ts'
import { digest } from './forge-nitro.ts'
import { seededKey } from './test-key.ts'

/** A measurement block, field by field. */
export type Block = {
  readonly index: number
  readonly specification: number
  readonly type: number
  readonly value: Uint8Array
}

/** Type and value of NVIDIA's own data. */
export type Opaque = readonly (readonly [type: number, value: Uint8Array])[]

/** What is changed. Everything but `parts` is signed. */
export type GpuEdit = {
  readonly request?: (request: Uint8Array) => Uint8Array
  readonly responseHead?: Uint8Array
  readonly blocks?: (blocks: readonly Block[]) => readonly Block[]
  readonly blockCount?: number
  /** Added to the length that the record announces. */
  readonly recordSurplus?: number
  readonly opaque?: (opaque: Opaque) => Opaque
  readonly opaqueTail?: Uint8Array
  readonly signerName?: string
  /** After signing. */
  readonly whole?: (report: Uint8Array) => Uint8Array
}

/** The time of judging. */
export const gpuTimeMs = 1_780_000_000_000

/** The nonce of each report here. */
export const gpuNonce: Uint8Array = new Uint8Array(32).fill(0x42)

/** What the firmware of these GPUs is called. */
export const firmwareId: Uint8Array = digest('firmware')

const chainName = 'Countersign test GPU'
const yearMs = 365 * 86_400_000
const endOfTimeMs = Date.UTC(9999, 11, 31, 23, 59, 59)
const dates = Array.from({ length: 5 }, () => [gpuTimeMs - yearMs, endOfTimeMs] as const)
const sha384 = derObjectIdentifier('2.16.840.1.101.3.4.2.2')
const plans = planChain(chainName, dates).map((plan, depth) =>
  depth === 4 ? { ...plan, extensions: [keyUsage(0b1000_0000), hopperFirmware(firmwareId)] } : plan,
)

/** The pin of the synthetic root. */
export const gpuTestRoot: string = pinOf(createCertificate(planAt(0)))

/** The extension in which Hopper names its firmware. */
export function hopperFirmware(id: Uint8Array): Uint8Array {
  const fields = [
    derUnsignedInteger(Uint8Array.of(1)),
    seededKey('firmware').spki,
    firmwareEntry(id),
  ]
  return createExtension('2.23.133.5.4.1', false, derSequence(...fields))
}

/** DiceTcbInfo: a vendor, a version, and the firmware by as many hashes. */
export function diceFirmware(...ids: readonly Uint8Array[]): Uint8Array {
  const fields = [
    derElement(0x80, Uint8Array.from(Buffer.from('NVIDIA'))),
    ...(ids.length === 0 ? [] : [derElement(0xa6, concatBytes(...ids.map(firmwareEntry)))]),
    derElement(0x87, Uint8Array.of(0, 0)),
  ]
  return createExtension('2.23.133.5.4.1.1', false, derSequence(...fields))
}

/** The chain as collateral, leaf first. */
export function forgeChain(
  change: (plans: readonly CertificatePlan[]) => readonly CertificatePlan[] = (same) => same,
): Uint8Array {
  return toPem(change(plans).map(createCertificate).toReversed())
}

/** Collateral with both revocation lists. */
export function forgeGpuLists(): Map<string, Uint8Array> {
  const lists = ['root-crl', 'intermediate-crl'].map((name, depth) => {
    const { subject, key } = planAt(depth)
    const [thisUpdateMs, nextUpdateMs] = [gpuTimeMs - 1000, gpuTimeMs + 1000]
    const list = { issuer: subject, key, thisUpdateMs, nextUpdateMs, revoked: [] }
    return [name, createRevocationList(list)] as const
  })
  return new Map([['certificates', forgeChain()], ...lists])
}

/** A request and its response. */
export function forgeReport(edit: GpuEdit = {}): Uint8Array {
  const request = concatBytes(Uint8Array.of(0x11, 0xe0, 0x01, 0xff), gpuNonce, Uint8Array.of(0))
  const blocks = edit.blocks?.(defaultBlocks) ?? defaultBlocks
  const record = concatBytes(...blocks.map(writeBlock))
  const opaque = edit.opaque?.(defaultOpaque) ?? defaultOpaque
  const opaqueBytes = concatBytes(
    ...opaque.map(([type, value]) => concatBytes(little(type, 2), little(value.length, 2), value)),
    edit.opaqueTail ?? new Uint8Array(0),
  )
  const signed = concatBytes(
    edit.request?.(request) ?? request,
    edit.responseHead ?? Uint8Array.of(0x11, 0x60, 0, 0),
    little(edit.blockCount ?? blocks.length, 1),
    little(record.length + (edit.recordSurplus ?? 0), 3),
    record,
    new Uint8Array(32).fill(0x24),
    little(opaqueBytes.length, 2),
    opaqueBytes,
  )
  const signature = seededKey(edit.signerName ?? planAt(4).subject).sign(signed)
  const report = concatBytes(signed, signature)
  return edit.whole?.(report) ?? report
}

const defaultBlocks: readonly Block[] = [1, 2, 35, 36].map((index) => ({
  index,
  specification: 1,
  type: 1,
  value: digest(`block ${index}`),
}))

const defaultOpaque: Opaque = [
  [6, Uint8Array.of(0x00, 0x5e, 0x00, 0x96, 0x01, 0, 0, 0)],
  [3, Uint8Array.from(Buffer.from('570.00\0'))],
  [11, Uint8Array.of(0x55)],
  [20, firmwareId],
  [21, Uint8Array.of(0x55)],
]

function writeBlock({ index, specification, type, value }: Block): Uint8Array {
  const size = little(value.length + 3, 2)
  return concatBytes(
    Uint8Array.of(index, specification),
    size,
    Uint8Array.of(type),
    little(value.length, 2),
    value,
  )
}

function firmwareEntry(id: Uint8Array): Uint8Array {
  return derSequence(sha384, derOctetString(id))
}

function little(value: number, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, place) => (value >>> (8 * place)) & 0xff)
}

function planAt(depth: number): CertificatePlan {
  const plan = plans[depth]
  if (plan === undefined) throw new Error('the chain is not so long')
  return plan
}
