/** Cases of Azure confidential machines (spec/attestation.md AT18). */
import { encodeMeasuredLog } from '@countersign/protocol/attestation/tpm/measured-log'
import { dcapAsOfMs, dcapRoot } from '../dcap-evidence.ts'
import type { EvidenceCase } from '../evidence-case.ts'
import { azureAk, forgeAzureSnp, forgeAzureTdx, type AzureEdit } from '../forge-azure.ts'
import { forgeTpmEvidence, tpmLog } from '../forge-tpm.ts'
import { snpAsOfMs, snpRoot } from '../snp-evidence.ts'

type Failed = NonNullable<EvidenceCase['failed']>
type Row = readonly [name: string, edit: AzureEdit, failed?: Failed]
type RuntimeEdit = NonNullable<AzureEdit['runtime']>

const data = 'azure-runtime-data'
const keySet = 'token-keys-malformed'

/** All of them. */
export function azureCases(): readonly EvidenceCase[] {
  return [
    ...goodCases(),
    ...formCases().map((row) => toCase('AT18.1', row)),
    ...runtimeCases().map((row) => toCase('AT18.2', row)),
    ...bindingCases().map((row) => toCase('AT18.3', row)),
    ...quoteCases().map((row) => toCase('AT18.4', row)),
    ...levelCases().map((row) => toCase('AT18.5', row)),
    ...hardwareCases().map((row) => toCase('AT18.6', row)),
    ...domainCases(),
    ...confusedCases(),
  ]
}

function toCase(clause: string, [name, edit, failed = {}]: Row): EvidenceCase {
  return {
    name,
    clause,
    platform: 'amd-sev-snp-azure',
    ...forgeAzureSnp(edit),
    asOfMs: snpAsOfMs,
    roots: [snpRoot('Milan')],
    failed,
  }
}

function toDomainCase(clause: string, [name, edit, failed = {}]: Row): EvidenceCase {
  return {
    name,
    clause,
    platform: 'intel-tdx-azure',
    ...forgeAzureTdx(edit),
    asOfMs: dcapAsOfMs,
    roots: [dcapRoot],
    failed,
  }
}

function goodCases(): readonly EvidenceCase[] {
  return [
    toCase('AT18', ['a machine on SEV-SNP', {}]),
    toDomainCase('AT18', ['a machine on TDX', {}]),
    toCase('AT18.2', ['a machine with a console and without secure boot', { runtime: open }]),
    toCase('AT18.2', ['a statement with members of its own', { runtime: withMember }]),
    toCase('AT18.4', [
      'a quote whose clock was not safe',
      { quote: { attest: () => ({ safe: 0 }) } },
    ]),
  ].map((given) => ({ ...given, failed: {} }))
}

function formCases(): readonly Row[] {
  const malformed = { format: 'tpm-malformed' } as const
  return [
    ['evidence of another version', { members: (all) => [[1, 2], ...all.slice(1)] }, malformed],
    ['evidence with a member more', { members: (all) => [...all, [5, 1]] }, malformed],
    ['evidence without a quote', { members: (all) => all.slice(0, 3) }, malformed],
    ['evidence with an empty report', { members: put(2, new Uint8Array(0)) }, malformed],
    ['a statement of 4,097 bytes', { members: put(3, new Uint8Array(4097)) }, malformed],
    ['a quote that is none', { members: put(4, Uint8Array.of(0xa0)) }, malformed],
    [
      'a report cut short',
      { snp: { signedReport: (report) => report.subarray(1) } },
      { format: 'snp-malformed' },
    ],
    ['a log that is none', { log: Uint8Array.of(0xa0) }, { format: 'event-log-malformed' }],
  ]
}

const open: RuntimeEdit = (json) => ({
  ...json,
  'vm-configuration': { 'console-enabled': true, 'secure-boot': false },
})

const put =
  (key: number, value: Uint8Array): NonNullable<AzureEdit['members']> =>
  (members) =>
    members.map(([name, held]) => [name, name === key ? value : held])

const only =
  (kid: string): RuntimeEdit =>
  (json) => ({
    ...json,
    keys: [{ kid, kty: 'RSA', e: 'AQAB', n: Buffer.from(azureAk.modulus).toString('base64url') }],
  })
const configuration =
  (value: unknown): RuntimeEdit =>
  (json) => ({ ...json, 'vm-configuration': value })

const withMember: RuntimeEdit = (json) => ({ ...json, other: [1] })

function runtimeCases(): readonly Row[] {
  return [
    ['a statement that is no JSON', { runtimeText: (text) => `${text},` }, { format: data }],
    ['a statement that is a list', { runtime: () => [] }, { format: data }],
    ['a statement without the key', { runtime: only('HCLEkPub') }, { format: data }],
    [
      'a statement without a configuration',
      { runtime: configuration(undefined) },
      { format: data },
    ],
    ['a configuration that is a list', { runtime: configuration([]) }, { format: data }],
    [
      'a statement without keys',
      { runtime: (json) => ({ ...json, keys: [] }) },
      { format: keySet },
    ],
    [
      'a statement with the key twice',
      { runtime: (json) => ({ ...json, keys: [json['keys'], json['keys']].flat().slice(1) }) },
      { format: keySet },
    ],
  ]
}

