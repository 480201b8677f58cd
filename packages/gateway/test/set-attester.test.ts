/** Several sources for one keyset: configfs-tsm (emulator) and a TPM (software TPM, test CA), and sources that fail. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Platform } from '@countersign/protocol/attestation/appraisal'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import { parseEvidenceSet } from '@countersign/protocol/attestation/evidence-set'
import { listGatewayEvents } from '@countersign/protocol/attestation/tpm/measured-log'
import { verifyEvidenceSet } from '@countersign/protocol/attestation/verify-evidence'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { askedOf, setPolicy } from '../../../test/vectors/attestation/forge-set.ts'
import { forgeSnp } from '../../../test/vectors/attestation/snp-evidence.ts'
import { AttestationError, type AttestationErrorCode } from '../src/enclave/attestation-error.ts'
import { withCollateral } from '../src/enclave/collateral-folder.ts'
import type { EvidenceSource } from '../src/enclave/evidence-source.ts'
import { openAttester } from '../src/enclave/open-attester.ts'
import { createSetAttester } from '../src/enclave/set-attester.ts'
import { createTpmAttester } from '../src/enclave/tpm/tpm-attester.ts'
import { enrolTpm } from '../src/enclave/tpm/enrol.ts'
import type { TpmAddress } from '../src/enclave/tpm/tpm-transport.ts'
import { createTsmSource } from '../src/enclave/tsm/tsm-source.ts'
import { emulateTsm } from './support/emulate-tsm.ts'
import { startSwtpm, swtpmMissing } from './support/start-swtpm.ts'
import { createTestChallenger } from './support/test-challenger.ts'

const nowMs = Date.now()
const timeoutMs = 60_000
const tpmQueue = 17
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-set-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** A source that gives the report data back. */
function echo(kind: Platform, bytes = 64): EvidenceSource {
  return {
    kind,
    attest: async (reportData) => {
      const raw = new Uint8Array(bytes)
      raw.set(reportData)
      return { raw, collateral: new Map() }
    },
  }
}

function report(reportData: Uint8Array): Uint8Array {
  return forgeSnp({ report: (bytes) => bytes.set(reportData, 0x50) }).raw
}

function failing(kind: Platform, code: AttestationErrorCode): EvidenceSource {
  return {
    kind,
    attest: async () => {
      throw new AttestationError(code, kind)
    },
  }
}

function unexpected(error: AttestationError): void {
  throw error
}

function codesTo(codes: string[]): (error: AttestationError) => void {
  return ({ code }) => void codes.push(code)
}

test('configfs-tsm and a TPM attest one keyset, and two vendors agree (emulator and software TPM)', async ({
  skip,
}) => {
  if (swtpmMissing !== undefined) return skip(swtpmMissing)
  const day = 86_400_000
  const list = { thisUpdateMs: nowMs - day, nextUpdateMs: nowMs + day }
  for (const [name, bytes] of forgeSnp({ list }).collateral)
    writeFileSync(join(folder, name), bytes)
  const tsm = await createTsmSource(
    { folder: '/tsm/report' },
    emulateTsm({ provider: 'sev_guest\n', report }, '/tsm/report'),
  )
  const swtpm = await startSwtpm()
  try {
    const address: TpmAddress = { kind: 'unix', path: swtpm.socketPath }
    const challenger = createTestChallenger(swtpm)
    const build = randomBytes(32)
    const tpm = await createTpmAttester({
      address,
      timeoutMs,
      pcrs: [0, 4, 7],
      applicationPcr: 14,
      events: listGatewayEvents(build, randomBytes(32)),
      endorsement: { kind: 'enrolment', record: await enrolTpm(address, timeoutMs, challenger) },
    })
    const sources = [withCollateral(tsm, folder), tpm]
    const attester = createSetAttester(sources, { atLeast: 2, onMissing: unexpected })
    expect(attester.kind).toBe('several')
    const reportData = randomBytes(64)
    const set = parseEvidenceSet(await attester.attest(reportData, nowMs))
    const zero = '00'.repeat(32)
    const boot = { selection: '914000', pcr0: zero, pcr4: zero, pcr7: zero }
    const tpmAsked = {
      ...askedOf.tpm,
      roots: { vendor: false, simulated: [swtpm.rootDigest], service: [challenger.pin] },
      measurements: [{ ...boot, 'countersign/build': toHex(build) }],
    }
    const text = setPolicy(2, [askedOf.snp, tpmAsked])
    const policy = parseEvidencePolicy(Buffer.from(text))
    const expected = { asOfMs: Date.now(), knownSinceMs: nowMs, reportData }
    const verdict = await verifyEvidenceSet(set, policy, expected)
    expect(verdict).toMatchObject({ verdict: 'valid', tier: 'simulated' })
    const other = { ...expected, reportData: randomBytes(64) }
    expect((await verifyEvidenceSet(set, policy, other)).verdict).toBe('invalid')
  } finally {
    await swtpm.stop()
  }
})

