/** What a verifier asks of evidence (spec/attestation.md AT8): default deny, and an empty list refuses. */
import { isCborMap, type CborValue } from '../bytes/cbor-encode.ts'
import { decodeJson } from '../bytes/json-decode.ts'
import { openMap, textOf, type MapReader } from '../bytes/map-reader.ts'
import { fromHex, toHex } from '../bytes/text-encoding.ts'
import { sha256 } from '../crypto/sha256.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'
import {
  evidenceCheckIds,
  platforms,
  type EvidenceCheckId,
  type Platform,
  type TcbStatus,
} from './appraisal.ts'
import { domainRegisters } from './dcap/report-body.ts'
import { vendorRoots } from './vendor-roots.ts'
import { maxClockSkewMs, maxMachines, maxPolicyBytes } from './limits.ts'

/** What is asked of one kind of evidence. */
export type PlatformPolicy = {
  /** Checks that must pass besides those that always must. */
  readonly require: ReadonlySet<EvidenceCheckId>
  /** SHA-256 in hex, with what a pass under this root is worth. */
  readonly roots: ReadonlyMap<string, EvidenceTier>
  /** One of these must hold: every name in it with the value. */
  readonly measurements: readonly ReadonlyMap<string, string>[]
  /** Deviations from the safest settings that are taken. */
  readonly settings: ReadonlySet<string>
  readonly tcb: TcbPolicy
}

/** What is asked of the firmware. */
export type TcbPolicy = {
  /** States other than up to date that are taken, with advisories that are all listed. */
  readonly statuses: ReadonlySet<TcbStatus>
  readonly advisories: ReadonlySet<string>
  readonly minEvaluationNumber: number
  /** Lowest versions by component, by product. A product that is not listed is not taken. */
  readonly minVersions: ReadonlyMap<string, ReadonlyMap<string, number>>
}

/** What a root stands for: a vendor's hardware, the word of a vendor's service, or a simulator. */
export type EvidenceTier = 'production' | 'service' | 'simulated'

/** A parsed policy. Times are milliseconds. */
export type EvidencePolicy = {
  readonly name: string
  /** SHA-256 of its bytes, lower-case hex (AT8.12). */
  readonly digest: string
  readonly platforms: ReadonlyMap<Platform, PlatformPolicy>
  readonly maxAgeMs: number | null
  readonly maxClockSkewMs: number
  /** Chips and instances as the evidence names them. */
  readonly machines: 'any' | ReadonlySet<string>
  /** How many vendors must agree. */
  readonly minVendors: number
}

// Simulated ones last: a root that is listed as both is no hardware.
const listedTiers = ['service', 'simulated'] as const
const code: ErrorCode = 'policy-malformed'
const members = [
  'evidencePolicy',
  'name',
  'platforms',
  'maxAgeMs',
  'maxClockSkewMs',
  'machines',
  'minVendors',
]
const platformMembers = ['platform', 'require', 'roots', 'measurements']
const optionalMembers = ['settings', 'statuses', 'advisories', 'minEvaluationNumber', 'minVersions']
/**
 * Kinds that rest on keys of services, which change, so that the policy names them: tokens, and enrolments of TPMs by
 * challengers.
 */
const services: ReadonlySet<Platform> = new Set<Platform>([
  'tpm',
  'google-confidential-space',
  'azure-attestation',
  'nvidia-remote-attestation',
])

/** States that a policy may take; the others mean that known holes are open. */
const acceptableStatuses: readonly TcbStatus[] = [
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
]

// What measured the gateway is as much a part of it: firmware, boot loader, and whether signatures were asked for.
const measuredBoot = ['selection', 'pcr0', 'pcr4', 'pcr7', 'countersign/build']

/** What must be named for the measured code to be known: without the rest, the firmware alone is. */
const identities: Readonly<Record<Platform, readonly string[]>> = {
  'amd-sev-snp': ['measurement'],
  // The paravisor, and what it measured.
  'amd-sev-snp-azure': ['measurement', ...measuredBoot],
  'intel-tdx-azure': ['mrtd', ...measuredBoot],
  'intel-tdx': domainRegisters,
  'intel-sgx': ['mrenclave'],
  'aws-nitro': ['pcr0'],
  // Boot loader and kernel, and whether their signatures were asked for.
  'aws-nitrotpm': ['pcr4', 'pcr7'],
  'nvidia-gpu': ['driver', 'vbios'],
  'nvidia-remote-attestation': ['driver', 'vbios'],
  'google-confidential-space': ['image'],
  // The machine around containers, and what says which ones; or what follows.
  'azure-attestation': ['launch', 'host-data'],
  tpm: measuredBoot,
}

/**
 * Parses by AT8.
 *
 * @throws ProtocolError `policy-malformed`, `policy-empty`.
 */
