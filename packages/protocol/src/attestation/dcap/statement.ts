/** Intel's signed JSON about firmware and about its own enclaves (spec/attestation.md AT7.4). */
import { isCborArray, isCborMap, type CborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { decodeJson } from '../../bytes/json-decode.ts'
import { fromHex } from '../../bytes/text-encoding.ts'
import type { TcbStatus } from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { parseIsoTime } from '../x509/time.ts'

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
const maxStatementBytes = 262_144
const maxItems = 256
const components = 16

/**
 * Parses the identity of a quoting enclave.
 *
 * @throws EvidenceError `collateral-malformed`.
 */
export function parseQeIdentity(bytes: Uint8Array): QeIdentity {
  const json = parseStatement(bytes, 2)
  return {
    ...readDates(json),
    ...readIdentity(json, 16),
    id: text(json, 'id'),
    miscSelect: hex(json, 'miscselect', 4).toReversed(),
    miscSelectMask: hex(json, 'miscselectMask', 4).toReversed(),
    isvProdId: integer(json, 'isvprodid'),
    levels: items(json, 'tcbLevels').map(readIsvLevel),
  }
}

/**
 * Parses a statement about firmware.
 *
 * @throws EvidenceError `collateral-malformed`.
 */
export function parseTcbInfo(bytes: Uint8Array): TcbInfo {
  const json = parseStatement(bytes, 3)
  const isTdx = text(json, 'id') === 'TDX'
  const modules = isTdx && json.has('tdxModuleIdentities') ? items(json, 'tdxModuleIdentities') : []
  return {
    ...readDates(json),
    id: text(json, 'id'),
    fmspc: text(json, 'fmspc').toLowerCase(),
    pceId: text(json, 'pceId').toLowerCase(),
    levels: items(json, 'tcbLevels').map((level) => readPlatformLevel(level, isTdx)),
    module: isTdx ? readIdentity(map(json.get('tdxModule')), 8) : undefined,
    modules: new Map(
      modules.map((module) => [
        text(module, 'id'),
        { ...readIdentity(module, 8), levels: items(module, 'tcbLevels').map(readIsvLevel) },
      ]),
    ),
  }
}

function parseStatement(bytes: Uint8Array, version: number): CborMap {
  const json = map(bytes.length > maxStatementBytes ? undefined : decodeJson(bytes))
  if (json.get('version') !== version) refuse('version')
  return json
}

function readDates(json: CborMap): Dated {
  return {
    issueMs: parseIsoTime(text(json, 'issueDate'), 'collateral-malformed'),
    nextUpdateMs: parseIsoTime(text(json, 'nextUpdate'), 'collateral-malformed'),
    evaluationNumber: integer(json, 'tcbEvaluationDataNumber'),
  }
}

function readIdentity(json: CborMap, attributeBytes: number): Identity {
  return {
    mrSigner: text(json, 'mrsigner').toLowerCase(),
    attributes: hex(json, 'attributes', attributeBytes),
    attributesMask: hex(json, 'attributesMask', attributeBytes),
  }
}

function readIsvLevel(json: CborMap): IsvLevel {
  return { ...readLevel(json), isvSvn: integer(map(json.get('tcb')), 'isvsvn') }
}

function readPlatformLevel(json: CborMap, isTdx: boolean): PlatformLevel {
  const tcb = map(json.get('tcb'))
  return {
    ...readLevel(json),
    sgxSvns: readSvns(tcb, 'sgxtcbcomponents'),
    tdxSvns: isTdx ? readSvns(tcb, 'tdxtcbcomponents') : [],
    pceSvn: integer(tcb, 'pcesvn'),
  }
}

function readSvns(tcb: CborMap, name: string): readonly number[] {
  const svns = items(tcb, name).map((component) => integer(component, 'svn'))
  return svns.length === components ? svns : refuse(name)
}

function readLevel(json: CborMap): Level {
  const status = statuses.find((known) => known === json.get('tcbStatus'))
  if (status === undefined) return refuse('tcbStatus')
  const advisories = list(json.get('advisoryIDs') ?? []).map((id) =>
    typeof id === 'string' ? id : refuse('advisoryIDs'),
  )
  return { status, advisories }
}

function map(value: CborValue | undefined): CborMap {
  return isCborMap(value) ? value : refuse('object')
}

function list(value: CborValue | undefined): readonly CborValue[] {
  return isCborArray(value) && value.length <= maxItems ? value : refuse('array')
}

function items(json: CborMap, name: string): readonly CborMap[] {
  return list(json.get(name)).map(map)
}

function text(json: CborMap, name: string): string {
  const value = json.get(name)
  return typeof value === 'string' ? value : refuse(name)
}

function integer(json: CborMap, name: string): number {
  const value = json.get(name)
  return typeof value === 'number' && value >= 0 ? value : refuse(name)
}

function hex(json: CborMap, name: string, length: number): Uint8Array {
  const bytes = fromHex(text(json, name).toLowerCase())
  return bytes?.length === length ? bytes : refuse(name)
}

function refuse(about: string): never {
  throw new EvidenceError('collateral-malformed', about)
}
