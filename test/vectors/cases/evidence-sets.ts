/** Cases of several pieces of evidence (spec/attestation.md AT19, and AT8 for each piece). */
import { encodePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { platforms } from '@countersign/protocol/attestation/appraisal'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { snpSamples } from '../../attestation/samples.ts'
import {
  askedOf,
  azurePiece,
  enclavePiece,
  nitroTpmPiece,
  setTimeMs,
  snpPiece,
  tpmPiece,
} from '../attestation/forge-set.ts'
import { compactSetCases, type CompactSetCase } from '../evidence-set-case.ts'
import { judgeRow, type Row, type Wanted } from '../evidence-set-row.ts'

const { snp, enclave } = askedOf
const two = [enclavePiece(), snpPiece()]
const valid = { ends: 'valid', tier: 'simulated' } as const
const debug = { report: (report: Uint8Array) => report.fill(0x0a, 0x0a, 0x0b) }
const open: Wanted = { ends: 'incomplete' }
const malformed: Wanted = { ends: 'evidence-malformed' }
const bytes = encodePlatformEvidence({ raw: Uint8Array.of(1), collateral: new Map() })

/** All of them. */
export async function evidenceSetCases(): Promise<readonly CompactSetCase[]> {
  const rows = [
    ...formRows(),
    ...bindingRows(),
    ...listedRows(),
    ...vendorRows(),
    ...policyRows(),
    ...occasionRows(),
  ]
  return compactSetCases(await Promise.all([...rows, ...verdictRows()].map(judgeRow)))
}

function setOf(pieces: CborValue, version: CborValue = 1, more: [number, CborValue][] = []) {
  return encodeCbor(new Map<number, CborValue>([[1, version], [2, pieces], ...more]))
}

/** Written by hand: an encoder sorts, and has no key twice. */
function unsorted(...names: readonly [string, string]): Uint8Array {
  const pairs = names.flatMap((name) => [encodeCbor(name), encodeCbor(bytes)])
  return concatBytes(Uint8Array.of(0xa2, 1, 1, 2, 0xa2), ...pairs)
}

function formRows(): readonly Row[] {
  const many = new Map(platforms.slice(0, 9).map((name) => [name, bytes]))
  const rows: readonly (readonly [name: string, data: Uint8Array])[] = [
    ['no bytes', new Uint8Array()],
    ['a set of another version', setOf(new Map([['aws-nitro', bytes]]), 2)],
    ['a set with a member more', setOf(new Map([['aws-nitro', bytes]]), 1, [[3, 1]])],
    [
      'a set with a byte behind it',
      concatBytes(setOf(new Map([['aws-nitro', bytes]])), Uint8Array.of(0)),
    ],
    ['a set that is an array', encodeCbor([1, new Map([['aws-nitro', bytes]])])],
    ['pieces in an array', setOf([bytes])],
    ['a set of nothing', setOf(new Map())],
    ['a set of nine pieces', setOf(many)],
    ['a platform that nobody knows', setOf(new Map([['abacus', bytes]]))],
    ['a platform that is a number', setOf(new Map([[1, bytes]]))],
    ['simulated evidence among the pieces', setOf(new Map([['simulated', bytes]]))],
    ['a set among the pieces', setOf(new Map([['several', setOf(new Map([['tpm', bytes]]))]]))],
    ['a piece that is text', setOf(new Map([['aws-nitro', 'evidence']]))],
    ['a piece that is no evidence', setOf(new Map([['aws-nitro', Uint8Array.of(0xa0)]]))],
    ['one platform twice', unsorted('aws-nitro', 'aws-nitro')],
    ['pieces that are not sorted', unsorted('amd-sev-snp', 'aws-nitro')],
  ]
  return [
    ...rows.map(([name, data]) => ({ name, clause: 'AT19.1', data, ...malformed })),
    { name: 'a set of one piece', clause: 'AT19.1', pieces: [snpPiece()], minVendors: 1, ...valid },
  ]
}

function bindingRows(): readonly Row[] {
  const other = new Uint8Array(64).fill(5)
  const clause = 'AT19.2'
  return [
    {
      name: 'a piece for another keyset',
      clause,
      pieces: [enclavePiece(), snpPiece({}, other)],
      minVendors: 1,
      ends: 'invalid',
      failed: ['amd-sev-snp binding binding-mismatch'],
    },
    {
      name: 'all pieces for another keyset',
      clause,
      pieces: [enclavePiece(other), snpPiece({}, other)],
      ends: 'invalid',
      failed: ['aws-nitro binding binding-mismatch', 'amd-sev-snp binding binding-mismatch'],
    },
    {
      name: 'nothing said of what the pieces must be bound to',
      clause,
      pieces: two,
      without: 'reportData',
      ends: 'incomplete',
      open: ['aws-nitro binding not-given', 'amd-sev-snp binding not-given'],
    },
    {
      name: 'report data that each piece carries in its own form',
      clause,
      pieces: [azurePiece(), enclavePiece()],
      ...valid,
    },
  ]
}

function listedRows(): readonly Row[] {
  const clause = 'AT19.3'
  const refused = 'amd-sev-snp platform platform-not-allowed'
  return [
    {
      name: 'a good piece of a platform that the policy does not list',
      clause,
      pieces: two,
      asked: [enclave],
      minVendors: 1,
      failed: [refused],
      ...valid,
    },
    {
      name: 'a piece that would be bad, of a platform that the policy does not list',
      clause,
      pieces: [enclavePiece(), snpPiece(debug), tpmPiece()],
      asked: [enclave],
      minVendors: 1,
      failed: ['tpm platform platform-not-allowed', refused],
      ...valid,
    },
    {
      name: 'a platform that is not listed counts for nothing',
      clause,
      pieces: two,
      asked: [enclave],
      ends: 'not-allowed',
      failed: [refused],
    },
    {
      name: 'nothing but what the policy does not list',
      clause,
      pieces: [snpPiece()],
      asked: [enclave],
      minVendors: 1,
      ends: 'not-allowed',
      failed: [refused],
    },
  ]
}

function vendorRows(): readonly Row[] {
  const clause = 'AT19.4'
  return [
    { name: 'two vendors of two', clause, pieces: two, ...valid },
    { name: 'two vendors of three', clause, pieces: two, minVendors: 3, ...open },
    {
      name: 'an enclave and a TPM of one vendor',
      clause,
      pieces: [enclavePiece(), nitroTpmPiece()],
      ...open,
    },
    {
      name: 'an enclave and a TPM of one vendor, where one is enough',
      clause,
      pieces: [enclavePiece(), nitroTpmPiece()],
      minVendors: 1,
      ...valid,
    },
    {
      name: 'a chip, by itself and under a paravisor',
      clause,
      pieces: [snpPiece(), azurePiece()],
      ...open,
    },
    {
      name: 'a paravisor and an enclave',
      clause,
      pieces: [azurePiece(), enclavePiece()],
      ...valid,
    },
    {
      name: 'four pieces of two vendors',
      clause,
      pieces: [snpPiece(), azurePiece(), enclavePiece(), nitroTpmPiece()],
      ...valid,
    },
    {
      name: 'four pieces of two vendors, where three are asked',
      clause,
      pieces: [snpPiece(), azurePiece(), enclavePiece(), nitroTpmPiece()],
      minVendors: 3,
      ...open,
    },
  ]
}

function verdictRows(): readonly Row[] {
  const clause = 'AT19.5'
  const forged = { signedReport: (report: Uint8Array) => report.fill(1, 0x90, 0x91) }
  const code = { ...snp, measurements: [{ measurement: 'ff'.repeat(48) }] }
  const listed = { ...enclave, require: ['revocation'] }
  const otherCode = 'amd-sev-snp measurement measurement-not-allowed'
  return [
    {
      name: 'a piece in debug mode beside enough good ones',
      clause,
      pieces: [enclavePiece(), nitroTpmPiece(), snpPiece(debug)],
      minVendors: 1,
      ends: 'invalid',
      failed: ['amd-sev-snp debug debug-enabled'],
    },
    {
      name: 'a forged piece beside a good one',
      clause,
      pieces: [enclavePiece(), snpPiece(forged)],
      minVendors: 1,
      ends: 'invalid',
      failed: [
        'amd-sev-snp signature evidence-signature-invalid',
        'amd-sev-snp measurement measurement-not-allowed',
      ],
    },
    {
      name: 'a piece without its chain counts for nothing',
      clause,
      pieces: [enclavePiece(), snpPiece({ collateral: (parts) => void parts.delete('vek') })],
      ends: 'incomplete',
      open: ['amd-sev-snp chain collateral-missing', 'amd-sev-snp tcb blocked'],
    },
    {
      name: 'other code counts for nothing',
      clause,
      pieces: two,
      asked: [code, enclave],
      ends: 'not-allowed',
      failed: [otherCode],
    },
    {
      name: 'other code beside enough good pieces',
      clause,
      pieces: two,
      asked: [code, enclave],
      minVendors: 1,
      failed: [otherCode],
      ...valid,
    },
    {
      name: 'a required check that did not run counts for nothing',
      clause,
      pieces: two,
      asked: [snp, listed],
      ends: 'incomplete',
      open: ['aws-nitro revocation collateral-missing'],
    },
    {
      name: 'a required check that did not run beside enough good pieces',
      clause,
      pieces: two,
      asked: [snp, listed],
      minVendors: 1,
      ...valid,
    },
  ]
}

function refuse(name: string, clause: string, failed: readonly string[], row: Partial<Row>): Row {
  const isBad = failed.some((each) => !each.endsWith('-not-allowed'))
  const ends = isBad ? 'invalid' : 'not-allowed'
  return { name, clause, pieces: two, ends, failed, ...row }
}

/** AT8.5 to AT8.7, which judge each piece. */
function policyRows(): readonly Row[] {
  const [milan] = snpSamples()
  if (milan === undefined) throw new Error('a sample is missing')
  return [
    refuse(
      'real hardware, where a policy takes a test root',
      'AT8.5',
      ['amd-sev-snp platform root-not-allowed', 'amd-sev-snp measurement measurement-not-allowed'],
      {
        pieces: [[milan.platform, milan.evidence]],
        asked: [
          {
            ...snp,
            settings: ['smt-allowed', 'rapl-on', 'ciphertext-visible'],
            minVersions: { Milan: { microcode: 1 } },
          },
        ],
        given: { asOf: milan.asOfMs, knownSince: milan.asOfMs, reportData: '00'.repeat(64) },
      },
    ),
    refuse('a setting that is not listed', 'AT8.5', ['amd-sev-snp platform setting-not-allowed'], {
      pieces: [enclavePiece(), snpPiece({ report: (report) => report.set([3], 0x30) })],
    }),
    {
      name: 'a setting that is listed',
      clause: 'AT8.5',
      pieces: [enclavePiece(), snpPiece({ report: (report) => report.set([3], 0x30) })],
      asked: [{ ...snp, settings: ['vmpl-3'] }, enclave],
      ...valid,
    },
    refuse('firmware that is too old', 'AT8.7', ['amd-sev-snp tcb tcb-version-not-allowed'], {
      asked: [{ ...snp, minVersions: { Milan: { microcode: 220 } } }, enclave],
    }),
    refuse(
      'firmware of a product that is not listed',
      'AT8.7',
      ['amd-sev-snp tcb tcb-version-not-allowed'],
      { asked: [{ ...snp, minVersions: { Genoa: { microcode: 1 } } }, enclave] },
    ),
  ]
}

/** AT8.9 and AT8.10. */
function occasionRows(): readonly Row[] {
  const day = 86_400_000
  const machine = 'i-0123456789abcdef0'
  return [
    refuse(
      'evidence that is too old',
      'AT8.9',
      [
        'aws-nitro freshness evidence-age-not-allowed',
        'amd-sev-snp freshness evidence-age-not-allowed',
      ],
      { policy: { maxAgeMs: 0 }, given: { asOf: setTimeMs + 1 } },
    ),
    refuse(
      'evidence of tomorrow',
      'AT8.9',
      ['aws-nitro freshness evidence-in-future', 'amd-sev-snp freshness evidence-in-future'],
      { given: { asOf: setTimeMs - 1 } },
    ),
    {
      name: 'evidence of unknown age where an age is asked',
      clause: 'AT8.9',
      pieces: two,
      policy: { maxAgeMs: day },
      without: 'knownSince',
      ends: 'incomplete',
      open: ['amd-sev-snp freshness not-given'],
    },
    refuse('a machine that is not listed', 'AT8.10', ['amd-sev-snp machine machine-not-allowed'], {
      policy: { machines: [machine] },
    }),
    {
      name: 'a machine that is listed, where one is enough',
      clause: 'AT8.10',
      pieces: two,
      policy: { machines: [machine] },
      minVendors: 1,
      failed: ['amd-sev-snp machine machine-not-allowed'],
      ...valid,
    },
  ]
}
