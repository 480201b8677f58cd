import type { TcbStatus } from '@countersign/protocol/attestation/appraisal'
import { mergeLevels } from '@countersign/protocol/attestation/dcap/tcb-status'
import { expect, test } from 'vitest'

const merged = (...statuses: readonly TcbStatus[]): TcbStatus =>
  mergeLevels(statuses.map((status) => ({ status, advisories: [] }))).status

test.each<readonly [TcbStatus, TcbStatus, TcbStatus]>([
  ['UpToDate', 'UpToDate', 'UpToDate'],
  ['UpToDate', 'SWHardeningNeeded', 'SWHardeningNeeded'],
  ['UpToDate', 'ConfigurationNeeded', 'ConfigurationNeeded'],
  ['SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded'],
  ['SWHardeningNeeded', 'SWHardeningNeeded', 'SWHardeningNeeded'],
  ['ConfigurationAndSWHardeningNeeded', 'UpToDate', 'ConfigurationAndSWHardeningNeeded'],
  ['OutOfDate', 'UpToDate', 'OutOfDate'],
  ['OutOfDate', 'SWHardeningNeeded', 'OutOfDate'],
  ['OutOfDate', 'ConfigurationNeeded', 'OutOfDateConfigurationNeeded'],
  ['OutOfDate', 'ConfigurationAndSWHardeningNeeded', 'OutOfDateConfigurationNeeded'],
  ['OutOfDateConfigurationNeeded', 'UpToDate', 'OutOfDateConfigurationNeeded'],
  ['Revoked', 'OutOfDateConfigurationNeeded', 'Revoked'],
  ['Revoked', 'UpToDate', 'Revoked'],
])('%s and %s make %s, in either order', (a, b, expected) => {
  expect(merged(a, b)).toBe(expected)
  expect(merged(b, a)).toBe(expected)
  expect(merged(a, 'UpToDate', b)).toBe(expected)
})

test('every advisory is named once, in order', () => {
  const levels = [
    { status: 'SWHardeningNeeded', advisories: ['INTEL-SA-2', 'INTEL-SA-1'] },
    { status: 'UpToDate', advisories: ['INTEL-SA-1', 'INTEL-SA-3'] },
  ] as const
  expect(mergeLevels(levels).advisories).toEqual(['INTEL-SA-1', 'INTEL-SA-2', 'INTEL-SA-3'])
})
