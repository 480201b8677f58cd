/** Cases of what quotes are judged with: certificates, lists, statements (spec/attestation.md AT7.3 to AT7.5). */
import { derObjectIdentifier, derOctetString, derSequence } from '../../../provider/der.ts'
import {
  authorityExtensions,
  basicConstraints,
  createCertificate,
  createExtension,
  keyUsage,
  pinOf,
  signerExtensions,
} from '../certificate.ts'
import { dcapCase, type DcapRow as Row } from '../dcap-case.ts'
import { dcapAsOfMs, dcapRoot, dcapSerials, type DcapEdits } from '../dcap-evidence.ts'
import type { EvidenceCase } from '../evidence-case.ts'
import { seededKey } from '../test-key.ts'

const secondMs = 1000
const pckOid = '1.2.840.113741.1.13.1'
const malformed = { chain: 'collateral-malformed' } as const
const forged = { chain: 'collateral-signature-invalid' } as const
const stranger = seededKey('stranger', 'P-256')
const otherRootKey = seededKey('another root', 'P-256')

/** All of them. */
export function dcapCollateralCases(): readonly EvidenceCase[] {
  return [
    ...chainCases().map((row) => dcapCase('AT7.3', row)),
    ...issuanceCases().map((row) => dcapCase('AT7.3', row)),
    ...pckCases().map((row) => dcapCase('AT7.3', row)),
    ...statementCases().map((row) => dcapCase('AT7.4', row)),
    ...dateCases().map((row) => dcapCase('AT7.4', row)),
    ...listCases().map((row) => dcapCase('AT7.5', row)),
    ...missingCases(),
    otherRootCase(),
    { ...dcapCase('AT3.1', ['no pin', {}, { root: 'chain-root-untrusted' }]), roots: [] },
    {
      ...dcapCase('AT3.1', ['another pin', {}, { root: 'chain-root-untrusted' }]),
      roots: [dcapRoot.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))],
    },
  ]
}

function chainCases(): readonly Row[] {
  const root = { root: 'chain-root-untrusted' } as const
  const length = { root: 'chain-length' } as const
  return [
    [
      'a processor whose authority is left out',
      { chain: (chain) => void chain.splice(1, 1) },
      length,
    ],
    ['a processor of which the root is left out', { chain: (chain) => void chain.pop() }, length],
    [
      'a chain with the root first',
      { chain: (chain) => void chain.unshift(...chain.splice(2)) },
      root,
    ],
    [
      'a chain with one certificate twice',
      { chain: (chain) => void chain.splice(1, 0, ...chain.slice(1, 2)) },
      length,
    ],
  ]
}

function issuanceCases(): readonly Row[] {
  const unknown = createExtension('1.2.3.4', true, Uint8Array.of(5, 0))
  return [
    [
      'an authority signed by another',
      { authority: { issuerKey: stranger } },
      { chain: 'chain-signature-invalid' },
    ],
    [
      'a processor signed by another',
      { processor: { issuerKey: stranger } },
      { chain: 'chain-signature-invalid' },
    ],
    [
      'a processor of another authority',
      { processor: { issuer: 'Other' } },
      { chain: 'chain-issuer-mismatch' },
    ],
    [
      'an authority that is none',
      { authority: { extensions: [basicConstraints(false), keyUsage(0x06)] } },
      { chain: 'chain-not-ca' },
    ],
    [
      'an authority that may not sign certificates',
      { authority: { extensions: [basicConstraints(true, 0), keyUsage(0x02)] } },
      { chain: 'chain-key-usage' },
    ],
    [
      'an authority with an extension that nobody knows',
      { authority: { extensions: [...authorityExtensions(0), unknown] } },
      { chain: 'certificate-extension-critical' },
    ],
    [
      'a processor that may not sign',
      { processor: { extensions: [basicConstraints(false), keyUsage(0x04)] } },
      { chain: 'chain-key-usage' },
    ],
    [
      'a signer of statements that may not sign',
      { signer: { extensions: [basicConstraints(false), keyUsage(0x04)] } },
      { chain: 'chain-key-usage' },
    ],
    [
      'a signer of statements that is an authority',
      { signer: { extensions: [basicConstraints(true), keyUsage(0x86)] } },
      { chain: 'chain-key-usage' },
    ],
    ['statements signed by another key', { signer: { key: stranger } }, forged],
    ['statements signed by a P-384 key', { signer: { key: seededKey('s', 'P-384') } }, forged],
    [
      'a signer of another root',
      { signer: { issuerKey: stranger } },
      { chain: 'chain-signature-invalid' },
    ],
    [
      'a signer without its root',
      { signerChain: (chain) => void chain.pop() },
      { chain: 'chain-length' },
    ],
    [
      'a signer under a root of its own',
      { signerChain: (chain) => void chain.splice(1, 1, ...chain.slice(0, 1)) },
      { chain: 'chain-root-untrusted' },
    ],
  ]
}

