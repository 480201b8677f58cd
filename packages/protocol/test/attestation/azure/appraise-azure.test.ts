import { expect, test } from 'vitest'
import {
  appraiseAzureSnp,
  appraiseAzureTdx,
} from '@countersign/protocol/attestation/azure/appraise-azure'
import {
  encodeAzureEvidence,
  parseAzureEvidence,
} from '@countersign/protocol/attestation/azure/azure-evidence'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import { verifyEvidence } from '@countersign/protocol/attestation/verify-evidence'
import { ProtocolError } from '@countersign/protocol/errors'
import { turnBits } from '../../../../../test/attestation/turned-bits.ts'
import { dcapAsOfMs, dcapRoot } from '../../../../../test/vectors/attestation/dcap-evidence.ts'
import {
  azureAkPublic,
  forgeAzureSnp,
  forgeAzureTdx,
} from '../../../../../test/vectors/attestation/forge-azure.ts'
import { snpAsOfMs, snpRoot } from '../../../../../test/vectors/attestation/snp-evidence.ts'

const options = { asOfMs: snpAsOfMs, roots: new Set([snpRoot('Milan')]) }

test('says what the hardware measured and what the paravisor’s TPM did', async () => {
  const evidence = forgeAzureSnp({
    runtime: (json) => ({ ...json, 'vm-configuration': {} }),
    quote: { attest: () => ({ safe: 0 }) },
  })
  const { claims } = await appraiseAzureSnp(evidence, options)
  expect([...(claims?.measurements.keys() ?? [])]).toEqual([
    'measurement',
    'host-data',
    'id-key-digest',
    'author-key-digest',
    'family-id',
    'image-id',
    'selection',
    'resets',
    'restarts',
    'pcr0',
    'pcr4',
    'pcr7',
    'pcr14',
    'countersign/build',
    'countersign/configuration',
  ])
  expect(claims?.settings).toEqual(['console-enabled', 'secure-boot-off', 'clock-unsafe'])
  expect(claims).toMatchObject({ root: snpRoot('Milan'), binding: { form: 'sha256' } })
  expect(claims?.tcb.kind).toBe('versions')
  const domain = await appraiseAzureTdx(forgeAzureTdx(), {
    asOfMs: dcapAsOfMs,
    roots: new Set([dcapRoot]),
  })
  expect(domain.claims?.tcb.kind).toBe('status')
  expect(domain.claims?.measurements.has('mrtd')).toBe(true)
})

test('takes its own encoding apart again', () => {
  const { raw } = forgeAzureSnp()
  expect(encodeAzureEvidence(parseAzureEvidence(raw))).toEqual(raw)
})

test('refuses any bit turned, but for what nobody vouches for', async () => {
  const { raw, collateral } = forgeAzureSnp()
  // Hardware vouches for the key alone; name algorithm, policy and other attributes are the guest's word (AT18.5).
  const area = Buffer.from(raw).indexOf(azureAkPublic())
  let turned = 0
  const taken: number[] = []
  for (const [bit, changed] of turnBits(raw)) {
    if (bit >> 3 >= area && bit >> 3 < area + 10) continue
    turned++
    const { checks } = await appraiseAzureSnp({ raw: changed, collateral }, options)
    if (!checks.some(({ status }) => status === 'failed')) taken.push(bit)
  }
  expect(area).toBeGreaterThan(0)
  expect(turned).toBeGreaterThan(70)
  expect(taken).toEqual([])
})

test('a policy names the paravisor and what it booted, or is none', async () => {
  const evidence = forgeAzureSnp()
  const { claims } = await appraiseAzureSnp(evidence, options)
  const names = ['measurement', 'selection', 'pcr0', 'pcr4', 'pcr7', 'countersign/build']
  const measured = Object.fromEntries(names.map((name) => [name, claims?.measurements.get(name)]))
  for (const name of names) {
    const lacking = { ...measured, [name]: undefined }
    expect(() => parseEvidencePolicy(policy(lacking)), name).toThrow(ProtocolError)
  }
  const bound = new TextEncoder().encode('report data')
  const judge = (part: object): ReturnType<typeof verifyEvidence> =>
    verifyEvidence(
      'amd-sev-snp-azure',
      evidence,
      parseEvidencePolicy(policy({ ...measured, ...part })),
      {
        asOfMs: snpAsOfMs,
        reportData: bound,
      },
    )
  expect(await judge({})).toMatchObject({ verdict: 'valid', tier: 'simulated' })
  expect(await judge({ measurement: 'ab'.repeat(48) })).toMatchObject({ verdict: 'not-allowed' })
  expect(await judge({ pcr4: 'ab'.repeat(32) })).toMatchObject({ verdict: 'not-allowed' })
})

function policy(measurements: unknown): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      evidencePolicy: 1,
      name: 'a paravisor under a test root',
      platforms: [
        {
          platform: 'amd-sev-snp-azure',
          require: [],
          roots: { vendor: true, simulated: [snpRoot('Milan')] },
          measurements: [measurements],
          minVersions: { Milan: { snp: 1 } },
        },
      ],
      maxAgeMs: null,
      maxClockSkewMs: 0,
      machines: 'any',
      minVendors: 1,
    }),
  )
}
