/** Cases of what endorses the key of a TPM (spec/attestation.md AT15). */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import { basicConstraints, createExtension, type RevocationListPlan } from '../certificate.ts'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  endorsementUse,
  extendedKeyUsage,
  forgeAkChain,
  forgeEndorsementChain,
  forgeEnrolment,
  forgeTpmCollateral,
  forgeTpmEvidence,
  forgeTpmList,
  testChallenger,
  toSigner,
  tpmPins,
  tpmTimeMs,
  u16,
  type TpmEdit,
} from '../forge-tpm.ts'
import { seededKey } from '../test-key.ts'

/** The checks that fail in a case. */
export type Failed = NonNullable<EvidenceCase['failed']>

/** What stays open in every case. */
export const open = { debug: 'platform-has-none', revocation: 'collateral-missing' } as const

const none = new Uint8Array(0)

/** All of them. */
export function tpmEndorsementCases(): readonly EvidenceCase[] {
  return [...enrolmentCases(), ...chainCases(), ...akChainCases(), ...revocationCases()]
}

/** A case of a quote that is right but for the edit. */
export function base(name: string, clause: string, edit: TpmEdit = {}): EvidenceCase {
  return {
    name,
    clause,
    platform: 'tpm',
    raw: forgeTpmEvidence(edit),
    collateral: forgeTpmCollateral(),
    asOfMs: tpmTimeMs,
    roots: tpmPins,
  }
}

function wrongRecords(): readonly (readonly [string, Uint8Array, Failed])[] {
  const stranger = seededKey('another challenger', 'P-256')
  const record = forgeEnrolment()
  const last = record.length - 1
  const flipped = record.with(last, (record[last] ?? 0) ^ 1)
  const forged = forgeEnrolment({}, { ...toSigner(stranger), publicKey: testChallenger.publicKey })
  return [
    [
      'a record of another challenger',
      forgeEnrolment({}, toSigner(stranger)),
      { root: 'tpm-challenger-untrusted' },
    ],
    ['a record that another key signed', forged, { chain: 'tpm-enrolment-invalid' }],
    ['a record with a bit turned', flipped, { chain: 'tpm-enrolment-invalid' }],
    [
      'a record for another key',
      forgeEnrolment({ akName: concatBytes(u16(0x0b), new Uint8Array(32)) }),
      { chain: 'tpm-enrolment-mismatch' },
    ],
    [
      'a record that has not begun',
      forgeEnrolment({ notBeforeMs: tpmTimeMs + 1 }),
      { validity: 'tpm-enrolment-not-valid' },
    ],
    [
      'a record that has ended',
      forgeEnrolment({ notAfterMs: tpmTimeMs - 1 }),
      { validity: 'tpm-enrolment-not-valid' },
    ],
    [
      'a record with a short name',
      forgeEnrolment({ akName: new Uint8Array(33) }),
      { root: 'tpm-malformed' },
    ],
    [
      'a record without a chain',
      forgeEnrolment({ endorsementChain: [] }),
      { root: 'tpm-malformed' },
    ],
    [
      'a record with a certificate of 8,193 bytes',
      forgeEnrolment({ endorsementChain: [new Uint8Array(8193)] }),
      { root: 'tpm-malformed' },
    ],
    ['a record that is no statement', encodeCbor(1), { root: 'tpm-malformed' }],
    [
      'a record with a certificate that is none',
      forgeEnrolment({ endorsementChain: [Uint8Array.of(5, 0)] }),
      { root: 'certificate-malformed' },
    ],
  ]
}

function enrolmentCases(): readonly EvidenceCase[] {
  return [
    ...wrongRecords().map(([name, bytes, failed]) => ({
      ...base(`${name} is refused`, 'AT15.6'),
      collateral: forgeTpmCollateral({ 'tpm-enrolment': bytes }),
      failed,
    })),
    {
      ...base('a quote that nobody enrolled stays open', 'AT15.6'),
      collateral: forgeTpmCollateral({ 'tpm-enrolment': undefined }),
      open: { root: 'collateral-missing', chain: 'blocked', validity: 'blocked' },
    },
    {
      ...base('two endorsements are refused', 'AT15.6'),
      collateral: forgeTpmCollateral({ 'tpm-ak-chain': forgeAkChain() }),
      failed: { root: 'tpm-malformed' },
    },
    {
      ...base('a challenger alone is not enough', 'AT15.6'),
      roots: tpmPins.slice(1),
      failed: { root: 'chain-root-untrusted' },
    },
    {
      ...base('a root alone is not enough', 'AT15.6'),
      roots: tpmPins.slice(0, 1),
      failed: { root: 'tpm-challenger-untrusted' },
    },
    {
      ...base('a time that is no date in force is refused', 'AT15.6'),
      asOfMs: 0,
      failed: { validity: 'certificate-not-yet-valid' },
    },
  ]
}

/** An enrolment whose EK certificate has these extensions. */
function leaf(extensions: readonly Uint8Array[]): Uint8Array {
  return forgeEnrolment({
    endorsementChain: forgeEndorsementChain((plans) =>
      plans.map((plan, depth) => (depth === 2 ? { ...plan, extensions } : plan)),
    ),
  })
}