function pckCases(): readonly Row[] {
  const failed = { chain: 'pck-malformed' } as const
  return [
    [
      'a processor certificate without its extension',
      { processor: { extensions: signerExtensions() } },
      failed,
    ],
    ['a PPID of 15 bytes', putPck(0, pckValue('1', 15)), failed],
    ['no PPID', putPck(0), failed],
    ['no TCB', putPck(1), failed],
    ['no FMSPC', putPck(3), failed],
    ['a FMSPC of 7 bytes', putPck(3, pckValue('4', 7)), failed],
    ['two FMSPCs', putPck(4, pckValue('4', 6)), failed],
    ['a missing component', { pckTcb: (list) => void list.splice(4, 1) }, failed],
    ['a missing PCESVN', { pckTcb: (list) => void list.splice(16, 1) }, failed],
    ['a component twice', { pckTcb: (list) => void list.push(...list.slice(0, 1)) }, failed],
  ]
}

function statementCases(): readonly Row[] {
  return [
    ['a statement written again', { collateral: spaced('tcb-info') }, forged],
    ['an identity written again', { collateral: spaced('qe-identity') }, forged],
    ['a statement with the signature of the other', { collateral: swapped }, forged],
    ['a statement that is no JSON', { tcbText: (text) => text.slice(1) }, malformed],
    [
      'a statement with a member twice',
      { tcbText: (text) => text.replace('{', '{"version":3,') },
      malformed,
    ],
    ['a statement that is a list', { tcbText: () => '[]' }, malformed],
    ['a statement of version 2', { tcbInfo: put('version', 2) }, malformed],
    ['an identity of version 1', { qeIdentity: put('version', 1) }, malformed],
    ['a statement about SGX', { tcbInfo: put('id', 'SGX') }, malformed],
    ['a statement about TDX', { tcbInfo: put('id', 'TDX') }, malformed, 'sgx'],
    ['an identity for SGX', { qeIdentity: put('id', 'QE') }, malformed],
    ['an identity for TDX', { qeIdentity: put('id', 'TD_QE') }, malformed, 'sgx'],
    ['a date without seconds', { tcbInfo: put('issueDate', '2026-05-20T00:00Z') }, malformed],
    ['a date of no day', { tcbInfo: put('nextUpdate', '2026-06-31T00:00:00Z') }, malformed],
    ['a status that nobody knows', { tcbInfo: inLevel(0, 'tcbStatus', 'Fine') }, malformed],
    ['an advisory that is no text', { tcbInfo: inLevel(0, 'advisoryIDs', [1]) }, malformed],
    ['levels that are no list', { tcbInfo: put('tcbLevels', {}) }, malformed],
    [
      'more levels than any',
      {
        tcbInfo: put(
          'tcbLevels',
          Array.from({ length: 257 }, () => ({})),
        ),
      },
      malformed,
    ],
    ['fifteen components', { tcbInfo: inLevel(0, 'tcb', { sgxtcbcomponents: [] }) }, malformed],
    ['a negative evaluation number', { tcbInfo: put('tcbEvaluationDataNumber', -1) }, malformed],
    ['an FMSPC that is a number', { tcbInfo: put('fmspc', 1) }, malformed],
    ['attributes of another length', { qeIdentity: put('attributes', '11') }, malformed],
    ['an unknown member', { tcbInfo: put('later', 1) }],
  ]
}

