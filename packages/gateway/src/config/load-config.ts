/** Reads, validates and digests the configuration. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { z } from 'zod'
import { dialectOfKind } from '../http/wire-routes.ts'
import { findPaymentFault } from './check-payment.ts'
import { findWorkersFault } from './check-workers.ts'
import { configSchema, type AttestationConfig, type Config } from './schema.ts'

/** A configuration ready for use: paths are absolute; `digest` covers its canonical JSON and its certificate files. */
export type LoadedConfig = { readonly config: Config; readonly digest: Uint8Array }

/** The configuration cannot be used; the message names every fault. */
export class ConfigError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'ConfigError'
  }
}

const maxConfigBytes = 1_048_576

/**
 * Loads a configuration file.
 *
 * @throws ConfigError when it cannot be read, is not JSON, or breaks the schema.
 */
export function loadConfig(file: string): LoadedConfig {
  return coverAuthorities(parseConfig(readText(file), dirname(resolve(file))))
}

/**
 * The strict JSON of another configuration file.
 *
 * @throws ConfigError when it cannot be read, is not JSON, or has a member twice.
 */
export function readConfigJson(file: string): unknown {
  const text = readText(file)
  const json = parseJson(text)
  refuseAmbiguousMembers(text)
  return json
}

/** The digest covers which authorities are trusted, not only what their files are called. */
function coverAuthorities({ config, digest }: LoadedConfig): LoadedConfig {
  const files = config.upstreams.flatMap(({ caFile }) => (caFile === undefined ? [] : [caFile]))
  if (files.length === 0) return { config, digest }
  const covered = createHash('sha256').update(digest)
  for (const file of files) covered.update(createHash('sha256').update(readText(file)).digest())
  return { config, digest: covered.digest() }
}

/**
 * Validates the text of a configuration; relative paths are taken from `folder`.
 *
 * @throws ConfigError
 */
export function parseConfig(text: string, folder: string): LoadedConfig {
  const json = parseJson(text)
  refuseAmbiguousMembers(text)
  const result = configSchema.safeParse(json)
  if (!result.success) throw new ConfigError(z.prettifyError(result.error))
  refuseAmbiguousModels(result.data)
  const fault = findPaymentFault(result.data) ?? findWorkersFault(result.data)
  if (fault !== undefined) throw new ConfigError(fault)
  const digest = createHash('sha256').update(canonicalJson(result.data)).digest()
  return { config: withAbsolutePaths(result.data, folder), digest }
}

function readText(file: string): string {
  try {
    const bytes = readFileSync(file)
    if (bytes.length > maxConfigBytes) throw new ConfigError(`${file} is larger than 1 MiB`)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError(`${file} cannot be read as UTF-8 text`, { cause })
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ConfigError('the configuration is not JSON', { cause })
  }
}

/** Of two members of one name only the last would count, whatever a reader thinks. */
function refuseAmbiguousMembers(text: string): void {
  if (decodeJson(new TextEncoder().encode(text)) === undefined) {
    throw new ConfigError(
      'the configuration has two members of one name, or a number that is no integer',
    )
  }
}

function refuseAmbiguousModels({ upstreams, models }: Config): void {
  const seen = new Set<string>()
  const see = (name: string, key: string): void => {
    if (seen.has(key)) throw new ConfigError(`model ${JSON.stringify(name)} is listed twice`)
    seen.add(key)
  }
  for (const { kind, models: listed } of upstreams) {
    for (const { id } of listed) see(id, id === '*' ? `* ${dialectOfKind(kind)}` : id)
  }
  for (const { name, aliases } of models) for (const each of [name, ...aliases]) see(each, each)
  if (seen.size === 0) throw new ConfigError('no model is listed, in upstreams[].models or models')
  const names = new Set(upstreams.map(({ name }) => name))
  if (names.size !== upstreams.length) throw new ConfigError('two upstreams have one name')
}

function withAbsolutePaths(config: Config, folder: string): Config {
  return {
    ...config,
    dataDir: resolve(folder, config.dataDir),
    payment: withAbsolutePayment(config.payment, folder),
    attestation: withAbsoluteFiles(config.attestation, folder),
    upstreams: config.upstreams.map((upstream) =>
      upstream.caFile === undefined
        ? upstream
        : { ...upstream, caFile: resolve(folder, upstream.caFile) },
    ),
  }
}

function withAbsolutePayment(payment: Config['payment'], folder: string): Config['payment'] {
  if (payment === 'none') return payment
  const { journalDir, chargeKeysFile } = payment
  return {
    ...payment,
    ...(journalDir === undefined ? {} : { journalDir: resolve(folder, journalDir) }),
    ...(chargeKeysFile === undefined ? {} : { chargeKeysFile: resolve(folder, chargeKeysFile) }),
  }
}

function withAbsoluteFiles(attestation: AttestationConfig, folder: string): AttestationConfig {
  if (attestation.kind === 'simulated') return attestation
  if (attestation.kind === 'several') {
    const sources = attestation.sources.map((source) => withAbsoluteSource(source, folder))
    return { ...attestation, sources }
  }
  return withAbsoluteSource(attestation, folder)
}

type SourceConfig = Exclude<AttestationConfig, { kind: 'simulated' | 'several' }>

function withAbsoluteSource<T extends SourceConfig>(attestation: T, folder: string): T {
  const { collateralDir } = attestation
  const withFolder =
    collateralDir === undefined
      ? attestation
      : { ...attestation, collateralDir: resolve(folder, collateralDir) }
  if (withFolder.kind !== 'tpm') return withFolder
  const { akCertificate } = withFolder
  return {
    ...withFolder,
    enrolmentFile: resolve(folder, withFolder.enrolmentFile),
    ...(akCertificate === undefined
      ? {}
      : {
          akCertificate: {
            ...akCertificate,
            authoritiesFile: resolve(folder, akCertificate.authoritiesFile),
          },
        }),
  }
}

/** JSON with members in ascending order, so that equal configurations have equal digests. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
    return Object.fromEntries(
      Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
    )
  })
}
