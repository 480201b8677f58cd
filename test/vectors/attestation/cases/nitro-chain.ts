/** Cases of the chain, the dates and the revocation lists behind Nitro documents (spec/attestation.md AT2 to AT5). */
import type { EvidenceCheckId } from '@countersign/protocol/attestation/appraisal'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import {
  authorityExtensions,
  basicConstraints,
  createExtension,
  keyUsage,
  signerExtensions,
  type CertificatePlan,
  type RevocationListPlan,
} from '../certificate.ts'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  forgeEnclave,
  forgeLists,
  nitroTestRoot,
  nitroTimeMs,
  type NitroEdit,
} from '../forge-nitro.ts'
import { seededKey } from '../test-key.ts'

type Failed = Readonly<Partial<Record<EvidenceCheckId, EvidenceCode>>>
type Plan = CertificatePlan
type Row = readonly [name: string, clause: string, edit: NitroEdit, failed: Failed]

const dayMs = 86_400_000
const depths = [0, 1, 2, 3] as const
const levels = ['root', 'first intermediate', 'second intermediate', 'leaf'] as const

/** All of them. */
export function chainCases(): readonly EvidenceCase[] {
  return [
    ...rootCases(),
    ...issuanceRows.map(toCase),
    ...formCases(),
    ...dateCases(),
    ...listCases(),
  ]
}

function rootCases(): readonly EvidenceCase[] {
  const failed = { root: 'chain-root-untrusted' } as const
  const other = nitroTestRoot.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))
  return [
    { ...base('another pin is refused', 'AT3.1'), roots: [other], failed },
    { ...base('no pin is refused', 'AT3.1'), roots: [], failed },
    { ...base('one of several pins is enough', 'AT3.1'), roots: [other, nitroTestRoot] },
  ]
}

/** What is wrong with the DER of one certificate. */
function formCases(): readonly EvidenceCase[] {
  const twice = [...signerExtensions(), keyUsage(0b1000_0000)]
  const malformed = { format: 'certificate-malformed' } as const
  const rows: readonly Row[] = [
    [
      'a certificate with a byte behind',
      'AT2.1',
      editLeaf((leaf) => Uint8Array.of(...leaf, 0)),
      malformed,
    ],
    ['a certificate cut short', 'AT2.1', editLeaf((leaf) => leaf.slice(0, -1)), malformed],
    ['a certificate of another tag', 'AT2.1', editLeaf((leaf) => leaf.with(0, 0x31)), malformed],
    [
      'a certificate with two extensions of one kind',
      'AT2.4',
      edit(3, { extensions: twice }),
      malformed,
    ],
    // The outer AlgorithmIdentifier stands before the signature; nothing signs it.
    ['a certificate of two algorithms', 'AT2.3', editLeaf(turnAlgorithm), malformed],
    [
      'a certificate with an algorithm that nobody takes',
      'AT2.3',
      editLeaf(useSha224),
      { format: 'certificate-algorithm' },
    ],
  ]
  return rows.map(toCase)
}

/** Each level before its time and after it. */
function dateCases(): readonly EvidenceCase[] {
  const inside = nitroTimeMs
  return depths.flatMap((depth) => {
    const change = depth === 0 ? editRoot : (part: Partial<Plan>) => edit(depth, part)
    const early: Partial<Plan> = { notBeforeMs: inside + 1000 }
    const late: Partial<Plan> = { notAfterMs: inside - 1000 }
    const root: Failed = depth === 0 ? { root: 'chain-root-untrusted' } : {}
    return [
      toCase([
        `a ${levels[depth]} that has not begun`,
        'AT3.9',
        change(early),
        { ...root, validity: 'certificate-not-yet-valid' },
      ]),
      toCase([
        `a ${levels[depth]} that has ended`,
        'AT3.9',
        change(late),
        { ...root, validity: 'certificate-expired' },
      ]),
    ]
  })
}