function dateCases(): readonly Row[] {
  const early = { validity: 'certificate-not-yet-valid' } as const
  const late = { validity: 'certificate-expired' } as const
  const begins = { notBeforeMs: dcapAsOfMs + secondMs }
  const ends = { notAfterMs: dcapAsOfMs - secondMs }
  return [
    ['an authority that has not begun', { authority: begins }, early],
    ['an authority that has ended', { authority: ends }, late],
    ['a processor that has not begun', { processor: begins }, early],
    ['a processor that has ended', { processor: ends }, late],
    ['a signer that has not begun', { signer: begins }, early],
    ['a signer that has ended', { signer: ends }, late],
    ['an authority in its last second', { authority: { notAfterMs: dcapAsOfMs } }],
    ['an authority in its first second', { authority: { notBeforeMs: dcapAsOfMs } }],
    ['a statement in its first second', { tcbInfo: put('issueDate', '2026-06-01T00:00:00Z') }],
    ['a statement in its last second', { tcbInfo: put('nextUpdate', '2026-06-01T00:00:00Z') }],
    [
      'a statement of the future',
      { tcbInfo: put('issueDate', '2026-06-01T00:00:01Z') },
      { validity: 'collateral-not-yet-valid' },
    ],
    [
      'a statement of the past',
      { tcbInfo: put('nextUpdate', '2026-05-31T23:59:59Z') },
      { validity: 'collateral-expired' },
    ],
    [
      'an identity of the future',
      { qeIdentity: put('issueDate', '2026-06-01T00:00:01Z') },
      { validity: 'collateral-not-yet-valid' },
    ],
    [
      'an identity of the past',
      { qeIdentity: put('nextUpdate', '2026-05-31T23:59:59Z') },
      { validity: 'collateral-expired' },
    ],
  ]
}

function listCases(): readonly Row[] {
  const revoked = { revocation: 'certificate-revoked' } as const
  const lists = ['rootList', 'pckList'] as const
  return [
    ['a revoked authority', { rootList: revoking(dcapSerials.authority) }, revoked],
    ['a revoked signer', { rootList: revoking(dcapSerials.signer) }, revoked],
    ['a revoked processor', { pckList: revoking(dcapSerials.processor) }, revoked],
    [
      'a revoked authority, and no second list',
      { rootList: revoking(dcapSerials.authority), ...without('pck-crl') },
      revoked,
    ],
    [
      'a revoked signer, and a second list of no bytes',
      { rootList: revoking(dcapSerials.signer), collateral: emptied },
      revoked,
    ],
    [
      'a processor that will be revoked',
      { pckList: revoking(dcapSerials.processor, dcapAsOfMs + secondMs) },
    ],
    ['a list that names nobody', { pckList: { revoked: [] } }],
    ...lists.flatMap((list): Row[] => [
      [
        `${list} of the future`,
        { [list]: { thisUpdateMs: dcapAsOfMs + secondMs } },
        { revocation: 'crl-not-yet-valid' },
      ],
      [
        `${list} of the past`,
        { [list]: { nextUpdateMs: dcapAsOfMs - secondMs } },
        { revocation: 'crl-expired' },
      ],
      [
        `${list} signed by another`,
        { [list]: { key: stranger } },
        { revocation: 'crl-signature-invalid' },
      ],
      [
        `${list} of another issuer`,
        { [list]: { issuer: 'Other' } },
        { revocation: 'crl-issuer-mismatch' },
      ],
      [`${list} with a serial twice`, { [list]: revoking(99) }, { revocation: 'crl-malformed' }],
    ]),
    ['two lists of the root', { collateral: doubled }, { revocation: 'crl-issuer-mismatch' }],
    ['an empty list', { collateral: emptied }, { revocation: 'crl-malformed' }],
    [
      'a root that may not sign lists',
      { authority: { extensions: [basicConstraints(true, 0), keyUsage(0x04)] } },
      { revocation: 'chain-key-usage' },
    ],
  ]
}