function chainCases(): readonly EvidenceCase[] {
  const name = createExtension('2.5.29.17', true, Uint8Array.of(0x30, 0))
  const unknown = createExtension('1.2.3.4', true, Uint8Array.of(5, 0))
  const code = 'tpm-endorsement-certificate'
  const rows: readonly (readonly [string, Uint8Array, Failed])[] = [
    [
      'a certificate without a purpose',
      leaf([createExtension('1.2.3.4', false, none)]),
      { chain: code },
    ],
    ['a certificate for servers', leaf([extendedKeyUsage('1.3.6.1.5.5.7.3.1')]), { chain: code }],
    [
      'an authority in place of an EK',
      leaf([endorsementUse, basicConstraints(true)]),
      { chain: code },
    ],
    [
      'a certificate with an unknown critical extension',
      leaf([endorsementUse, unknown]),
      { chain: 'certificate-extension-critical' },
    ],
    [
      'purposes that are no list',
      leaf([createExtension('2.5.29.37', false, Uint8Array.of(5, 0))]),
      { chain: 'certificate-malformed' },
    ],
  ]
  return [
    ...rows.map(([what, bytes, failed]) => ({
      ...base(`${what} is refused`, 'AT15.6'),
      collateral: forgeTpmCollateral({ 'tpm-enrolment': bytes }),
      failed,
    })),
    {
      ...base('a critical name of the TPM is taken', 'AT15.6'),
      collateral: forgeTpmCollateral({ 'tpm-enrolment': leaf([endorsementUse, name]) }),
      open,
    },
  ]
}

function akChainCases(): readonly EvidenceCase[] {
  const cannotSign = {
    extensions: [createExtension('2.5.29.15', true, Uint8Array.of(3, 2, 5, 0x20))],
  }
  const rows: readonly (readonly [string, Uint8Array, Failed])[] = [
    [
      'a certificate for another key',
      forgeAkChain({ key: seededKey('another AK', 'P-256') }),
      { chain: 'tpm-enrolment-mismatch' },
    ],
    [
      'a certificate for a key on another curve',
      forgeAkChain({ key: seededKey('another AK') }),
      { chain: 'tpm-enrolment-mismatch' },
    ],
    [
      'a certificate for a key that does not sign',
      forgeAkChain(cannotSign),
      { chain: 'chain-key-usage' },
    ],
    [
      'a certificate that has ended',
      forgeAkChain({ notAfterMs: tpmTimeMs - 1000 }),
      { validity: 'certificate-expired' },
    ],
    ['no chain', encodeCbor([]), { root: 'tpm-malformed' }],
    [
      'a chain of seven',
      encodeCbor(Array.from({ length: 7 }, () => none)),
      { root: 'tpm-malformed' },
    ],
    ['a chain with a text', encodeCbor([none, 'root']), { root: 'tpm-malformed' }],
    ['a chain that is a text', encodeCbor('root'), { root: 'tpm-malformed' }],
    ['a chain that is no CBOR', Uint8Array.of(0xff), { root: 'tpm-malformed' }],
  ]
  return rows.map(([name, chain, failed]) => ({
    ...base(`${name} is refused`, 'AT15.7'),
    collateral: forgeTpmCollateral({ 'tpm-enrolment': undefined, 'tpm-ak-chain': chain }),
    failed,
  }))
}

function revocationCases(): readonly EvidenceCase[] {
  const lists = { 'crl-0': forgeTpmList(0), 'crl-1': forgeTpmList(1) }
  const rows: readonly (readonly [
    string,
    Readonly<Record<string, Uint8Array | undefined>>,
    EvidenceCode,
  ])[] = [
    [
      'a revoked EK certificate',
      { 'crl-1': forgeTpmList(1, revoked(1002)) },
      'certificate-revoked',
    ],
    ['a revoked authority', { 'crl-0': forgeTpmList(0, revoked(1001)) }, 'certificate-revoked'],
    [
      'a revoked EK certificate without the list of the root',
      { 'crl-0': undefined, 'crl-1': forgeTpmList(1, revoked(1002)) },
      'certificate-revoked',
    ],
    ['a list of another authority', { 'crl-1': forgeTpmList(0) }, 'crl-issuer-mismatch'],
    [
      'a list that another key signed',
      { 'crl-1': forgeTpmList(1, { key: seededKey('another') }) },
      'crl-signature-invalid',
    ],
    [
      'a list that has ended',
      { 'crl-1': forgeTpmList(1, { nextUpdateMs: tpmTimeMs - 1 }) },
      'crl-expired',
    ],
    ['a list that is none', { 'crl-1': Uint8Array.of(5, 0) }, 'crl-malformed'],
  ]
  return [
    {
      ...base('a quote with the lists of all authorities is taken', 'AT15.10'),
      collateral: forgeTpmCollateral(lists),
      open: { debug: 'platform-has-none' },
    },
    {
      ...base('a certificate that is revoked later is taken', 'AT15.10'),
      collateral: forgeTpmCollateral({
        ...lists,
        'crl-1': forgeTpmList(1, revoked(1002, tpmTimeMs + 1000)),
      }),
    },
    {
      ...base('a quote without the list of the last authority stays open', 'AT15.10'),
      collateral: forgeTpmCollateral({ 'crl-0': forgeTpmList(0) }),
      open,
    },
    ...rows.map(([name, part, code]) => ({
      ...base(`${name} is refused`, 'AT15.10'),
      collateral: forgeTpmCollateral({ ...lists, ...part }),
      failed: { revocation: code } as const,
    })),
  ]
}

function revoked(serial: number, atMs = tpmTimeMs): Pick<RevocationListPlan, 'revoked'> {
  return { revoked: [{ serial, atMs }] }
}
