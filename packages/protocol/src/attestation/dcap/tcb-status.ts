/** Which state Intel says that a platform is in (spec/attestation.md AT7.7 to AT7.10). */
import type { TcbStatus } from '../appraisal.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import type { PckClaims } from './pck.ts'
import { isDebugEnclave, type EnclaveReport, type ModuleReport } from './report-body.ts'
import type { Identity, IsvLevel, Level, PlatformLevel, QeIdentity, TcbInfo } from './statement.ts'

/**
 * The level of a quoting enclave.
 *
 * @throws EvidenceError `qe-identity-mismatch` for one that is not Intel's, `tcb-level-missing`.
 */
export function findQeLevel(report: EnclaveReport, identity: QeIdentity): Level {
  const isIntels =
    report.mrSigner === identity.mrSigner &&
    report.isvProdId === identity.isvProdId &&
    equalsUnderMask(report.miscSelect, identity.miscSelect, identity.miscSelectMask) &&
    equalsUnderMask(report.attributes, identity.attributes, identity.attributesMask) &&
    !isDebugEnclave(report)
  refuseUnless(isIntels, 'qe-identity-mismatch')
  return findIsvLevel(identity.levels, report.isvSvn, 'qe')
}

/**
 * The level of the module that keeps domains apart; `undefined` for version 0, which has none of its own.
 *
 * @throws EvidenceError `tdx-module-mismatch` for one that is not Intel's, `tcb-level-missing`.
 */
export function findModuleLevel(report: ModuleReport, info: TcbInfo): Level | undefined {
  const { svn, version } = report
  const name = `TDX_${version.toString(16).toUpperCase().padStart(2, '0')}`
  if (version === 0) {
    checkModule(report, info.module)
    return undefined
  }
  const later = info.modules.get(name)
  checkModule(report, later)
  return findIsvLevel(later.levels, svn, 'tdx-module')
}

/**
 * The first level, newest first, that the platform reaches in every component.
 *
 * @throws EvidenceError `tcb-platform-mismatch` for a statement about others, `tcb-level-missing`.
 */
export function findPlatformLevel(
  pck: PckClaims,
  info: TcbInfo,
  module: ModuleReport | undefined,
): Level {
  const isOfPlatform = pck.fmspc === info.fmspc && pck.pceId === info.pceId
  refuseUnless(isOfPlatform, 'tcb-platform-mismatch')
  const level = info.levels.find((candidate) => reaches(candidate, pck, module))
  return level ?? refuse('tcb-level-missing', 'platform')
}

/** The worst of all levels, and every advisory once, in ascending order. */
export function mergeLevels(levels: readonly Level[]): Level {
  return {
    status: levels.reduce<TcbStatus>(
      (merged, { status }) => mergeStatus(merged, status),
      'UpToDate',
    ),
    advisories: [...new Set(levels.flatMap(({ advisories }) => advisories))].toSorted(),
  }
}

function checkModule(
  { mrSignerSeam, seamAttributes }: ModuleReport,
  module: Identity | undefined,
): asserts module is Identity {
  const isIntels =
    module !== undefined &&
    mrSignerSeam === module.mrSigner &&
    equalsUnderMask(seamAttributes, module.attributes, module.attributesMask)
  refuseUnless(isIntels, 'tdx-module-mismatch')
}

function mergeStatus(a: TcbStatus, b: TcbStatus): TcbStatus {
  const either = (word: string): boolean => a.includes(word) || b.includes(word)
  if (either('Revoked')) return 'Revoked'
  const asksConfiguration = either('Configuration')
  if (either('OutOfDate')) return asksConfiguration ? 'OutOfDateConfigurationNeeded' : 'OutOfDate'
  if (either('SWHardening')) {
    return asksConfiguration ? 'ConfigurationAndSWHardeningNeeded' : 'SWHardeningNeeded'
  }
  return asksConfiguration ? 'ConfigurationNeeded' : 'UpToDate'
}

function reaches(
  level: PlatformLevel,
  { componentSvns, pceSvn }: PckClaims,
  module: ModuleReport | undefined,
): boolean {
  if (pceSvn < level.pceSvn || !reachesAll(componentSvns, level.sgxSvns, 0)) return false
  if (module === undefined) return true
  // The first two speak of the module: a later one has levels of its own for them.
  const from = module.version > 0 ? 2 : 0
  return reachesAll(module.teeTcbSvn, level.tdxSvns, from)
}

function reachesAll(svns: ArrayLike<number>, required: readonly number[], from: number): boolean {
  return required.every((svn, at) => at < from || Number(svns[at]) >= svn)
}

function findIsvLevel(levels: readonly IsvLevel[], svn: number, about: string): Level {
  return levels.find(({ isvSvn }) => svn >= isvSvn) ?? refuse('tcb-level-missing', about)
}

function equalsUnderMask(a: Uint8Array, b: Uint8Array, mask: Uint8Array): boolean {
  return mask.every((bits, at) => ((Number(a[at]) ^ Number(b[at])) & bits) === 0)
}
