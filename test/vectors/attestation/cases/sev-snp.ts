/** Cases of SEV-SNP reports (spec/attestation.md AT6). */
import { derElement, derUnsignedInteger } from '../../../provider/der.ts'
import { authorityExtensions, basicConstraints, keyUsage } from '../certificate.ts'
import type { EvidenceCase } from '../evidence-case.ts'
import { forgeSnp, snpAsOfMs, snpRoot, type SnpEdits, type TestProduct } from '../snp-evidence.ts'
import { seededKey } from '../test-key.ts'

type Row = readonly [name: string, edits: SnpEdits, failed?: NonNullable<EvidenceCase['failed']>]

const secondMs = 1000
const malformed = { format: 'snp-malformed' } as const
const product = { chain: 'snp-product-mismatch' } as const
const tcb = { chain: 'snp-tcb-mismatch' } as const
const chip = { chain: 'snp-chip-mismatch' } as const
const certificate = { chain: 'certificate-malformed' } as const
const stranger = seededKey('stranger')

/** All of them. */
export function snpCases(): readonly EvidenceCase[] {
  return [
    ...goodCases().map((row) => toCase('AT6', row)),
    ...formCases().map((row) => toCase('AT6.1', row)),
    ...productCases().map((row) => toCase('AT6.3', row)),
    ...tcbCases().map((row) => toCase('AT6.4', row)),
    ...chipCases().map((row) => toCase('AT6.5', row)),
    ...signatureCases().map((row) => toCase('AT6.6', row)),
    ...revocationCases().map((row) => toCase('AT6.7', row)),
    ...modeCases().map((row) => toCase('AT6.8', row)),
    ...chainCases().map((row) => toCase('AT3', row)),
    ...missingCases(),
  ]
}

function toCase(clause: string, [name, edits, failed = {}]: Row): EvidenceCase {
  return {
    name,
    clause,
    platform: 'amd-sev-snp',
    ...forgeSnp(edits),
    asOfMs: snpAsOfMs,
    roots: [snpRoot(edits.product ?? 'Milan')],
    failed,
  }
}

function goodCases(): readonly Row[] {
  const products: readonly TestProduct[] = ['Milan', 'Genoa', 'Turin']
  const settings = (bits: number): SnpEdits => ({ report: set([0x40, bits]) })
  return [
    ...products.flatMap((name): Row[] => [
      [`a report of ${name} by the key of a chip`, { product: name }],
      [`a report of ${name} by the key of a provider`, { product: name, signingKey: 'vlek' }],
    ]),
    ['version 2, which names no product', { report: set([0, 2], [0x188, 0], [0x189, 0]) }],
    ['version 5', { report: set([0, 5]) }],
    ['a Bergamo under the root of Genoa', { product: 'Genoa', report: set([0x189, 0xa0]) }],
    ['a guest at VMPL 3', { report: set([0x30, 3]) }],
    ['a platform without its protections', settings(0)],
    ['a guest that allows threads', { report: set([0x0a, 3]) }],
    ['a firmware that could go back', { report: set([0x1e0, 3]) }],
    ['a guest started on older firmware', { report: set([0x1f7, 7]) }],
  ]
}

function formCases(): readonly Row[] {
  const unknown = { format: 'snp-product-unknown' } as const
  return [
    ['a report cut short', { signedReport: (report) => report.subarray(0, -1) }, malformed],
    [
      'a report with a byte behind',
      { signedReport: (report) => Uint8Array.of(...report, 0) },
      malformed,
    ],
    ['version 1', { report: set([0, 1]) }, { format: 'snp-version-unsupported' }],
    ['version 6', { report: set([0, 6]) }, { format: 'snp-version-unsupported' }],
    ['a policy without bit 17', { report: set([0x0a, 0]) }, malformed],
    ['a policy with a reserved bit', { report: set([0x0b, 4]) }, malformed],
    ['VMPL 4', { report: set([0x30, 4]) }, malformed],
    ['another algorithm', { report: set([0x34, 2]) }, malformed],
    ['no signing key', { report: set([0x48, 7 << 2]) }, malformed],
    ['a byte behind r', { signedReport: (report) => turned(report, 0x2a0 + 48) }, malformed],
    ['a byte behind s', { signedReport: (report) => turned(report, 0x2a0 + 72 + 71) }, malformed],
    ['a byte behind the signature', { signedReport: (report) => turned(report, 1183) }, malformed],
    ['a processor of another family', { report: set([0x188, 0x17]) }, unknown],
    ['a processor of a model between', { report: set([0x189, 0x20]) }, unknown],
    ['a processor of a model beyond', { report: set([0x189, 0xb0]) }, unknown],
    ['a Turin of a model beyond', { product: 'Turin', report: set([0x189, 0x12]) }, unknown],
  ]
}

