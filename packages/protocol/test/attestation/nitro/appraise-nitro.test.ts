import {
  appraiseNitroEnclave,
  appraiseNitroTpm,
} from '@countersign/protocol/attestation/nitro/appraise-nitro'
import { expect, test } from 'vitest'
import {
  digest,
  forgeEnclave,
  forgeTpm,
  nitroTestRoot,
  nitroTimeMs,
} from '../../../../../test/vectors/attestation/forge-nitro.ts'

const options = { asOfMs: nitroTimeMs, roots: new Set([nitroTestRoot]) }
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('a document of an enclave says what was measured, where and when', async () => {
  const evidence = { raw: forgeEnclave(), collateral: new Map() }
  const { platform, claims } = await appraiseNitroEnclave(evidence, options)
  expect(platform).toBe('aws-nitro')
  expect(claims).toMatchObject({
    root: nitroTestRoot,
    binding: { form: 'whole', values: [new Uint8Array(64).fill(7)] },
    tcb: { kind: 'none' },
    machine: 'i-0123456789abcdef0',
    timeMs: nitroTimeMs,
    settings: [],
  })
  expect(claims?.measurements.size).toBe(16)
  expect(claims?.measurements.get('pcr0')).toBe(hexOf(digest('enclave 0')))
  expect(claims?.measurements.get('pcr3')).toBe('00'.repeat(48))
})

test('a document of NitroTPM has the registers of a TPM', async () => {
  const evidence = { raw: forgeTpm(), collateral: new Map() }
  const { platform, claims } = await appraiseNitroTpm(evidence, options)
  expect(platform).toBe('aws-nitrotpm')
  expect(claims?.machine).toBe('i-0123456789abcdef0')
  expect(claims?.measurements.size).toBe(24)
  expect(claims?.measurements.get('pcr14')).toBe(hexOf(digest('tpm 14')))
})

test('a document without user_data is bound to nothing', async () => {
  const raw = forgeEnclave({ members: (members) => members.filter(([key]) => key !== 'user_data') })
  const { claims } = await appraiseNitroEnclave({ raw, collateral: new Map() }, options)
  expect(claims?.binding.values).toEqual([])
})

test('evidence that cannot be read says nothing', async () => {
  const appraisal = await appraiseNitroEnclave(
    { raw: new Uint8Array(3), collateral: new Map() },
    options,
  )
  expect(appraisal).not.toHaveProperty('claims')
})

test('a time of judging that is no number is refused', async () => {
  const evidence = { raw: forgeEnclave(), collateral: new Map() }
  const { checks } = await appraiseNitroEnclave(evidence, { ...options, asOfMs: Number.NaN })
  expect(checks.find(({ id }) => id === 'validity')?.status).toBe('failed')
})