export function parseEvidencePolicy(bytes: Uint8Array): EvidencePolicy {
  const json = bytes.length > maxPolicyBytes ? undefined : decodeJson(bytes)
  const fields = openMap(json, members, [], code)
  fields.integer('evidencePolicy', 1, 1)
  const listed = fields.array('platforms', 0, platforms.length).map(parsePlatform)
  const byPlatform = new Map(listed)
  demand(byPlatform.size === listed.length)
  const machines =
    fields.value('machines') === 'any' ? 'any' : parseTexts(fields, 'machines', maxMachines)
  const policy = {
    name: fields.text('name', 1, 64),
    digest: toHex(sha256(bytes)),
    platforms: byPlatform,
    maxAgeMs: fields.value('maxAgeMs') === null ? null : fields.integer('maxAgeMs'),
    maxClockSkewMs: fields.integer('maxClockSkewMs', 0, maxClockSkewMs),
    machines,
    minVendors: fields.integer('minVendors', 1, platforms.length),
  } as const
  demand(byPlatform.size > 0 && (machines === 'any' || machines.size > 0), 'policy-empty')
  return policy
}

function parsePlatform(value: CborValue): readonly [Platform, PlatformPolicy] {
  const fields = openMap(value, platformMembers, optionalMembers, code)
  const platform = oneOf(platforms, fields.value('platform'))
  // Tokens of this platform are about either of two kinds of hardware.
  const other = platform === 'azure-attestation' ? domainRegisters : identities[platform]
  const measurements = fields.array('measurements', 0, 256).map((entry) => {
    const values = parseEntries(entry, parseHex)
    demand(values.size > 0, 'policy-empty')
    const hasAll = (names: readonly string[]): boolean => names.every((name) => values.has(name))
    demand(hasAll(identities[platform]) || hasAll(other))
    return values
  })
  const roots = parseRoots(fields.value('roots'), platform)
  demand(measurements.length > 0 && roots.size > 0, 'policy-empty')
  const require = fields.array('require', 0, evidenceCheckIds.length)
  const policy = {
    require: new Set(require.map((id) => oneOf(evidenceCheckIds, id))),
    roots,
    measurements,
    settings: optionalTexts(fields, 'settings'),
    tcb: parseTcb(fields),
  }
  return [platform, policy]
}

function parseRoots(value: CborValue, platform: Platform): ReadonlyMap<string, EvidenceTier> {
  const fields = openMap(value, ['vendor'], listedTiers, code)
  const takesVendor = fields.value('vendor')
  const takesService = !fields.has('service') || services.has(platform)
  demand(typeof takesVendor === 'boolean' && takesService)
  const roots = new Map<string, EvidenceTier>()
  for (const tier of listedTiers) {
    for (const digest of optionalTexts(fields, tier)) {
      demand(fromHex(digest)?.length === 32)
      roots.set(digest, tier)
    }
  }
  // Last: whatever else a policy calls it, a vendor's root is the vendor's.
  for (const digest of vendorRoots.get(platform) ?? []) {
    if (takesVendor) roots.set(digest, 'production')
    else roots.delete(digest)
  }
  return roots
}

function parseTcb(fields: MapReader): TcbPolicy {
  const has = (name: string): boolean => fields.has(name)
  const statuses = Array.from(optionalTexts(fields, 'statuses'))
  return {
    statuses: new Set(statuses.map((status) => oneOf(acceptableStatuses, status))),
    advisories: optionalTexts(fields, 'advisories'),
    minEvaluationNumber: has('minEvaluationNumber') ? fields.integer('minEvaluationNumber') : 0,
    minVersions: has('minVersions')
      ? parseEntries(fields.value('minVersions'), parseVersions)
      : new Map(),
  }
}

function parseVersions(value: CborValue): ReadonlyMap<string, number> {
  const lowest = parseEntries(value, (version) => {
    demand(typeof version === 'number' && version >= 0 && version <= 255)
    return version
  })
  demand(lowest.size > 0, 'policy-empty')
  return lowest
}

function parseHex(value: CborValue): string {
  demand(typeof value === 'string' && value !== '' && fromHex(value) !== undefined)
  return value
}

function parseEntries<T>(value: CborValue, parse: (held: CborValue) => T): ReadonlyMap<string, T> {
  demand(isCborMap(value))
  return new Map(Array.from(value, ([name, held]) => [String(name), parse(held)]))
}

function optionalTexts(fields: MapReader, name: string): ReadonlySet<string> {
  return fields.has(name) ? parseTexts(fields, name, 256) : new Set()
}

function parseTexts(fields: MapReader, name: string, most: number): ReadonlySet<string> {
  return new Set(fields.array(name, 0, most).map((value) => textOf(value, 1, 256) ?? refuse()))
}

function oneOf<T extends CborValue>(known: readonly T[], value: CborValue): T {
  return known.find((candidate) => candidate === value) ?? refuse()
}

function demand(holds: unknown, refusal?: 'policy-empty'): asserts holds {
  if (holds !== true) refuse(refusal)
}

function refuse(refusal: ErrorCode = code): never {
  throw new ProtocolError(refusal)
}