function listCases(): readonly EvidenceCase[] {
  const stranger = seededKey('stranger')
  const rows: readonly (readonly [string, number, Partial<RevocationListPlan>, EvidenceCode])[] = [
    ['a list that another key signed', 0, { key: stranger }, 'crl-signature-invalid'],
    ['a list of another issuer', 1, { issuer: 'Somebody else' }, 'crl-issuer-mismatch'],
    ['a list that has not begun', 0, { thisUpdateMs: nitroTimeMs + 1000 }, 'crl-not-yet-valid'],
    ['a list that has ended', 1, { nextUpdateMs: nitroTimeMs - 1000 }, 'crl-expired'],
    [
      'a first intermediate that is revoked',
      ...revoked(1001, nitroTimeMs - dayMs),
      'certificate-revoked',
    ],
    ['a second intermediate that is revoked', ...revoked(1002, nitroTimeMs), 'certificate-revoked'],
  ]
  const later = forgeLists((plan) => ({
    ...plan,
    revoked: [
      { serial: 1001, atMs: nitroTimeMs + dayMs },
      { serial: 1002, atMs: nitroTimeMs + dayMs },
    ],
  }))
  const garbage = new Map([...forgeLists(), ['root-crl', Uint8Array.of(0x30, 0x00)]])
  const half = new Map([...forgeLists()].slice(0, 1))
  const swapped = new Map(
    [...forgeLists()].map(([name], index, all) => [name, all[1 - index]?.[1] ?? new Uint8Array(0)]),
  )
  return [
    ...rows.map(([name, depth, change, code]) => ({
      ...base(`${name} is refused`, clauseOf(code)),
      collateral: forgeLists((plan, at) => (at === depth ? { ...plan, ...change } : plan)),
      failed: { revocation: code },
    })),
    { ...base('certificates revoked later are taken', 'AT4.4'), collateral: later },
    {
      ...base('a list that is none is refused', 'AT4.1'),
      collateral: garbage,
      failed: { revocation: 'crl-malformed' },
    },
    {
      ...base('lists that are swapped are refused', 'AT4.2'),
      collateral: swapped,
      failed: { revocation: 'crl-issuer-mismatch' },
    },
    {
      ...base('no list leaves revocation open', 'AT9.5'),
      open: { revocation: 'collateral-missing' },
    },
    {
      ...base('one list of two leaves revocation open', 'AT9.5'),
      collateral: half,
      open: { revocation: 'collateral-missing' },
    },
  ]
}

/** The list that names a certificate, by the depth of its issuer. */
function revoked(
  serial: number,
  atMs: number,
): readonly [depth: number, change: Partial<RevocationListPlan>] {
  return [serial - 1001, { revoked: [{ serial, atMs }] }]
}

function clauseOf(code: EvidenceCode): string {
  if (code === 'certificate-revoked') return 'AT4.4'
  return code === 'crl-expired' || code === 'crl-not-yet-valid' ? 'AT4.3' : 'AT4.2'
}

function base(name: string, clause: string): EvidenceCase {
  return {
    name,
    clause,
    platform: 'aws-nitro',
    raw: forgeEnclave(),
    asOfMs: nitroTimeMs,
    roots: [nitroTestRoot],
  }
}

function toCase([name, clause, change, failed]: Row): EvidenceCase {
  return { ...base(`${name} is refused`, clause), raw: forgeEnclave(change), failed }
}

function edit(depth: number, change: Partial<Plan>): NitroEdit {
  return {
    plans: (plans) => plans.map((plan, at) => (at === depth ? { ...plan, ...change } : plan)),
  }
}

/** The root signs itself; its pin is another then, so that it is refused for that too. */
function editRoot(change: Partial<Plan>): NitroEdit {
  return edit(0, change)
}

function editLeaf(change: (leaf: Uint8Array) => Uint8Array): NitroEdit {
  return {
    certificates: (all) =>
      all.map((certificate, at) => (at === 3 ? change(certificate) : certificate)),
  }
}

const ecdsaWithSha384 = Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03)

/** ecdsa-with-SHA384 becomes ecdsa-with-SHA256 in the outer place. */
function turnAlgorithm(leaf: Uint8Array): Uint8Array {
  const at = Buffer.from(leaf).lastIndexOf(ecdsaWithSha384)
  return leaf.with(at + 7, 0x02)
}

