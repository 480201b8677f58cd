/** Cases of NVIDIA GPU reports (spec/attestation.md AT10). */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import {
  createExtension,
  keyUsage,
  signerExtensions,
  type CertificatePlan,
} from '../certificate.ts'
import type { EvidenceCase } from '../evidence-case.ts'
import { digest } from '../forge-nitro.ts'
import {
  diceFirmware,
  firmwareId,
  forgeChain,
  forgeGpuLists,
  forgeReport,
  gpuTestRoot,
  gpuTimeMs,
  hopperFirmware,
  type Block,
  type GpuEdit,
  type Opaque,
} from '../forge-nvidia.ts'
import { seededKey } from '../test-key.ts'

type Row = readonly [name: string, edit: GpuEdit]

const unknownTwice: Opaque = [
  [999, new Uint8Array(5)],
  [999, new Uint8Array(5)],
]

/** All of them. */
export function nvidiaCases(): readonly EvidenceCase[] {
  return [...goodCases(), ...malformedCases(), ...chainCases(), ...dateCases(), ...firmwareCases()]
}

function goodCases(): readonly EvidenceCase[] {
  const rows: readonly Row[] = [
    ['a report', {}],
    ['a report with a block of another type', { blocks: change({ type: 0x7f }) }],
    ['a report without a firmware id', { opaque: without(20) }],
    ['a report with its decoder on', { opaque: put(11, Uint8Array.of(0xaa)) }],
    ['a report with protected PCIe', { opaque: put(21, Uint8Array.of(0xaa)) }],
    ['a report that says nothing of PCIe', { opaque: without(21) }],
    [
      'a report with data that nobody knows',
      { opaque: (opaque) => [...opaque, [999, new Uint8Array(5)]] },
    ],
  ]
  const open = { debug: 'platform-has-none', revocation: 'collateral-missing' } as const
  return [
    ...rows.map(([name, edit]) => ({ ...base(`${name} is taken`, 'AT10.1', edit), open })),
    {
      ...base('a report with both revocation lists is taken', 'AT10.4'),
      collateral: forgeGpuLists(),
    },
  ]
}

