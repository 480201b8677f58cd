import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type {
  EvidenceAppraisal,
  EvidenceCheckId,
  Platform,
} from '@countersign/protocol/attestation/appraisal'
import {
  appraiseNitroEnclave,
  appraiseNitroTpm,
} from '@countersign/protocol/attestation/nitro/appraise-nitro'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { beforeAll, expect, test } from 'vitest'
import { rememberSignatures } from '../tampering/remember-signatures.ts'
import { turnBits } from './turned-bits.ts'

const platform: Platform = 'aws-nitro'
const roots = new Set(vendorRoots.get(platform))
const hourMs = 3_600_000
const container = readFixture('dstack-attest-nitro.bin')

type Fixture = {
  readonly name: string
  readonly raw: Uint8Array
  readonly timeMs: number
  readonly pcr0: string
  readonly machine: string
}

const debugFixture: Fixture = {
  name: 'a document of an enclave in debug mode',
  raw: readFixture('evervault-debug.bin'),
  timeMs: 1_665_582_606_081,
  pcr0: '0000000000000000',
  machine: 'i-03ad7cdb817437eeb',
}
const fixtures: readonly Fixture[] = [
  {
    name: 'a document with a map of known length',
    raw: readFixture('evervault-valid.bin'),
    timeMs: 1_665_651_482_136,
    pcr0: 'f4d48b81a460c991',
    machine: 'i-020b6af9246d90e92',
  },
  {
    name: 'a document with a map of indefinite length',
    raw: Uint8Array.from(Buffer.from(readFixture('og-evm-2026-02-12.b64').toString(), 'base64')),
    timeMs: 1_770_918_962_724,
    pcr0: '9baef83909784e4d',
    machine: 'i-0340e0cb833504eb6',
  },
  {
    name: 'a document out of a container',
    raw: container.subarray(4, 4530),
    timeMs: 1_766_678_659_346,
    pcr0: 'eb7d0dab08ff4154',
    machine: 'i-0827e799ec9232d44',
  },
]

beforeAll(rememberSignatures)

test.each(fixtures)('$name is valid as of its own time', async ({ raw, timeMs, ...said }) => {
  const appraisal = await appraise(raw, timeMs)
  expect(failedOf(appraisal)).toEqual([])
  expect(openOf(appraisal)).toEqual(['revocation'])
  expect(appraisal.claims).toMatchObject({ timeMs, machine: said.machine, settings: [] })
  expect(appraisal.claims?.measurements.get('pcr0')?.slice(0, 16)).toBe(said.pcr0)
})

test.each(fixtures)('$name is refused four hours earlier and later', async ({ raw, timeMs }) => {
  for (const asOfMs of [timeMs - 4 * hourMs, timeMs + 4 * hourMs]) {
    expect(failedOf(await appraise(raw, asOfMs))).toEqual(['validity'])
  }
})

test('a document of an enclave in debug mode is refused for that alone', async () => {
  const appraisal = await appraise(debugFixture.raw, debugFixture.timeMs)
  expect(failedOf(appraisal)).toEqual(['debug'])
  expect(appraisal.claims?.machine).toBe(debugFixture.machine)
})

test('what documents carry for others is bound to none of our keysets', async () => {
  const bound = await Promise.all(
    [...fixtures, debugFixture].map(async ({ raw, timeMs }) => {
      const { claims } = await appraise(raw, timeMs)
      return claims?.binding.values.map((value) => value.length)
    }),
  )
  // No user_data, two multihashes, the hash of nothing before zeros, a greeting.
  expect(bound).toEqual([[], [68], [64], [13]])
  const { claims } = await appraise(container.subarray(4, 4530), 1_766_678_659_346)
  const ofNothing = createHash('sha256').digest()
  expect(claims?.binding.values[0]?.subarray(0, 32)).toEqual(Uint8Array.from(ofNothing))
})

test.each([
  ['a container around a document', container],
  ['a document with a byte behind', concatBytes(debugFixture.raw, Uint8Array.of(0))],
  ['a document cut short', debugFixture.raw.subarray(0, -1)],
])('%s is refused', async (_, raw) => {
  const { checks } = await appraise(raw, 1_766_678_659_346)
  expect(checks[0]).toMatchObject({ id: 'format', status: 'failed', code: 'nitro-malformed' })
})

test('a document of an enclave is none of NitroTPM', async () => {
  const evidence = { raw: debugFixture.raw, collateral: new Map() }
  const { checks } = await appraiseNitroTpm(evidence, { asOfMs: debugFixture.timeMs, roots })
  expect(checks[0]).toMatchObject({ id: 'format', code: 'nitro-kind-mismatch' })
})

test('without the pin no document is believed', async () => {
  const { raw, timeMs } = debugFixture
  const evidence = { raw, collateral: new Map() }
  const appraisal = await appraiseNitroEnclave(evidence, { asOfMs: timeMs, roots: new Set() })
  expect(failedOf(appraisal)).toEqual(['root', 'debug'])
})

test.each([...fixtures, debugFixture])(
  'a turned bit of $name is refused',
  async ({ raw, timeMs, name }) => {
    const before = failedOf(await appraise(raw, timeMs))
    const taken: number[] = []
    let turnedBits = 0
    for (const [bit, turned] of turnBits(raw)) {
      turnedBits++
      const failed = failedOf(await appraise(turned, timeMs))
      if (!failed.some((id) => !before.includes(id))) taken.push(bit)
    }
    expect(turnedBits, name).toBeGreaterThan(100)
    expect(taken).toEqual([])
  },
  600_000,
)

async function appraise(raw: Uint8Array, asOfMs: number): Promise<EvidenceAppraisal> {
  return await appraiseNitroEnclave({ raw, collateral: new Map() }, { asOfMs, roots })
}

function failedOf({ checks }: EvidenceAppraisal): readonly EvidenceCheckId[] {
  return checks.flatMap(({ id, status }) => (status === 'failed' ? [id] : []))
}

function openOf({ checks }: EvidenceAppraisal): readonly EvidenceCheckId[] {
  return checks.flatMap(({ id, status }) => (status === 'not-checked' ? [id] : []))
}

function readFixture(name: string): Buffer {
  return readFileSync(new URL(`fixtures/nitro/${name}`, import.meta.url))
}
