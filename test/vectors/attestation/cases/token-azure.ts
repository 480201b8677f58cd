/** Cases of tokens of Azure Attestation (spec/attestation.md AT13). */
import type { EvidenceCheckId } from '@countersign/protocol/attestation/appraisal'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  certifiedJwk,
  forgeToken,
  keySet,
  rsaJwk,
  serviceKey,
  thumbprintOf,
  tokenDates,
  tokenTimeMs,
  type Json,
  type TokenEdit,
} from '../forge-token.ts'

type Row = readonly [
  name: string,
  claims: Json,
  failed?: Readonly<Partial<Record<EvidenceCheckId, EvidenceCode>>>,
]

const snp: Json = {
  ...tokenDates,
  iss: 'https://sharedeus.eus.attest.azure.net',
  'x-ms-attestation-type': 'sevsnpvm',
  'x-ms-compliance-status': 'azure-compliant-cvm',
  'x-ms-sevsnpvm-is-debuggable': false,
  'x-ms-sevsnpvm-migration-allowed': false,
  'x-ms-sevsnpvm-vmpl': 0,
  'x-ms-sevsnpvm-launchmeasurement': 'ab'.repeat(48),
  'x-ms-sevsnpvm-hostdata': '00'.repeat(32),
  'x-ms-sevsnpvm-reportdata': '42'.repeat(64),
}

const tdx: Json = {
  ...tokenDates,
  iss: 'https://sharedeus.eus.attest.azure.net',
  'x-ms-attestation-type': 'tdxvm',
  attester_tcb_status: 'UpToDate',
  tdx_td_attributes_debug: false,
  tdx_td_attributes: '0000001000000000',
  tdx_mrtd: 'ab'.repeat(48),
  tdx_rtmr0: '01'.repeat(48),
  tdx_rtmr1: '02'.repeat(48),
  tdx_rtmr2: '03'.repeat(48),
  tdx_rtmr3: '04'.repeat(48),
  tdx_report_data: '42'.repeat(64),
}

/** All of them. */
export function azureCases(): readonly EvidenceCase[] {
  return [
    ...snpRows.map((row) => toCase(snp, row)),
    ...tdxRows.map((row) => toCase(tdx, row)),
    {
      ...toCase(snp, ['a token with the place of its keys', {}]),
      raw: forge(snp, { header: { jku: 'https://sharedeus.eus.attest.azure.net/certs' } }),
      collateral: keySet(certifiedJwk(serviceKey)),
    },
  ]
}

const format = { format: 'token-claim-missing' } as const
const snpRows: readonly Row[] = [
  ['a token about a machine with SEV-SNP', {}],
  ['a token about a container with SEV-SNP', { 'x-ms-compliance-status': 'azure-compliant-uvm' }],
  ['a token of an instance of one name', { iss: 'https://mine.attest.azure.net' }],
  [
    'a token of an issuer elsewhere',
    { iss: 'https://attest.azure.net.example.com' },
    { chain: 'token-issuer-mismatch' },
  ],
  [
    'a token of an issuer without TLS',
    { iss: 'http://sharedeus.eus.attest.azure.net' },
    { chain: 'token-issuer-mismatch' },
  ],
  [
    'a token of an issuer with a path',
    { iss: 'https://sharedeus.eus.attest.azure.net/x' },
    { chain: 'token-issuer-mismatch' },
  ],
  [
    'a machine open to debugging',
    { 'x-ms-sevsnpvm-is-debuggable': true },
    { debug: 'debug-enabled' },
  ],
  [
    'a token about SEV-SNP that says nothing of debugging',
    { 'x-ms-sevsnpvm-is-debuggable': undefined },
    format,
  ],
  [
    'a machine that can be moved',
    { 'x-ms-sevsnpvm-migration-allowed': true },
    { configuration: 'migration-enabled' },
  ],
  [
    'a token about SEV-SNP that says nothing of moving',
    { 'x-ms-sevsnpvm-migration-allowed': undefined },
    { configuration: 'token-claim-missing' },
  ],
  ['a report that a level above the paravisor asked for', { 'x-ms-sevsnpvm-vmpl': 2 }],
  [
    'a token about SEV-SNP that says nothing of the level',
    { 'x-ms-sevsnpvm-vmpl': undefined },
    format,
  ],
  ['a token whose debugging is text', { 'x-ms-sevsnpvm-is-debuggable': 'false' }, format],
  [
    'a machine that does not comply',
    { 'x-ms-compliance-status': 'none' },
    { configuration: 'token-claim-refused' },
  ],
  [
    'a machine of which nobody says that it complies',
    { 'x-ms-compliance-status': undefined },
    { configuration: 'token-claim-refused' },
  ],
  [
    'a token about something else',
    { 'x-ms-attestation-type': 'sgx' },
    { format: 'token-claim-refused' },
  ],
  ['a token about nothing', { 'x-ms-attestation-type': undefined }, format],
  ['a token without report data', { 'x-ms-sevsnpvm-reportdata': undefined }, format],
  ['a token whose report data is not hex', { 'x-ms-sevsnpvm-reportdata': 'xx' }, format],
  ['a token without measurement', { 'x-ms-sevsnpvm-launchmeasurement': undefined }, format],
]

const tdxRows: readonly Row[] = [
  ['a token about a machine with TDX', {}],
  [
    'a machine with TDX open to debugging',
    { tdx_td_attributes_debug: true },
    { debug: 'debug-enabled' },
  ],
  [
    'a machine with TDX that is out of date',
    { attester_tcb_status: 'OutOfDate' },
    { configuration: 'token-claim-refused' },
  ],
  [
    'a machine with TDX of which nobody knows the state',
    { attester_tcb_status: undefined },
    { configuration: 'token-claim-refused' },
  ],
  [
    'a machine with TDX that can be moved',
    { tdx_td_attributes: '0000003000000000' },
    { configuration: 'migration-enabled' },
  ],
  [
    'a machine with TDX with a reserved attribute',
    { tdx_td_attributes: '0200001000000000' },
    { configuration: 'td-attributes' },
  ],
  ['a machine with TDX whose counters can be read', { tdx_td_attributes: '0000000000000080' }],
  ['a token about TDX without attributes', { tdx_td_attributes: undefined }, format],
  [
    'a machine with TDX with nine bytes of attributes',
    { tdx_td_attributes: '000000100000000001' },
    { configuration: 'td-attributes' },
  ],
  ['a token about TDX without one register', { tdx_rtmr3: undefined }, format],
]

function toCase(claims: Json, [name, edit, failed]: Row): EvidenceCase {
  const jwk = rsaJwk(serviceKey)
  return {
    name: `${name} is ${failed === undefined ? 'taken' : 'refused'}`,
    clause: 'AT13.1',
    platform: 'azure-attestation',
    raw: forge(claims, { claims: edit }),
    collateral: keySet(jwk),
    asOfMs: tokenTimeMs,
    roots: [thumbprintOf(jwk)],
    failed: failed ?? {},
  }
}

function forge(claims: Json, edit: TokenEdit): Uint8Array {
  return encodeUtf8(forgeToken(claims, edit))
}
