import { createHash } from 'node:crypto'
import type { Platform, PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import type { EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { verifyEvidence } from '@countersign/protocol/attestation/verify-evidence'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { expect, test } from 'vitest'
import { azureCases } from '../vectors/attestation/cases/token-azure.ts'
import { workload } from '../vectors/attestation/cases/token-workload.ts'
import type { EvidenceCase } from '../vectors/attestation/evidence-case.ts'
import {
  digest,
  forgeEnclave,
  forgeTpm,
  nitroTestRoot,
  nitroTimeMs,
  type Members,
} from '../vectors/attestation/forge-nitro.ts'
import {
  forgeChain,
  forgeReport,
  gpuTestRoot,
  gpuTimeMs,
} from '../vectors/attestation/forge-nvidia.ts'
import { nitroSamples } from './samples.ts'

type Given = {
  readonly platform: Platform
  readonly evidence: PlatformEvidence
  readonly asOfMs: number
  readonly roots: object
  readonly measurements: Readonly<Record<string, string>>
  readonly settings: readonly string[]
}

const reportData = new Uint8Array(64).fill(0x42)
const hash = createHash('sha256').update(reportData).digest()
const hexOf = (value: Uint8Array | string): string => Buffer.from(value).toString('hex')

const givens: readonly Given[] = [
  {
    platform: 'aws-nitro',
    evidence: { raw: forgeEnclave({ members: bind }), collateral: new Map() },
    asOfMs: nitroTimeMs,
    roots: { vendor: false, simulated: [nitroTestRoot] },
    measurements: { pcr0: hexOf(digest('enclave 0')) },
    settings: [],
  },
  {
    platform: 'aws-nitrotpm',
    evidence: { raw: forgeTpm({ members: bind }), collateral: new Map() },
    asOfMs: nitroTimeMs,
    roots: { vendor: false, simulated: [nitroTestRoot] },
    measurements: { pcr4: hexOf(digest('tpm 4')), pcr7: hexOf(digest('tpm 7')) },
    settings: [],
  },
  {
    platform: 'nvidia-gpu',
    evidence: {
      raw: forgeReport({ request: askWithNonce }),
      collateral: new Map([['certificates', forgeChain()]]),
    },
    asOfMs: gpuTimeMs,
    roots: { vendor: false, simulated: [gpuTestRoot] },
    measurements: { driver: hexOf('570.00'), vbios: hexOf('96.00.5E.00.01') },
    settings: [],
  },
  fromCase(
    workload('', '', { claims: { eat_nonce: ['not ours', toBase64url(Uint8Array.from(hash))] } }),
    { image: 'aa'.repeat(32) },
    ['hwmodel GCP_INTEL_TDX'],
  ),
  fromCase(azureCases()[0], { launch: 'ab'.repeat(48), 'host-data': '00'.repeat(32) }, [
    'issuer https://sharedeus.eus.attest.azure.net',
    'hwmodel sevsnpvm',
  ]),
]

test.each(givens)('$platform is valid when a policy takes all that it says', async (given) => {
  const { verdict, tier } = await judge(given)
  expect(verdict).toBe('valid')
  expect(tier).toBe('service' in given.roots ? 'service' : 'simulated')
})

test.each(givens)('$platform is incomplete when nobody says what it is bound to', async (given) => {
  const { verdict } = await judge(given, {}, null)
  expect(verdict).toBe('incomplete')
})

test.each(givens)('$platform is invalid when it is bound to other keys', async (given) => {
  const result = await judge(given, {}, reportData.with(0, 0))
  expect(result.verdict).toBe('invalid')
  expect(codesOf(result)).toEqual(['binding-mismatch'])
})

test.each(givens)('$platform is not allowed when its code is not listed', async (given) => {
  const others = Object.keys(given.measurements).map((name) => [name, '00'] as const)
  const result = await judge(given, { measurements: [Object.fromEntries(others)] })
  expect(result.verdict).toBe('not-allowed')
  expect(codesOf(result)).toEqual(['measurement-not-allowed'])
})

test.each(givens.filter(({ settings }) => settings.length > 0))(
  '$platform is not allowed when a setting is not listed',
  async (given) => {
    const result = await judge(given, { settings: given.settings.slice(1) })
    expect(result.verdict).toBe('not-allowed')
    expect(codesOf(result)).toEqual(['setting-not-allowed'])
  },
)

test.each(nitroSamples())('the sample $name is bound to none of our keysets', async (sample) => {
  const given: Given = {
    platform: 'aws-nitro',
    evidence: sample.evidence,
    asOfMs: sample.asOfMs,
    roots: { vendor: true },
    measurements: { pcr0: '00' },
    settings: [],
  }
  const result = await judge(given)
  expect(result.tier).toBe('production')
  expect(result.verdict).toBe('invalid')
  expect(codesOf(result)).toContain('binding-mismatch')
})

async function judge(
  { platform, evidence, asOfMs, roots, measurements, settings }: Given,
  edits: object = {},
  bound: Uint8Array | null = reportData,
): Promise<EvidenceVerdict> {
  const asked = { platform, require: [], roots, measurements: [measurements], settings, ...edits }
  const policy = parseEvidencePolicy(
    encodeUtf8(
      JSON.stringify({
        evidencePolicy: 1,
        name: 'test',
        platforms: [asked],
        maxAgeMs: 3_600_000,
        maxClockSkewMs: 300_000,
        machines: 'any',
        minVendors: 1,
      }),
    ),
  )
  const known = { asOfMs, knownSinceMs: asOfMs }
  const expected = bound === null ? known : { ...known, reportData: bound }
  return await verifyEvidence(platform, evidence, policy, expected)
}

function codesOf({ checks }: EvidenceVerdict): readonly string[] {
  return checks.flatMap((check) => (check.status === 'failed' ? [check.code] : []))
}

function bind(members: Members): Members {
  return members.map((member) => (member[0] === 'user_data' ? ['user_data', reportData] : member))
}

function askWithNonce(request: Uint8Array): Uint8Array {
  const nonce = createHash('sha256').update('countersign/gpu/v1').update(reportData).digest()
  return concatBytes(request.subarray(0, 4), nonce, request.subarray(36))
}

function fromCase(
  given: EvidenceCase | undefined,
  measurements: Given['measurements'],
  settings: readonly string[],
): Given {
  if (given === undefined) throw new Error('no case')
  const { platform, raw, collateral = new Map(), asOfMs, roots } = given
  return {
    platform,
    evidence: { raw, collateral },
    asOfMs,
    roots: { vendor: false, service: roots },
    measurements,
    settings,
  }
}
