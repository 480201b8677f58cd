import { appraiseNvidiaGpu } from '@countersign/protocol/attestation/nvidia/appraise-nvidia'
import type { EvidenceClaims } from '@countersign/protocol/attestation/appraisal'
import { expect, test } from 'vitest'
import {
  forgeChain,
  forgeReport,
  gpuNonce,
  gpuTestRoot,
  gpuTimeMs,
  type GpuEdit,
} from '../../../../../test/vectors/attestation/forge-nvidia.ts'

const hexOf = (text: string): string => Buffer.from(text).toString('hex')

async function claimsOf(edit: GpuEdit): Promise<EvidenceClaims | undefined> {
  const evidence = {
    raw: forgeReport(edit),
    collateral: new Map([['certificates', forgeChain()]]),
  }
  const options = { asOfMs: gpuTimeMs, roots: new Set([gpuTestRoot]) }
  const { claims } = await appraiseNvidiaGpu(evidence, options)
  return claims
}

function put(type: number, value: number): GpuEdit {
  const turned = Uint8Array.of(value)
  return { opaque: (opaque) => opaque.map((entry) => (entry[0] === type ? [type, turned] : entry)) }
}

test('a report says its nonce, its firmware and its measurements', async () => {
  const claims = await claimsOf({})
  expect(claims).toMatchObject({
    root: gpuTestRoot,
    binding: { form: 'gpu', values: [gpuNonce] },
    tcb: { kind: 'none' },
    settings: [],
  })
  expect(claims?.machine).toMatch(/^[0-9a-f]{64}$/)
  expect(claims?.measurements.get('driver')).toBe(hexOf('570.00'))
  expect(claims?.measurements.get('vbios')).toBe(hexOf('96.00.5E.00.01'))
  expect(claims?.measurements.get('block36')).toMatch(/^[0-9a-f]{96}$/)
})

test('the block of a decoder that is off says nothing', async () => {
  expect((await claimsOf({}))?.measurements.has('block35')).toBe(false)
  expect((await claimsOf(put(11, 0xaa)))?.measurements.has('block35')).toBe(true)
})

test('protected PCIe is a setting that a policy must take', async () => {
  expect((await claimsOf(put(21, 0xaa)))?.settings).toEqual(['protected-pcie'])
  expect((await claimsOf(put(21, 0x00)))?.settings).toEqual(['protected-pcie'])
})