function malformedCases(): readonly EvidenceCase[] {
  const rows: readonly Row[] = [
    ['no bytes', { whole: () => new Uint8Array(0) }],
    ['a byte behind', { whole: (report) => concatBytes(report, Uint8Array.of(0)) }],
    ['a report cut short', { whole: (report) => report.slice(0, -1) }],
    [
      'a report of more than 16,384 bytes',
      { opaque: (opaque) => [...opaque, [999, new Uint8Array(16_384)]] },
    ],
    ['another version of SPDM in the request', { request: (request) => request.with(0, 0x12) }],
    ['another request', { request: (request) => request.with(1, 0xe1) }],
    ['a request without signature', { request: (request) => request.with(2, 0) }],
    ['a request for one measurement', { request: (request) => request.with(3, 1) }],
    ['another version of SPDM in the response', { responseHead: Uint8Array.of(0x12, 0x60, 0, 0) }],
    ['another response', { responseHead: Uint8Array.of(0x11, 0x7f, 0, 0) }],
    ['no block', { blocks: () => [] }],
    ['more blocks than announced', { blockCount: 3 }],
    ['fewer blocks than announced', { blockCount: 5 }],
    ['a record longer than its blocks', { recordSurplus: 1 }],
    ['a record shorter than its blocks', { recordSurplus: -1 }],
    ['a record longer than the report', { recordSurplus: 60_000 }],
    ['two blocks of one index', { blocks: ([first, ...rest]) => [...rest, ...twice(first)] }],
    ['a block of another specification', { blocks: change({ specification: 2 }) }],
    ['a block that is raw', { blocks: change({ type: 0x80 }) }],
    ['a block of 32 bytes', { blocks: change({ value: new Uint8Array(32) }) }],
    ['data cut short', { opaqueTail: Uint8Array.of(1) }],
    ['data longer than announced', { opaqueTail: Uint8Array.of(1, 0, 9, 0) }],
    ['data of one type twice', { opaque: (opaque) => [...opaque, [3, new Uint8Array(1)]] }],
    ['unknown data of one type twice', { opaque: (opaque) => [...opaque, ...unknownTwice] }],
    ['no driver version', { opaque: (opaque) => opaque.filter(([type]) => type !== 3) }],
    ['a driver version without its end', { opaque: put(3, Uint8Array.of(0x35)) }],
    ['a driver version with two ends', { opaque: put(3, Uint8Array.of(0x35, 0, 0)) }],
    ['an empty driver version', { opaque: put(3, Uint8Array.of(0)) }],
    ['a driver version that is no text', { opaque: put(3, Uint8Array.of(0xff, 0)) }],
    ['no VBIOS version', { opaque: (opaque) => opaque.filter(([type]) => type !== 6) }],
    ['a VBIOS version of seven bytes', { opaque: put(6, new Uint8Array(7)) }],
    ['a VBIOS version with more to it', { opaque: put(6, new Uint8Array(8).fill(1)) }],
    [
      'a VBIOS version with one more byte',
      { opaque: put(6, Uint8Array.of(1, 2, 3, 4, 5, 6, 0, 0)) },
    ],
    ['a firmware id of 32 bytes', { opaque: put(20, new Uint8Array(32)) }],
  ]
  const pem = forgeChain()
  const texts: readonly (readonly [string, Uint8Array])[] = [
    ['certificates with a line behind', concatBytes(pem, Uint8Array.of(10))],
    ['certificates with text in front', concatBytes(Uint8Array.of(65), pem)],
    ['certificates cut short', pem.slice(0, -30)],
    ['no certificate', new Uint8Array(0)],
  ]
  return [
    ...rows.map(([name, edit]) => ({
      ...base(`${name} is refused`, 'AT10.1', edit),
      failed: { format: 'nvidia-malformed' } as const,
    })),
    ...texts.map(([name, certificates]) => ({
      ...base(`${name} is refused`, 'AT2.7'),
      collateral: new Map([['certificates', certificates]]),
      failed: { format: 'pem-malformed' } as const,
    })),
    {
      ...base('a report without its chain stays open', 'AT10.2'),
      collateral: new Map(),
      open: { format: 'collateral-missing', root: 'blocked', configuration: 'blocked' },
    },
  ]
}

function chainCases(): readonly EvidenceCase[] {
  const signature = 'evidence-signature-invalid'
  const leaf = [...signerExtensions(), hopperFirmware(firmwareId)]
  const unknown = createExtension('1.2.3.4', true, Uint8Array.of(5, 0))
  return [
    {
      ...base('another root is refused', 'AT3.1'),
      roots: ['00'.repeat(32)],
      failed: { root: 'chain-root-untrusted' },
    },
    {
      ...base('a report that another key signed is refused', 'AT10.3', { signerName: 'stranger' }),
      failed: { signature },
    },
    {
      ...base('a report with a bit turned in a block is refused', 'AT10.3', {
        whole: (report) => report.with(100, (report[100] ?? 0) ^ 1),
      }),
      failed: { signature },
    },
    {
      ...base('a report with another nonce is refused', 'AT10.3', {
        whole: (report) => report.with(4, 0),
      }),
      failed: { signature },
    },
    {
      ...base('a chain of one is refused', 'AT3.2'),
      collateral: pems(forgeChain((plans) => plans.slice(0, 1))),
      failed: {
        chain: 'chain-length',
        revocation: 'chain-length',
        signature,
        configuration: 'nvidia-firmware-mismatch',
      },
    },
    {
      ...base('a leaf that is known to be no authority is taken', 'AT10.2'),
      collateral: pems(changed(4, { extensions: leaf })),
    },
    {
      ...base('a chain leaf last is refused', 'AT10.2'),
      collateral: pems(forgeChain((plans) => plans.toReversed())),
      failed: {
        root: 'chain-root-untrusted',
        chain: 'chain-issuer-mismatch',
        signature,
        configuration: 'nvidia-firmware-mismatch',
      },
    },
    {
      ...base('a device certificate that another key signed is refused', 'AT3.4'),
      collateral: pems(changed(3, { issuerKey: seededKey('stranger') })),
      failed: { chain: 'chain-signature-invalid' },
    },
    {
      ...base('a leaf that may not sign is refused', 'AT3.6'),
      collateral: pems(changed(4, { extensions: [keyUsage(0b100), hopperFirmware(firmwareId)] })),
      failed: { chain: 'chain-key-usage' },
    },
    {
      ...base('a critical extension that nobody knows is refused in a device certificate', 'AT3.8'),
      collateral: pems(
        forgeChain((plans) =>
          plans.map((plan, at) =>
            at === 3 ? { ...plan, extensions: [...plan.extensions, unknown] } : plan,
          ),
        ),
      ),
      failed: { chain: 'certificate-extension-critical' },
    },
  ]
}

