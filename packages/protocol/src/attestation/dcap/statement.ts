/** Intel's signed JSON about firmware and about its own enclaves (spec/attestation.md AT7.4). */
import { isCborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { decodeJson } from '../../bytes/json-decode.ts'
import { readMap, type MapReader } from '../../bytes/map-reader.ts'
import { fromHex } from '../../bytes/text-encoding.ts'
import type { TcbStatus } from '../appraisal.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { parseIsoTime } from '../x509/time.ts'
import {
  maxStatementBytes,
  maxStatementItems,
  maxStatementTextBytes,
  tcbComponents,
} from '../limits.ts'

/** What both statements have. Dates are milliseconds. */
export type Dated = {
  readonly issueMs: number
  readonly nextUpdateMs: number
  readonly evaluationNumber: number
}

/** What an enclave or a module must look like: signer, attributes under a mask. */
export type Identity = {
  readonly mrSigner: string
  readonly attributes: Uint8Array
  readonly attributesMask: Uint8Array
}

/** A state of firmware and what is known of it. */
export type Level = { readonly status: TcbStatus; readonly advisories: readonly string[] }

/** Levels of an enclave or a module, newest first. */
export type IsvLevel = Level & { readonly isvSvn: number }

/** Levels of a platform, newest first. */
export type PlatformLevel = Level & {
  readonly sgxSvns: readonly number[]
  readonly tdxSvns: readonly number[]
  readonly pceSvn: number
}

/** The quoting enclaves that Intel stands for. */
export type QeIdentity = Dated &
  Identity & {
    readonly id: string
    readonly miscSelect: Uint8Array
    readonly miscSelectMask: Uint8Array
    readonly isvProdId: number
    readonly levels: readonly IsvLevel[]
  }

/** The firmware of one family of platforms. */
export type TcbInfo = Dated & {
  readonly id: string
  readonly fmspc: string
  readonly pceId: string
  readonly levels: readonly PlatformLevel[]
  /** For module version 0; `undefined` in a statement about SGX. */
  readonly module: Identity | undefined
  /** For later ones, by `TDX_` and the version in two upper-case hex digits. */
  readonly modules: ReadonlyMap<string, Identity & { readonly levels: readonly IsvLevel[] }>
}

const statuses: readonly TcbStatus[] = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
]
const code = 'collateral-malformed'

/**
 * Parses the identity of a quoting enclave.
 *
 * @throws EvidenceError `collateral-malformed`.
 */
export function parseQeIdentity(bytes: Uint8Array): QeIdentity {
  const fields = openStatement(bytes, 2)
  return {
    ...readDated(fields),
    ...readIdentity(fields, 16),
    id: readText(fields, 'id'),
    // A number of four bytes, written with the highest first.
    miscSelect: readHex(fields, 'miscselect', 4).toReversed(),
    miscSelectMask: readHex(fields, 'miscselectMask', 4).toReversed(),
    isvProdId: fields.integer('isvprodid'),
    levels: readAll(fields, 'tcbLevels', readIsvLevel),
  }
}

/**
 * Parses a statement about firmware.
 *
 * @throws EvidenceError `collateral-malformed`.
 */
export function parseTcbInfo(bytes: Uint8Array): TcbInfo {
  const fields = openStatement(bytes, 3)
  const id = readText(fields, 'id')
  const isTdx = id === 'TDX'
  const modules =
    isTdx && fields.has('tdxModuleIdentities')
      ? readAll(fields, 'tdxModuleIdentities', readModule)
      : []
  return {
    ...readDated(fields),
    id,
    fmspc: readText(fields, 'fmspc').toLowerCase(),
    pceId: readText(fields, 'pceId').toLowerCase(),
    levels: readAll(fields, 'tcbLevels', (level) => {
      const tcb = open(level.value('tcb'))
      return {
        ...readLevel(level),
        sgxSvns: readSvns(tcb, 'sgxtcbcomponents'),
        tdxSvns: isTdx ? readSvns(tcb, 'tdxtcbcomponents') : [],
        pceSvn: tcb.integer('pcesvn'),
      }
    }),
    module: isTdx ? readIdentity(open(fields.value('tdxModule')), 8) : undefined,
    modules: new Map(modules),
  }
}

function openStatement(bytes: Uint8Array, version: number): MapReader {
  refuseUnless(bytes.length <= maxStatementBytes, code)
  const fields = open(decodeJson(bytes))
  fields.integer('version', version, version)
  return fields
}

function open(value: CborValue | undefined): MapReader {
  refuseUnless(isCborMap(value), code, 'object')
  return readMap(value, (name) => refuse(code, String(name)))
}

function readDated(fields: MapReader): Dated {
  return {
    issueMs: parseIsoTime(readText(fields, 'issueDate'), code),
    nextUpdateMs: parseIsoTime(readText(fields, 'nextUpdate'), code),
    evaluationNumber: fields.integer('tcbEvaluationDataNumber'),
  }
}

function readIdentity(fields: MapReader, attributesBytes: number): Identity {
  return {
    mrSigner: readText(fields, 'mrsigner').toLowerCase(),
    attributes: readHex(fields, 'attributes', attributesBytes),
    attributesMask: readHex(fields, 'attributesMask', attributesBytes),
  }
}

function readModule(
  fields: MapReader,
): readonly [string, Identity & { readonly levels: readonly IsvLevel[] }] {
  const levels = readAll(fields, 'tcbLevels', readIsvLevel)
  return [readText(fields, 'id'), { ...readIdentity(fields, 8), levels }]
}

function readIsvLevel(fields: MapReader): IsvLevel {
  return { ...readLevel(fields), isvSvn: open(fields.value('tcb')).integer('isvsvn') }
}

function readLevel(fields: MapReader): Level {
  const status = statuses.find((known) => known === fields.value('tcbStatus'))
  const listed = fields.has('advisoryIDs') ? fields.array('advisoryIDs', 0, maxStatementItems) : []
  const advisories = listed.filter((advisory) => typeof advisory === 'string')
  refuseUnless(advisories.length === listed.length, code, 'advisoryIDs')
  return { status: status ?? refuse(code, 'tcbStatus'), advisories }
}

function readSvns(fields: MapReader, name: string): readonly number[] {
  const svns = readAll(fields, name, (component) => component.integer('svn'))
  refuseUnless(svns.length === tcbComponents, code, name)
  return svns
}

function readAll<T>(fields: MapReader, name: string, read: (item: MapReader) => T): readonly T[] {
  return fields.array(name, 0, maxStatementItems).map((item) => read(open(item)))
}

function readText(fields: MapReader, name: string): string {
  return fields.text(name, 0, maxStatementTextBytes)
}

function readHex(fields: MapReader, name: string, length: number): Uint8Array {
  const value = fromHex(readText(fields, name).toLowerCase())
  refuseUnless(value?.length === length, code, name)
  return value
}
