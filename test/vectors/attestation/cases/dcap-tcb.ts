/** Cases of firmware and of Intel's enclaves (spec/attestation.md AT7.7 to AT7.10). */
import {
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derUnsignedInteger,
} from '../../../provider/der.ts'
import { dcapCase, type DcapRow as Row } from '../dcap-case.ts'
import type { DcapEdits, Json } from '../dcap-evidence.ts'
import type { EvidenceCase } from '../evidence-case.ts'

const pckOid = '1.2.840.113741.1.13.1'
const missing = { tcb: 'tcb-level-missing' } as const
const foreign = { tcb: 'qe-identity-mismatch' } as const
const module = { tcb: 'tdx-module-mismatch' } as const
const others = { tcb: 'tcb-platform-mismatch' } as const

/** All of them. */
export function dcapTcbCases(): readonly EvidenceCase[] {
  return [
    ...qeCases().map((row) => dcapCase('AT7.7', row)),
    ...moduleCases().map((row) => dcapCase('AT7.8', row)),
    ...platformCases().map((row) => dcapCase('AT7.9', row)),
  ]
}

function qeCases(): readonly Row[] {
  return [
    ['a quoting enclave of another signer', report(128, 0), foreign],
    ['a quoting enclave of another product', report(256, 3), foreign],
    ['a quoting enclave of another product', report(256, 3), foreign, 'sgx'],
    ['a quoting enclave of another miscselect', report(16, 1), foreign],
    ['a quoting enclave of other attributes', report(48, 0x31), foreign],
    ['a quoting enclave in debug mode that the identity masks', debugMasked(), foreign],
    ['attributes that the mask leaves out', report(56, 1)],
    ['an old quoting enclave', report(258, 2)],
    ['a quoting enclave older than all levels', report(258, 1), missing],
  ]
}

function moduleCases(): readonly Row[] {
  return [
    ['a module that nobody knows', body(1, 3), module],
    ['a module of another signer', body(64, 1), module],
    ['a module with attributes', body(112, 1), module],
    ['an old module', body(0, 2)],
    ['a module older than all levels', body(0, 1), missing],
    ['a module of version 0', { body: set([0, 9], [1, 0], [2, 3]), tcbInfo: lowTdx }],
    ['a module of version 0 whose platform is too old', { body: set([1, 0], [2, 0]) }, missing],
    ['a statement without later modules', { tcbInfo: drop('tdxModuleIdentities') }, module],
  ]
}

function platformCases(): readonly Row[] {
  return [
    ['a statement about other platforms', { tcbInfo: put('fmspc', '00112233AABC') }, others],
    ['a statement about another PCE', { tcbInfo: put('pceId', '0001') }, others],
    ['a statement in lower case', { tcbInfo: lowerFmspc }],
    ['a component one lower', component(0, 2)],
    ['a component two lower', component(0, 1)],
    ['a component lower than all levels', component(0, 0), missing],
    ['another component lower than all levels', component(7, 4), missing],
    ['a PCE lower than all levels', component(16, 10), missing],
    ['a component of the module lower', body(2, 2)],
    ['a component of the module lower than all levels', body(2, 0), missing],
    ['a component higher', component(0, 200)],
    ['a component lower than all levels', component(0, 0), missing, 'sgx'],
    ['a component one lower', component(0, 2), {}, 'sgx'],
    ['another FMSPC in the certificate', fmspc(), others],
  ]
}

function report(at: number, value: number): DcapEdits {
  return {
    qeReport: (bytes) => {
      bytes[at] = value
    },
  }
}

function body(at: number, value: number): DcapEdits {
  return { body: set([at, value]) }
}

function set(...values: readonly (readonly [number, number])[]): (bytes: Uint8Array) => void {
  return (bytes) => {
    for (const [at, value] of values) bytes[at] = value
  }
}

function debugMasked(): DcapEdits {
  return {
    ...report(48, 0x13),
    qeIdentity: (json) => {
      json['attributesMask'] = `F9FFFFFFFFFFFFFF${'0'.repeat(16)}`
    },
  }
}

function put(name: string, value: unknown): (json: Json) => void {
  return (json) => {
    json[name] = value
  }
}

function drop(name: string): (json: Json) => void {
  return (json) => {
    delete json[name]
  }
}

function lowerFmspc(json: Json): void {
  json['fmspc'] = String(json['fmspc']).toLowerCase()
}

/** The newest level asks of a module of version 0 what it has. */
function lowTdx(json: Json): void {
  const text = JSON.stringify(json['tcbLevels']).replaceAll('"svn":9', '"svn":0')
  json['tcbLevels'] = JSON.parse(text)
}

/** One of the processor's versions: 0 to 15 the components, 16 the PCE. */
function component(at: number, svn: number): DcapEdits {
  const id = derObjectIdentifier(`${pckOid}.2.${at + 1}`)
  const value = derSequence(id, derUnsignedInteger(Uint8Array.of(svn)))
  return { pckTcb: (list) => void list.splice(at, 1, value) }
}

function fmspc(): DcapEdits {
  const id = derObjectIdentifier(`${pckOid}.4`)
  return {
    pckExtension: (list) =>
      void list.splice(3, 1, derSequence(id, derOctetString(new Uint8Array(6)))),
  }
}