function missingCases(): readonly EvidenceCase[] {
  const chainNames = ['tcb-info', 'qe-identity'].flatMap((name) => [
    name,
    `${name}-signature`,
    `${name}-chain`,
  ])
  return [
    ...chainNames.map((name) => ({
      ...dcapCase('AT1.5', [`without ${name}`, without(name)]),
      open: { chain: 'collateral-missing', validity: 'blocked', tcb: 'blocked' } as const,
    })),
    ...['root-crl', 'pck-crl'].map((name) => ({
      ...dcapCase('AT1.5', [`without ${name}`, without(name)]),
      open: { revocation: 'collateral-missing' } as const,
    })),
  ]
}

function put(name: string, value: unknown): NonNullable<DcapEdits['tcbInfo']> {
  return (json) => {
    json[name] = value
  }
}

function inLevel(at: number, name: string, value: unknown): NonNullable<DcapEdits['tcbInfo']> {
  return (json) => {
    const levels = json['tcbLevels']
    if (!Array.isArray(levels)) throw new Error('no levels')
    levels[at] = { ...levels[at], [name]: value }
  }
}

function spaced(name: string): NonNullable<DcapEdits['collateral']> {
  return (parts) => {
    parts.set(name, Uint8Array.from([...(parts.get(name) ?? []), 0x20]))
  }
}

function swapped(parts: Map<string, Uint8Array>): void {
  parts.set('tcb-info-signature', parts.get('qe-identity-signature') ?? new Uint8Array())
}

function doubled(parts: Map<string, Uint8Array>): void {
  parts.set('pck-crl', parts.get('root-crl') ?? new Uint8Array())
}

function emptied(parts: Map<string, Uint8Array>): void {
  parts.set('pck-crl', new Uint8Array())
}

function pckValue(place: string, bytes: number): Uint8Array {
  return derSequence(
    derObjectIdentifier(`${pckOid}.${place}`),
    derOctetString(new Uint8Array(bytes)),
  )
}

/** Statements that another root signs, which is pinned too. */
function otherRootCase(): EvidenceCase {
  const root = createCertificate({
    subject: 'Test SGX Root CA',
    issuer: 'Test SGX Root CA',
    serial: 1,
    key: otherRootKey,
    issuerKey: otherRootKey,
    notBeforeMs: dcapAsOfMs - secondMs,
    notAfterMs: dcapAsOfMs + secondMs,
    extensions: authorityExtensions(1),
  })
  const edits: DcapEdits = {
    signer: { issuerKey: otherRootKey },
    signerChain: (chain) => void chain.splice(1, 1, root),
  }
  const failed = { chain: 'chain-root-untrusted' } as const
  const given = dcapCase('AT7.3', ['statements under another root that is pinned', edits, failed])
  return { ...given, roots: [dcapRoot, pinOf(root)] }
}

function putPck(at: number, ...values: Uint8Array[]): DcapEdits {
  return { pckExtension: (list) => void list.splice(at, 1, ...values) }
}

/** A list that names this serial and somebody else's. */
function revoking(
  serial: number,
  atMs = dcapAsOfMs,
): { readonly revoked: readonly { readonly serial: number; readonly atMs: number }[] } {
  return {
    revoked: [
      { serial: 99, atMs },
      { serial, atMs },
    ],
  }
}

function without(name: string): DcapEdits {
  return { collateral: (parts) => void parts.delete(name) }
}