function productCases(): readonly Row[] {
  return [
    ['a Genoa under the root of Milan', { report: set([0x189, 0x11]) }, product],
    ['a certificate that names no product', vek('2'), product],
    ['a certificate that names another product', vek('2', ia5('Genoa-B1')), product],
    ['a certificate that names no known product', vek('2', ia5('Rome-B0')), product],
    ['a certificate whose product is no text', vek('2', Uint8Array.of(2, 1, 0)), certificate],
    [
      'an intermediate of another role',
      { ask: { subject: 'SEV-VLEK-Milan' }, vek: { issuer: 'SEV-VLEK-Milan' } },
      product,
    ],
    [
      'the key of a provider under the authority of chips',
      { signingKey: 'vlek', ask: { subject: 'SEV-Milan' }, vek: { issuer: 'SEV-Milan' } },
      product,
    ],
  ]
}

function tcbCases(): readonly Row[] {
  const components = ['3.1', '3.2', '3.3', '3.8'] as const
  return [
    ...components.map((id): Row => [
      `another version in extension ${id}`,
      vek(id, integer(77)),
      tcb,
    ]),
    ['a certificate without microcode', vek('3.8'), tcb],
    ['a version that is no integer', vek('3.1', ia5('4')), certificate],
    ['a version with a byte behind', vek('3.1', Uint8Array.of(2, 1, 4, 0)), certificate],
    ['a Turin certificate without FMC', { product: 'Turin', ...vek('3.9') }, tcb],
    [
      'a Turin TCB in the places of Milan',
      { product: 'Turin', report: setTcb([4, 1, 0, 0, 0, 0, 24, 219]) },
      tcb,
    ],
    ['a Milan TCB in the places of Turin', { report: setTcb([7, 4, 1, 24, 0, 0, 0, 219]) }, tcb],
  ]
}

function chipCases(): readonly Row[] {
  return [
    ['another chip', { report: set([0x1a0, 0]) }, chip],
    ['a certificate that names no chip', vek('4'), chip],
    ['a chip of 63 bytes', vek('4', new Uint8Array(63)), chip],
    ['a masked chip', { report: maskChip, ...vek('4', new Uint8Array(64)) }, chip],
    ['a Turin chip with more behind it', { product: 'Turin', report: set([0x1a0 + 8, 1]) }, chip],
    ['a Turin chip of 64 bytes', { product: 'Turin', ...vek('4', new Uint8Array(64)) }, chip],
    ['the key of a chip that names a provider', vek('5', ia5('provider')), chip],
    [
      'the key of a provider that names a chip',
      { signingKey: 'vlek', ...vek('4', new Uint8Array(64)) },
      chip,
    ],
    ['the key of a provider that names none', { signingKey: 'vlek', ...vek('5') }, chip],
  ]
}

function signatureCases(): readonly Row[] {
  const invalid = { signature: 'evidence-signature-invalid' } as const
  return [
    [
      'a report changed after it was signed',
      { signedReport: (report) => turned(report, 0x50) },
      invalid,
    ],
    ['a report signed by another key', { vek: { key: stranger } }, invalid],
    ['a chip with a P-256 key', { vek: { key: seededKey('vcek', 'P-256') } }, invalid],
    ['a signature of zeros', { signedReport: (report) => report.fill(0, 0x2a0) }, invalid],
  ]
}

function revocationCases(): readonly Row[] {
  return [
    ['a revoked intermediate', revoking(0, snpAsOfMs), { revocation: 'certificate-revoked' }],
    ['an intermediate that will be revoked', revoking(0, snpAsOfMs + secondMs)],
    ['a list that names somebody else', revoking(7, snpAsOfMs)],
    ['a list of another key', { list: { key: stranger } }, { revocation: 'crl-signature-invalid' }],
    [
      'a list of another root',
      { list: { issuer: 'ARK-Genoa' } },
      { revocation: 'crl-issuer-mismatch' },
    ],
    [
      'a list of the future',
      { list: { thisUpdateMs: snpAsOfMs + secondMs } },
      { revocation: 'crl-not-yet-valid' },
    ],
    [
      'a list of the past',
      { list: { nextUpdateMs: snpAsOfMs - secondMs } },
      { revocation: 'crl-expired' },
    ],
  ]
}

