/** Cases of SGX and TDX quotes (spec/attestation.md AT7). */
import { dcapCase, type DcapRow as Row } from '../dcap-case.ts'
import type { DcapEdits } from '../dcap-evidence.ts'
import type { EvidenceCase } from '../evidence-case.ts'
import { seededKey } from '../test-key.ts'
import { dcapCollateralCases } from './dcap-collateral.ts'
import { dcapTcbCases } from './dcap-tcb.ts'

/** All of them. */
export function dcapCases(): readonly EvidenceCase[] {
  return [
    ...goodCases().map((row) => dcapCase('AT7', row)),
    ...headerCases().map((row) => dcapCase('AT7.1', row)),
    ...signatureDataCases().map((row) => dcapCase('AT7.2', row)),
    ...bindingCases().map((row) => dcapCase('AT7.6', row)),
    ...configurationCases().map((row) => dcapCase('AT7.11', row)),
    wrongPlatform(),
    ...dcapCollateralCases(),
    ...dcapTcbCases(),
  ]
}

function goodCases(): readonly Row[] {
  return [
    ['version 4', {}],
    ['version 5 with the body of version 4', { version: 5 }],
    ['version 5 with the longer body', { version: 5, bodyType: 3 }],
    ['version 3', {}, {}, 'sgx'],
    ['version 5', { version: 5 }, {}, 'sgx'],
    ['padded with zeros', { trailing: new Uint8Array(70) }],
    ['no authentication data', { authData: new Uint8Array(0) }],
    ['one byte of authentication data', { authData: Uint8Array.of(1) }],
    ['a thousand bytes of authentication data', { authData: new Uint8Array(1000).fill(7) }],
    ['certificates without a NUL behind', { pem: (pem) => pem.subarray(0, -1) }],
  ]
}

function headerCases(): readonly Row[] {
  const malformed = { format: 'quote-malformed' } as const
  const unsupported = { format: 'quote-version-unsupported' } as const
  return [
    ['version 2', setHeader(0, 2), unsupported],
    ['version 6', setHeader(0, 6), unsupported],
    ['version 4 with a second byte', setHeader(1, 1), unsupported],
    ['a key that is not P-256', setHeader(2, 3), malformed],
    ['the TEE type of SGX', setHeader(4, 0), malformed],
    ['a quoting enclave of another vendor', setHeader(12, 0), malformed],
    ['the TEE type of TDX', setHeader(4, 0x81), malformed, 'sgx'],
    ['version 5 of body type 0', { version: 5, bodyType: 0 }, malformed],
    ['version 5 of body type 4', { version: 5, bodyType: 4 }, malformed],
    ['version 5 of the body of SGX', { version: 5, bodyType: 1 }, malformed],
    ['version 5 of another size', { version: 5, bodySize: 648 }, malformed],
    ['a byte behind', { trailing: Uint8Array.of(1) }, malformed],
    ['a byte behind zeros', { trailing: Uint8Array.of(0, 0, 1) }, malformed],
    ['a length beyond the end', { extraLength: 1 }, malformed],
    ['a length before the end', { extraLength: -1 }, malformed],
  ]
}

function signatureDataCases(): readonly Row[] {
  const malformed = { format: 'quote-malformed' } as const
  return [
    ['an outer type other than 6', { outerType: 5 }, malformed],
    ['certification data other than certificates', { pemType: 4 }, malformed],
    ['certification data other than certificates', { pemType: 6 }, malformed, 'sgx'],
    ['a byte behind the certificates', { innerTail: Uint8Array.of(0) }, malformed],
    ['a byte behind the certificates', { innerTail: Uint8Array.of(0) }, malformed, 'sgx'],
    ['a byte behind what wraps the certificates', { outerTail: Uint8Array.of(0) }, malformed],
    ['two bytes NUL', { pem: (pem) => Uint8Array.of(...pem, 0) }, { root: 'pem-malformed' }],
    ['PEM with CR', { pem: withCr }, { root: 'pem-malformed' }],
    ['a longer quote than any', { authData: new Uint8Array(65_000) }, malformed],
  ]
}

function bindingCases(): readonly Row[] {
  const invalid = { signature: 'evidence-signature-invalid' } as const
  const mismatch = { signature: 'quote-key-mismatch' } as const
  const other = { processor: { key: seededKey('stranger', 'P-256') } }
  return [
    ['a signature of another quote', { quoteSignature: turn }, invalid],
    ['a QE report with another signature', { qeSignature: turn }, invalid],
    ['a QE report of another processor', other, invalid],
    ['a processor with a P-384 key', { processor: { key: seededKey('p', 'P-384') } }, invalid],
    [
      'a QE report about another key',
      {
        boundReport: (report) => {
          turn(report.subarray(320))
        },
      },
      mismatch,
    ],
    [
      'a QE report with more than the key in it',
      {
        boundReport: (report) => {
          report[383] = 1
        },
      },
      mismatch,
    ],
  ]
}

function configurationCases(): readonly Row[] {
  const attributes = { configuration: 'td-attributes' } as const
  return [
    ['a domain in debug mode', setBody(120, 1), { debug: 'debug-enabled' }],
    ['an enclave in debug mode', setBody(48, 0x07), { debug: 'debug-enabled' }, 'sgx'],
    ['a reserved attribute', setBody(120, 2), attributes],
    ['a reserved attribute, bit 24', setBody(123, 0x11), attributes],
    ['a reserved attribute, bit 32', setBody(124, 1), attributes],
    ['XFAM without x87', setBody(128, 0xe6), attributes],
    ['XFAM with a reserved feature', setBody(131, 1), attributes],
    ['a domain that can be moved', setBody(123, 0x30), { configuration: 'migration-enabled' }],
    ['page faults seen by the guest', setBody(123, 0)],
    ['performance counters', setBody(127, 0x80)],
    ['protection keys', setBody(123, 0x50)],
    [
      'a service domain',
      {
        version: 5,
        bodyType: 3,
        body: (body) => {
          body[600] = 1
        },
      },
    ],
    ['an enclave with the provisioning key', setBody(48, 0x15), {}, 'sgx'],
    ['an enclave with the launch key', setBody(48, 0x25), {}, 'sgx'],
  ]
}

/** Evidence of the other kind, whole and good. */
function wrongPlatform(): EvidenceCase {
  const failed = { format: 'quote-platform-mismatch' } as const
  const good = dcapCase('AT7.1', ['in place of one of a domain', {}, failed, 'sgx'])
  return { ...good, platform: 'intel-tdx' }
}

function withCr(pem: Uint8Array): Uint8Array {
  const text = Buffer.from(pem).toString('latin1').replaceAll('\n', '\r\n')
  return Uint8Array.from(Buffer.from(text, 'latin1'))
}

function setBody(at: number, value: number): DcapEdits {
  return {
    body: (body) => {
      body[at] = value
    },
  }
}

function turn(bytes: Uint8Array): void {
  bytes[9] = (bytes[9] ?? 0) ^ 1
}

function setHeader(at: number, value: number): DcapEdits {
  return {
    header: (header) => {
      header[at] = value
    },
  }
}