/** Dates before and after. */
function dateCases(): readonly EvidenceCase[] {
  return [
    {
      ...base('a chain that has not begun is refused', 'AT3.9'),
      asOfMs: 0,
      failed: { validity: 'certificate-not-yet-valid' },
    },
    {
      ...base('a leaf that has ended is refused', 'AT3.9'),
      collateral: pems(changed(4, { notAfterMs: gpuTimeMs - 1000 })),
      failed: { validity: 'certificate-expired' },
    },
  ]
}

function firmwareCases(): readonly EvidenceCase[] {
  const other = digest('other firmware')
  const rows: readonly (readonly [string, readonly Uint8Array[], EvidenceCode | undefined])[] = [
    [
      'firmware of another name than the certificate has',
      [hopperFirmware(other)],
      'nvidia-firmware-mismatch',
    ],
    ['firmware without a name in the certificate', [], 'nvidia-firmware-mismatch'],
    ['firmware that the certificate names', [diceFirmware(firmwareId)], undefined],
    [
      'firmware that the certificate names among others',
      [diceFirmware(other, firmwareId)],
      undefined,
    ],
    [
      'firmware that is not among those the certificate names',
      [diceFirmware(other)],
      'nvidia-firmware-mismatch',
    ],
    ['firmware of a certificate that names none', [diceFirmware()], 'nvidia-firmware-mismatch'],
    [
      'firmware of a certificate whose name is not DER',
      [createExtension('2.23.133.5.4.1', false, Uint8Array.of(1))],
      'nvidia-malformed',
    ],
    [
      'firmware of a certificate whose list is not DER',
      [createExtension('2.23.133.5.4.1.1', false, Uint8Array.of(0x30, 1, 0x80))],
      'nvidia-malformed',
    ],
  ]
  return rows.map(([name, extensions, code]) => {
    const certificates = forgeChain((plans) =>
      plans.map((plan, at) =>
        at === 4 ? { ...plan, extensions: [keyUsage(0b1000_0000), ...extensions] } : plan,
      ),
    )
    return {
      ...base(`${name} is ${code === undefined ? 'taken' : 'refused'}`, 'AT10.6'),
      collateral: pems(certificates),
      failed: code === undefined ? {} : { configuration: code },
    }
  })
}

function base(name: string, clause: string, edit: GpuEdit = {}): EvidenceCase {
  return {
    name,
    clause,
    platform: 'nvidia-gpu',
    raw: forgeReport(edit),
    collateral: pems(forgeChain()),
    asOfMs: gpuTimeMs,
    roots: [gpuTestRoot],
  }
}

function pems(certificates: Uint8Array): ReadonlyMap<string, Uint8Array> {
  return new Map([['certificates', certificates]])
}

function put(type: number, value: Uint8Array): (opaque: Opaque) => Opaque {
  return (opaque) => opaque.map((entry) => (entry[0] === type ? [type, value] : entry))
}

function change(part: Partial<Block>): (blocks: readonly Block[]) => readonly Block[] {
  return (blocks) => blocks.map((block, at) => (at === 1 ? { ...block, ...part } : block))
}

function twice(block: Block | undefined): readonly Block[] {
  return block === undefined ? [] : [block, block]
}

function without(type: number): (opaque: Opaque) => Opaque {
  return (opaque) => opaque.filter(([held]) => held !== type)
}

/** The chain with one certificate that is otherwise. */
function changed(depth: number, part: Partial<CertificatePlan>): Uint8Array {
  return forgeChain((plans) =>
    plans.map((plan, at) => (at === depth ? { ...plan, ...part } : plan)),
  )
}
