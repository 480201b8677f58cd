import { readFileSync } from 'node:fs'
import type {
  EvidenceAppraisal,
  EvidenceCheckId,
} from '@countersign/protocol/attestation/appraisal'
import { appraiseNvidiaGpu } from '@countersign/protocol/attestation/nvidia/appraise-nvidia'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { beforeAll, expect, test } from 'vitest'
import { rememberSignatures } from '../tampering/remember-signatures.ts'
import { turnBits } from './turned-bits.ts'

const asOfMs = Date.UTC(2024, 0, 1)
const roots = new Set(vendorRoots.get('nvidia-gpu'))
const report = readReport('hopperAttestationReport.txt')
const otherReport = readReport('hopperAttestationReportInvalidSignature.txt')
const chain = Uint8Array.from(readFixture('hopperCertChain.txt'))
const nonce = '27a328247bf7935c993341cf587be6f05986ccce4fe7ba2c54100bd616a58f66'

beforeAll(rememberSignatures)

test('the report of a real H100 is valid', async () => {
  const appraisal = await appraise(report, chain)
  expect(failedOf(appraisal)).toEqual([])
  const open = appraisal.checks.filter(({ status }) => status === 'not-checked')
  expect(open.map(({ id }) => id)).toEqual(['revocation', 'debug'])
  const { binding, measurements, settings } = appraisal.claims ?? {}
  expect(binding).toEqual({ form: 'gpu', values: [Uint8Array.from(Buffer.from(nonce, 'hex'))] })
  expect(textOf(measurements?.get('driver'))).toBe('535.86.09')
  expect(textOf(measurements?.get('vbios'))).toBe('96.00.5E.00.01')
  // 64 blocks without that of the decoder, which is off; driver and VBIOS.
  expect(measurements?.size).toBe(63 + 2)
  expect(settings).toEqual([])
})

test('a report with an invalid signature is refused', async () => {
  const appraisal = await appraise(otherReport, chain)
  expect(failedOf(appraisal)).toEqual(['signature', 'configuration'])
  expect(textOf(appraisal.claims?.measurements.get('driver'))).toBe('560.00')
  expect(appraisal.claims?.settings).toEqual(['protected-pcie'])
})

test('a report is refused before its chain began', async () => {
  const evidence = { raw: report, collateral: new Map([['certificates', chain]]) }
  const appraisal = await appraiseNvidiaGpu(evidence, { asOfMs: Date.UTC(2020, 0, 1), roots })
  expect(failedOf(appraisal)).toEqual(['validity'])
})

test.each([
  ['a byte behind the report', concatBytes(report, Uint8Array.of(0)), chain],
  ['a report cut short', report.subarray(0, -1), chain],
  ['a chain without its root', report, chain.subarray(0, chain.lastIndexOf(0x0a, -800))],
])('%s is refused', async (_, raw, certificates) => {
  expect(failedOf(await appraise(raw, certificates))).toContain('format')
})

test('a turned bit of the report is refused', async () => {
  const taken: number[] = []
  let turnedBits = 0
  for (const [bit, turned] of turnBits(report)) {
    turnedBits++
    if (failedOf(await appraise(turned, chain)).length === 0) taken.push(bit)
  }
  expect(turnedBits).toBeGreaterThan(90)
  expect(taken).toEqual([])
}, 600_000)

test('a turned bit of the chain is refused', async () => {
  const taken: number[] = []
  let turnedBits = 0
  for (const [bit, turned] of turnBits(chain)) {
    turnedBits++
    if (failedOf(await appraise(report, turned)).length === 0) taken.push(bit)
  }
  expect(turnedBits).toBeGreaterThan(90)
  expect(taken).toEqual([])
}, 600_000)

async function appraise(raw: Uint8Array, certificates: Uint8Array): Promise<EvidenceAppraisal> {
  const evidence = { raw, collateral: new Map([['certificates', certificates]]) }
  return await appraiseNvidiaGpu(evidence, { asOfMs, roots })
}

function failedOf({ checks }: EvidenceAppraisal): readonly EvidenceCheckId[] {
  return checks.flatMap(({ id, status }) => (status === 'failed' ? [id] : []))
}

function textOf(hex: string | undefined): string {
  return Buffer.from(hex ?? '', 'hex').toString()
}

function readReport(name: string): Uint8Array {
  return Uint8Array.from(Buffer.from(readFixture(name).toString().trim(), 'hex'))
}

function readFixture(name: string): Buffer {
  return readFileSync(new URL(`fixtures/nvidia/${name}`, import.meta.url))
}