function modeCases(): readonly Row[] {
  return [
    ['a guest in debug mode', { report: set([0x0a, 0x0a]) }, { debug: 'debug-enabled' }],
    [
      'a guest with a migration agent',
      { report: set([0x0a, 0x06]) },
      { configuration: 'migration-enabled' },
    ],
  ]
}

function chainCases(): readonly Row[] {
  const ends = { notAfterMs: snpAsOfMs - secondMs }
  const begins = { notBeforeMs: snpAsOfMs + secondMs }
  const root = { root: 'chain-root-untrusted' } as const
  return [
    ['another root', { ark: { key: stranger } }, root],
    [
      'an intermediate signed by another',
      { ask: { issuerKey: stranger } },
      { chain: 'chain-signature-invalid' },
    ],
    [
      'a chip signed by another',
      { vek: { issuerKey: stranger } },
      { chain: 'chain-signature-invalid' },
    ],
    [
      'an intermediate of another issuer',
      { ask: { issuer: 'ARK-Genoa' } },
      { chain: 'chain-issuer-mismatch' },
    ],
    [
      'a chip of another issuer',
      { vek: { issuer: 'SEV-Genoa' } },
      { chain: 'chain-issuer-mismatch' },
    ],
    [
      'an intermediate that is no authority',
      { ask: { extensions: [basicConstraints(false), keyUsage(4)] } },
      { chain: 'chain-not-ca' },
    ],
    [
      'a chip that is an authority',
      { vek: { extensions: authorityExtensions() } },
      { chain: 'chain-key-usage' },
    ],
    ['an intermediate that has ended', { ask: ends }, { validity: 'certificate-expired' }],
    [
      'an intermediate that has not begun',
      { ask: begins },
      { validity: 'certificate-not-yet-valid' },
    ],
    ['a chip that has ended', { vek: ends }, { validity: 'certificate-expired' }],
    ['a chip that has not begun', { vek: begins }, { validity: 'certificate-not-yet-valid' }],
  ]
}

function missingCases(): readonly EvidenceCase[] {
  const open = [
    ['ark', { root: 'collateral-missing', chain: 'blocked', signature: 'blocked' }],
    ['ask', { chain: 'collateral-missing', validity: 'blocked', signature: 'blocked' }],
    ['vek', { chain: 'collateral-missing', validity: 'blocked', signature: 'blocked' }],
    ['crl', { revocation: 'collateral-missing' }],
  ] as const
  return open.map(([name, reasons]) => {
    const edits: SnpEdits = { collateral: (parts) => void parts.delete(name) }
    return { ...toCase('AT1.5', [`without ${name}`, edits]), open: reasons }
  })
}

function set(...values: readonly (readonly [number, number])[]): (report: Uint8Array) => void {
  return (report) => {
    for (const [at, value] of values) report[at] = value
  }
}

function setTcb(tcbBytes: readonly number[]): (report: Uint8Array) => void {
  return (report) => {
    report.set(tcbBytes, 0x180)
  }
}

function turned(report: Uint8Array, at: number): Uint8Array {
  return report.with(at, (report[at] ?? 0) ^ 1)
}

/** One extension of the chip's certificate with another value, or without it. */
function vek(id: string, value?: Uint8Array): SnpEdits {
  return {
    vekExtensions: (extensions) => {
      if (value === undefined) extensions.delete(id)
      else extensions.set(id, value)
    },
  }
}

function integer(value: number): Uint8Array {
  return derUnsignedInteger(Uint8Array.of(value))
}

function ia5(text: string): Uint8Array {
  return derElement(0x16, Buffer.from(text, 'ascii'))
}

function revoking(serial: number, atMs: number): SnpEdits {
  return {
    list: { revoked: [{ serial, atMs }] },
  }
}

function maskChip(report: Uint8Array): void {
  report.fill(0, 0x1a0, 0x1e0)
}