test('every source is asked about the same report data', async () => {
  const attester = createSetAttester([echo('tpm'), echo('intel-tdx')], {
    atLeast: 2,
    onMissing: unexpected,
  })
  const reportData = new Uint8Array(randomBytes(64))
  const set = parseEvidenceSet(await attester.attest(reportData, nowMs))
  expect([...set.keys()]).toEqual(['tpm', 'intel-tdx'])
  for (const { raw } of set.values()) expect(raw).toEqual(reportData)
})

test('a source that fails closes the gateway, unless the others are enough', async () => {
  const sources = [echo('tpm'), failing('intel-tdx', 'attester-unreachable'), echo('aws-nitro')]
  const codes: string[] = []
  const strict = createSetAttester(sources, { atLeast: 3, onMissing: codesTo(codes) })
  await expect(strict.attest(randomBytes(64), nowMs)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  expect(codes).toEqual([])
  const lax = createSetAttester(sources, { atLeast: 2, onMissing: codesTo(codes) })
  const set = parseEvidenceSet(await lax.attest(randomBytes(64), nowMs))
  expect([...set.keys()]).toEqual(['tpm', 'aws-nitro'])
  expect(codes).toEqual(['attester-unreachable'])
  const none = createSetAttester(
    [failing('tpm', 'attester-timeout'), failing('intel-tdx', 'attester-refused')],
    { atLeast: 1, onMissing: codesTo(codes) },
  )
  await expect(none.attest(randomBytes(64), nowMs)).rejects.toMatchObject({
    code: 'attester-timeout',
  })
})

test('a queue that is full takes no piece away from anybody', async () => {
  const gate = Promise.withResolvers<undefined>()
  const slow: EvidenceSource = {
    kind: 'tpm',
    attest: async (reportData) => {
      await gate.promise
      return await echo('tpm').attest(reportData)
    },
  }
  const codes: string[] = []
  const attester = createSetAttester([slow, echo('intel-tdx')], {
    atLeast: 1,
    onMissing: codesTo(codes),
  })
  const asked = Array.from({ length: tpmQueue }, () => attester.attest(randomBytes(64), nowMs))
  await expect(asked.at(-1)).rejects.toMatchObject({ code: 'attester-busy' })
  gate.resolve(undefined)
  const answered = await Promise.all(asked.slice(0, -1))
  expect(answered.map((bytes) => parseEvidenceSet(bytes).size)).toEqual(answered.map(() => 2))
  expect(codes).toEqual([])
})

test('an error of ours is not taken for a source that failed', async () => {
  const bug: EvidenceSource = {
    kind: 'tpm',
    attest: async () => {
      throw new TypeError('a bug')
    },
  }
  const attester = createSetAttester([echo('intel-tdx'), bug], {
    atLeast: 1,
    onMissing: unexpected,
  })
  await expect(attester.attest(randomBytes(64), nowMs)).rejects.toThrow('a bug')
})

test('two sources of one platform, and more than a set can hold, are refused', async () => {
  const options = { atLeast: 1, onMissing: unexpected }
  expect(() => createSetAttester([echo('tpm'), echo('tpm')], options)).toThrow(
    'same-platform-twice',
  )
  const large = createSetAttester([echo('tpm', 360_448), echo('intel-tdx', 360_448)], options)
  await expect(large.attest(randomBytes(64), nowMs)).rejects.toMatchObject({
    code: 'attester-malformed',
  })
})

test('a source that cannot be opened keeps the gateway from starting', async () => {
  const digests = { build: randomBytes(32), configuration: randomBytes(32) }
  const socketPath = join(folder, 'nobody.sock')
  const helper = { kind: 'nitro-enclave', socketPath, timeoutMs } as const
  const tsm = { kind: 'tsm', folder: join(folder, 'tsm'), timeoutMs } as const
  const opened = openAttester({ kind: 'several', sources: [helper, tsm], atLeast: 1 }, digests)
  await expect(opened).rejects.toMatchObject({ code: 'attester-unreachable' })
  const dstack = { kind: 'dstack', socketPath, timeoutMs } as const
  const attester = await openAttester({ kind: 'several', sources: [helper, dstack] }, digests)
  await expect(attester.attest(randomBytes(64), nowMs)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
})