function bindingCases(): readonly Row[] {
  const zeros = new Uint8Array(64)
  return [
    ['report data of zeros', { reportData: zeros }, { signature: data }],
    [
      'another statement than the hardware vouches for',
      { members: (all) => all.map(([key, value]) => [key, key === 3 ? spaced(value) : value]) },
      { signature: data },
    ],
    [
      'report data with more behind the hash',
      { snp: { report: (report) => report.set([1], 0x50 + 63) } },
      { signature: data },
    ],
  ]
}

function spaced(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? Uint8Array.of(...value, 0x20) : new Uint8Array(0)
}

function quoteCases(): readonly Row[] {
  return [
    [
      'a quote by a key that the paravisor does not state',
      {
        members: (all) => all.map(([key, value]) => [key, key === 4 ? forgeTpmEvidence() : value]),
      },
      { signature: 'azure-key-mismatch' },
    ],
    [
      'a quote that the key did not sign',
      { quote: { attest: () => ({ safe: 0 }) }, members: turnQuote },
      { signature: 'tpm-quote-signature-invalid' },
    ],
    [
      'other PCR values',
      { quote: { attest: () => ({ pcrDigest: new Uint8Array(32) }) } },
      { signature: 'tpm-pcr-mismatch' },
    ],
    [
      'a log that leads elsewhere',
      { log: encodeMeasuredLog({ ...tpmLog, events: tpmLog.events.slice(1) }) },
      { signature: 'event-log-mismatch' },
    ],
    [
      'a key that signs what comes from outside',
      { attributes: 0x00040072 },
      { configuration: 'tpm-key' },
    ],
  ]
}

/** The last bit of the quote's firmware version, which nothing else is compared with. */
const turnQuote: NonNullable<AzureEdit['members']> = (members) =>
  members.map(([key, value]) => {
    if (key !== 4 || !(value instanceof Uint8Array)) return [key, value]
    const at = Buffer.from(value).indexOf(Buffer.alloc(8, 2))
    return [key, value.with(at, 3)]
  })

function levelCases(): readonly Row[] {
  const level: AzureEdit = { snp: { report: (report) => report.set([2], 0x30) } }
  return [
    ['a report that the guest asked for', level, { configuration: 'azure-paravisor' }],
    [
      'a machine with a migration agent',
      { snp: { report: (report) => report.set([0x06], 0x0a) } },
      { configuration: 'migration-enabled' },
    ],
  ]
}

function hardwareCases(): readonly Row[] {
  const secondMs = 1000
  return [
    [
      'a machine in debug mode',
      { snp: { report: (report) => report.set([0x0a], 0x0a) } },
      { debug: 'debug-enabled' },
    ],
    [
      'a chip whose certificate has ended',
      { snp: { vek: { notAfterMs: snpAsOfMs - secondMs } } },
      { validity: 'certificate-expired' },
    ],
    [
      'a revoked intermediate',
      { snp: { list: { revoked: [{ serial: 0, atMs: snpAsOfMs }] } } },
      { revocation: 'certificate-revoked' },
    ],
    [
      'a report changed after it was signed',
      { snp: { signedReport: (report) => report.with(0x90, (report[0x90] ?? 0) ^ 1) } },
      { signature: 'evidence-signature-invalid' },
    ],
  ]
}

function domainCases(): readonly EvidenceCase[] {
  const rows: readonly Row[] = [
    ['report data of zeros, on TDX', { reportData: new Uint8Array(64) }, { signature: data }],
    [
      'a TDX machine in debug mode',
      { dcap: { body: (body) => body.set([1], 120) } },
      { debug: 'debug-enabled' },
    ],
    [
      'a TDX machine whose processor is of another platform',
      { dcap: { tcbInfo: (json) => Object.assign(json, { fmspc: 'ffffffffffff' }) } },
      { tcb: 'tcb-platform-mismatch' },
    ],
  ]
  return rows.map((row) => toDomainCase('AT18.6', row))
}

/** Evidence of one platform in place of another. */
function confusedCases(): readonly EvidenceCase[] {
  const snp = toCase('AT1.1', ['SEV-SNP in place of TDX', {}])
  const tdx = toDomainCase('AT1.1', ['TDX in place of SEV-SNP', {}])
  const { raw } = forgeAzureSnp()
  return [
    { ...snp, platform: 'intel-tdx-azure', failed: { format: 'quote-malformed' } },
    { ...tdx, platform: 'amd-sev-snp-azure', failed: { format: 'snp-malformed' } },
    {
      ...snp,
      name: 'evidence of a paravisor in place of a bare report',
      platform: 'amd-sev-snp',
      raw,
      failed: { format: 'snp-malformed' },
    },
  ]
}
