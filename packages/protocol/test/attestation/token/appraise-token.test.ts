import type { Appraiser, EvidenceClaims } from '@countersign/protocol/attestation/appraisal'
import { appraiseAzureAttestation } from '@countersign/protocol/attestation/token/azure-attestation'
import { appraiseConfidentialSpace } from '@countersign/protocol/attestation/token/confidential-space'
import { appraiseNvidiaRemote } from '@countersign/protocol/attestation/token/nvidia-remote'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { expect, test } from 'vitest'
import { azureCases } from '../../../../../test/vectors/attestation/cases/token-azure.ts'
import { gpuTokenCases } from '../../../../../test/vectors/attestation/cases/token-gpu.ts'
import {
  workload,
  workloadCases,
  workloadNonce,
} from '../../../../../test/vectors/attestation/cases/token-workload.ts'
import type { EvidenceCase } from '../../../../../test/vectors/attestation/evidence-case.ts'
import { ecJwk, tokenTimeMs } from '../../../../../test/vectors/attestation/forge-token.ts'
import { seededKey } from '../../../../../test/vectors/attestation/test-key.ts'

async function claimsOf(
  appraise: Appraiser,
  cases: readonly EvidenceCase[],
  name: string,
): Promise<EvidenceClaims | undefined> {
  const given = cases.find((candidate) => candidate.name === `${name} is taken`)
  if (given === undefined) throw new Error(`no case ${name}`)
  const evidence = { raw: given.raw, collateral: given.collateral ?? new Map() }
  const { claims } = await appraise(evidence, {
    asOfMs: given.asOfMs,
    roots: new Set(given.roots),
  })
  return claims
}

const ofWorkload = (name: string): ReturnType<typeof claimsOf> =>
  claimsOf(appraiseConfidentialSpace, workloadCases(), name)

const ofAzure = (name: string): ReturnType<typeof claimsOf> =>
  claimsOf(appraiseAzureAttestation, azureCases(), name)

const ofGpus = (name: string): ReturnType<typeof claimsOf> =>
  claimsOf(appraiseNvidiaRemote, gpuTokenCases(), name)

test('a token of Confidential Space says its image, its nonce and its hardware', async () => {
  expect(await ofWorkload('a token of Confidential Space')).toEqual({
    root: workload('', '').roots[0],
    binding: { form: 'sha256', values: [workloadNonce] },
    measurements: new Map([['image', 'aa'.repeat(32)]]),
    tcb: { kind: 'none' },
    machine: '1234567890',
    timeMs: tokenTimeMs - 10_000,
    settings: ['hwmodel GCP_INTEL_TDX'],
  })
})

/** Beside issuer and kind of hardware. */
async function settingsOf(name: string): Promise<readonly string[] | undefined> {
  return (await ofAzure(name))?.settings.slice(2)
}

test('what a report of the hardware would show as a setting, a token of Azure shows, too', async () => {
  expect(await settingsOf('a token about a machine with SEV-SNP')).toEqual([])
  expect(await settingsOf('a report that a level above the paravisor asked for')).toEqual([
    'vmpl-2',
  ])
  expect(await settingsOf('a token about a machine with TDX')).toEqual([])
  expect(await settingsOf('a machine with TDX whose counters can be read')).toEqual([
    'sept-ve-enabled',
    'perfmon',
  ])
})

test('among several nonces, those that are base64url count', async () => {
  const claims = await ofWorkload('a token with several nonces')
  expect(claims?.binding.values).toEqual([workloadNonce])
})

test('what the operator changed is a setting that a policy must take', async () => {
  const changed = await ofWorkload('a token with arguments that the operator set')
  expect(changed?.settings).toEqual(['hwmodel GCP_INTEL_TDX', 'cmd_override'])
  const empty = await ofWorkload('a token with overrides that are empty')
  expect(empty?.settings).toEqual(['hwmodel GCP_INTEL_TDX'])
  const unstable = await ofWorkload('a token of an image of the system that is not stable')
  expect(unstable?.settings).toEqual(['hwmodel GCP_INTEL_TDX', 'not-stable'])
})