/** ecdsa-with-SHA384 becomes ecdsa-with-SHA224 in both places. */
function useSha224(leaf: Uint8Array): Uint8Array {
  const bytes = Buffer.from(leaf)
  return leaf
    .with(bytes.indexOf(ecdsaWithSha384) + 7, 0x01)
    .with(bytes.lastIndexOf(ecdsaWithSha384) + 7, 0x01)
}

function keep(...certificates: readonly (Uint8Array | undefined)[]): readonly Uint8Array[] {
  return certificates.filter((certificate) => certificate !== undefined)
}

const unknown = createExtension('1.2.3.4', true, Uint8Array.of(5, 0))

/** What is wrong with how one certificate issues another. */
const issuanceRows: readonly Row[] = [
  [
    'a chain without intermediates',
    'AT3.2',
    { certificates: ([root, , , leaf]) => keep(root, leaf) },
    { chain: 'chain-length' },
  ],
  [
    'a chain without its second intermediate',
    'AT3.3',
    { certificates: ([root, first, , leaf]) => keep(root, first, leaf) },
    { chain: 'chain-issuer-mismatch' },
  ],
  [
    'a cabundle in reverse',
    'AT3.3',
    { certificates: ([root, first, second, leaf]) => keep(second, first, root, leaf) },
    { root: 'chain-root-untrusted', chain: 'chain-issuer-mismatch' },
  ],
  [
    'intermediates that are swapped',
    'AT3.3',
    { certificates: ([root, first, second, leaf]) => keep(root, second, first, leaf) },
    { chain: 'chain-issuer-mismatch' },
  ],
  [
    'an issuer of another name',
    'AT3.3',
    edit(2, { issuer: 'Somebody else' }),
    { chain: 'chain-issuer-mismatch' },
  ],
  ...depths
    .slice(1)
    .map((depth): Row => [
      `a ${levels[depth]} signed by another key`,
      'AT3.4',
      edit(depth, { issuerKey: seededKey('stranger') }),
      { chain: 'chain-signature-invalid' },
    ]),
  [
    'an intermediate that is no authority',
    'AT3.5',
    edit(1, { extensions: [basicConstraints(false), keyUsage(0b110)] }),
    { chain: 'chain-not-ca' },
  ],
  [
    'an intermediate without basicConstraints',
    'AT3.5',
    edit(2, { extensions: [keyUsage(0b110)] }),
    { chain: 'chain-not-ca' },
  ],
  [
    'a root that may not sign certificates',
    'AT3.6',
    editRoot({ extensions: [basicConstraints(true), keyUsage(0b010)] }),
    { root: 'chain-root-untrusted', chain: 'chain-key-usage' },
  ],
  [
    'an intermediate that may not sign certificates',
    'AT3.6',
    edit(2, { extensions: [basicConstraints(true), keyUsage(0b1000_0000)] }),
    { chain: 'chain-key-usage' },
  ],
  [
    'a leaf that may not sign',
    'AT3.6',
    edit(3, { extensions: [basicConstraints(false), keyUsage(0b100)] }),
    { chain: 'chain-key-usage' },
  ],
  [
    'a leaf that is an authority',
    'AT3.6',
    edit(3, { extensions: [basicConstraints(true), keyUsage(0b1000_0100)] }),
    { chain: 'chain-key-usage' },
  ],
  [
    'more authorities than the first allows',
    'AT3.7',
    edit(1, { extensions: authorityExtensions(0) }),
    { chain: 'chain-path-length' },
  ],
  [
    'a critical extension that nobody knows in an intermediate',
    'AT3.8',
    edit(1, { extensions: [...authorityExtensions(1), unknown] }),
    { chain: 'certificate-extension-critical' },
  ],
  [
    'a critical extension that nobody knows in the leaf',
    'AT3.8',
    edit(3, { extensions: [...signerExtensions(), unknown] }),
    { chain: 'certificate-extension-critical' },
  ],
  [
    'a leaf with a P-256 key',
    'AT9.3',
    edit(3, { key: seededKey('leaf', 'P-256') }),
    { chain: 'certificate-key', signature: 'evidence-signature-invalid' },
  ],
]