test('a token of Azure names the instance that made it, which a policy must take', async () => {
  const snp = await ofAzure('a token about a machine with SEV-SNP')
  expect(snp?.settings).toEqual([
    'issuer https://sharedeus.eus.attest.azure.net',
    'hwmodel sevsnpvm',
  ])
  expect(snp?.measurements.get('launch')).toBe('ab'.repeat(48))
  expect(snp?.binding).toEqual({ form: 'whole', values: [new Uint8Array(64).fill(0x42)] })
  const tdx = await ofAzure('a token about a machine with TDX')
  expect([...(tdx?.measurements.keys() ?? [])]).toEqual([
    'mrtd',
    'rtmr0',
    'rtmr1',
    'rtmr2',
    'rtmr3',
  ])
})

test('an answer about GPUs says what they have in common', async () => {
  const two = await ofGpus('an answer about two GPUs')
  expect(two?.machine).toBe('1 2')
  expect(two?.settings).toEqual(['hwmodel GH100 A01 GSP BROM'])
  expect([...(two?.measurements.keys() ?? [])]).toEqual(['driver', 'vbios'])
  expect(two?.binding).toEqual({ form: 'gpu', values: [new Uint8Array(32).fill(0x42)] })
  const differing = await ofGpus('an answer about two GPUs of which one has another driver')
  expect([...(differing?.measurements.keys() ?? [])]).toEqual(['vbios'])
})

test.each([
  ['a token', appraiseConfidentialSpace, 'a'.repeat(65_537), '{"keys":[]}', 'token-malformed'],
  ['an answer', appraiseNvidiaRemote, ' '.repeat(65_537), '{"keys":[]}', 'token-malformed'],
])('%s that is too large is refused before it is read', async (_, appraise, raw, keys, code) => {
  const evidence = {
    raw: encodeUtf8(raw),
    collateral: new Map([['key-set', encodeUtf8(keys)]]),
  }
  const { checks } = await appraise(evidence, { asOfMs: 0, roots: new Set() })
  expect(checks[0]).toMatchObject({ id: 'format', status: 'failed', code })
})

test('a key set that is too large is refused before it is read', async () => {
  const given = workload('', '')
  const keySet = given.collateral?.get('key-set') ?? new Uint8Array(0)
  const collateral = new Map([['key-set', padTo(keySet, 262_145)]])
  const { checks } = await appraiseConfidentialSpace(
    { raw: given.raw, collateral },
    { asOfMs: given.asOfMs, roots: new Set(given.roots) },
  )
  expect(checks[0]).toMatchObject({ id: 'format', status: 'failed', code: 'token-keys-malformed' })
})

test.each([
  ['of the largest size', (set: Uint8Array): Uint8Array => padTo(set, 262_144)],
  ['of the most keys', (set: Uint8Array): Uint8Array => addKeys(set, 63)],
])('a key set %s is read', async (_, change) => {
  const given = workload('', '')
  const keySet = given.collateral?.get('key-set') ?? new Uint8Array(0)
  const collateral = new Map([['key-set', change(keySet)]])
  const { checks } = await appraiseConfidentialSpace(
    { raw: given.raw, collateral },
    { asOfMs: given.asOfMs, roots: new Set(given.roots) },
  )
  expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
})

function padTo(bytes: Uint8Array, length: number): Uint8Array {
  const padded = new Uint8Array(length).fill(0x20)
  padded.set(bytes)
  return padded
}

function addKeys(bytes: Uint8Array, count: number): Uint8Array {
  const jwk = ecJwk(seededKey('other'))
  const others = Array.from({ length: count }, (_, at) => JSON.stringify({ ...jwk, kid: `${at}` }))
  const text = Buffer.from(bytes)
    .toString()
    .replace(']}', `,${others.join(',')}]}`)
  return encodeUtf8(text)
}
