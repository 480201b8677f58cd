/** Enrolment, measurement and quotes of a gateway. Software TPM, test CA: no hardware stands behind it. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { appraiseTpm } from '@countersign/protocol/attestation/tpm/appraise-tpm'
import { listGatewayEvents, replayEvents } from '@countersign/protocol/attestation/tpm/measured-log'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { createAttester } from '../src/enclave/attester.ts'
import { enrolTpm } from '../src/enclave/tpm/enrol.ts'
import { measureGateway } from '../src/enclave/tpm/measure-gateway.ts'
import { readOrEnrol } from '../src/enclave/tpm/read-or-enrol.ts'
import { createTpmAttester, type TpmAttesterOptions } from '../src/enclave/tpm/tpm-attester.ts'
import { extendPcr, readPcrs } from '../src/enclave/tpm/tpm-client.ts'
import { withTpm } from '../src/enclave/tpm/tpm-session.ts'
import type { TpmAddress } from '../src/enclave/tpm/tpm-transport.ts'
import { startSwtpm, swtpmMissing, type RunningSwtpm } from './support/start-swtpm.ts'
import { createTestChallenger, type TestChallenger } from './support/test-challenger.ts'

type Enrolled = {
  readonly swtpm: RunningSwtpm
  readonly address: TpmAddress
  readonly challenger: TestChallenger
  readonly enrolment: Uint8Array
  readonly folder: string
}

const timeoutMs = 60_000
const events = listGatewayEvents(randomBytes(32), randomBytes(32))
let enrolled: Enrolled | undefined

beforeAll(async () => {
  if (swtpmMissing !== undefined) return
  const swtpm = await startSwtpm()
  const address: TpmAddress = { kind: 'unix', path: swtpm.socketPath }
  const challenger = createTestChallenger(swtpm)
  const enrolment = await enrolTpm(address, timeoutMs, challenger)
  const folder = mkdtempSync(join(tmpdir(), 'countersign-enrolment-'))
  enrolled = { swtpm, address, challenger, enrolment, folder }
})
afterAll(async () => {
  await enrolled?.swtpm.stop()
  if (enrolled !== undefined) rmSync(enrolled.folder, { recursive: true })
})

function optionsOf({ address, enrolment }: Enrolled): TpmAttesterOptions {
  const endorsement = { kind: 'enrolment', record: enrolment } as const
  return { address, timeoutMs, pcrs: [0, 7, 14], applicationPcr: 14, events, endorsement }
}

async function readPcr({ address }: Enrolled, pcr: number): Promise<string> {
  const [value] = await withTpm(address, timeoutMs, (tpm) => readPcrs(tpm, [pcr]))
  return toHex(value ?? Buffer.alloc(0))
}

test('a quote of a measured gateway is taken by the verifier, and bound to its report data', async ({
  skip,
}) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const source = await createTpmAttester(optionsOf(enrolled))
  const reportData = createReportData(randomBytes(32), randomBytes(32))
  const evidence = await source.attest(reportData)
  const roots = new Set([enrolled.swtpm.rootDigest, enrolled.challenger.pin])
  const { checks, claims } = await appraiseTpm(evidence, { asOfMs: Date.now(), roots })
  expect(checks.filter(({ status }) => status === 'passed').map(({ id }) => id)).toEqual([
    'format',
    'root',
    'chain',
    'validity',
    'signature',
    'configuration',
  ])
  expect(checks.some(({ status }) => status === 'failed')).toBe(false)
  expect(claims?.binding).toEqual({ form: 'sha256', values: [sha256(reportData)] })
  for (const { name, digest } of events) expect(claims?.measurements.get(name)).toBe(toHex(digest))
})

test('a second start measures nothing more, and a start that was cut off is completed', async ({
  skip,
}) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const { address } = enrolled
  const log = { pcr: 13, events }
  for (const count of [1, 2, 2]) {
    await withTpm(address, timeoutMs, (tpm) =>
      measureGateway(tpm, { ...log, events: events.slice(0, count) }),
    )
    expect(await readPcr(enrolled, 13)).toBe(toHex(replayEvents(events.slice(0, count))))
  }
})

test('another build, another configuration or a stranger in the PCR is a conflict', async ({
  skip,
}) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const { address } = enrolled
  await createTpmAttester(optionsOf(enrolled))
  const before = await readPcr(enrolled, 14)
  const other = {
    ...optionsOf(enrolled),
    events: listGatewayEvents(randomBytes(32), randomBytes(32)),
  }
  await expect(createTpmAttester(other)).rejects.toMatchObject({
    code: 'measurement-conflict',
    family: 'code',
  })
  expect(await readPcr(enrolled, 14)).toBe(before)
  await withTpm(address, timeoutMs, (tpm) => extendPcr(tpm, 12, randomBytes(32)))
  await expect(
    createTpmAttester({ ...optionsOf(enrolled), applicationPcr: 12 }),
  ).rejects.toMatchObject({ code: 'measurement-conflict' })
})

test('a record for another TPM, or one that is none, is refused before anything is measured', async ({
  skip,
}) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const other = await startSwtpm()
  try {
    const address: TpmAddress = { kind: 'unix', path: other.socketPath }
    const options = { ...optionsOf(enrolled), address, applicationPcr: 11 }
    await expect(createTpmAttester(options)).rejects.toMatchObject({ code: 'enrolment-mismatch' })
    expect(await readPcr({ ...enrolled, address }, 11)).toBe('00'.repeat(32))
    await expect(
      createTpmAttester({ ...options, endorsement: { kind: 'enrolment', record: Buffer.of(1) } }),
    ).rejects.toMatchObject({
      code: 'attester-malformed',
    })
    // Both authorities have one name; the challenger knows the other one's key.
    await expect(enrolTpm(address, timeoutMs, enrolled.challenger)).rejects.toMatchObject({
      code: 'chain-signature-invalid',
    })
  } finally {
    await other.stop()
  }
})

test('a credential for another key is refused by the TPM, and one that is none by us', async ({
  skip,
}) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const { address, challenger } = enrolled
  const first = await captureCredential(enrolled)
  const stale = {
    ...challenger,
    challenge: async () => ({ id: '', credential: turnLastBit(first) }),
  }
  await expect(enrolTpm(address, timeoutMs, stale)).rejects.toMatchObject({
    code: 'attester-refused',
    command: 'ActivateCredential',
  })
  const broken = { ...challenger, challenge: async () => ({ id: '', credential: Buffer.of(0) }) }
  await expect(enrolTpm(address, timeoutMs, broken)).rejects.toMatchObject({
    code: 'attester-malformed',
  })
})

function turnLastBit(bytes: Uint8Array): Uint8Array {
  const last = bytes.length - 1
  return bytes.with(last, (bytes[last] ?? 0) ^ 1)
}

async function captureCredential({ address, challenger }: Enrolled): Promise<Uint8Array> {
  let seen = new Uint8Array(0)
  await enrolTpm(address, timeoutMs, {
    ...challenger,
    challenge: async (request) => {
      const challenge = await challenger.challenge(request)
      seen = Uint8Array.from(challenge.credential)
      return challenge
    },
  })
  return seen
}

test('the record is made once and kept, and without a challenger it has to be there', async ({
  skip,
}) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const { address, challenger, folder } = enrolled
  const file = join(folder, 'enrolment.cbor')
  await expect(readOrEnrol(file, address, timeoutMs, undefined)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  const record = await readOrEnrol(file, address, timeoutMs, challenger)
  expect(readFileSync(file).equals(record)).toBe(true)
  expect(existsSync(`${file}.new`)).toBe(false)
  writeFileSync(file, 'kept')
  expect(Buffer.from(await readOrEnrol(file, address, timeoutMs, challenger)).toString()).toBe(
    'kept',
  )
  await expect(readOrEnrol(folder, address, timeoutMs, challenger)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
})

test('a log of the firmware travels with the quote, and one that cannot be read stops the start', async ({
  skip,
}) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const bootLogFile = join(enrolled.folder, 'bios')
  await expect(createTpmAttester({ ...optionsOf(enrolled), bootLogFile })).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  writeFileSync(bootLogFile, 'log')
  const source = await createTpmAttester({ ...optionsOf(enrolled), bootLogFile })
  const { collateral } = await source.attest(randomBytes(64))
  expect(Buffer.from(collateral.get('tpm-boot-log') ?? []).toString()).toBe('log')
})

test('callers take turns, and one too many is sent away', async ({ skip }) => {
  if (enrolled === undefined) return skip(swtpmMissing)
  const attester = createAttester(await createTpmAttester(optionsOf(enrolled)))
  const results = await Promise.allSettled(
    Array.from({ length: 17 }, () => attester.attest(randomBytes(64), Date.now())),
  )
  const failed = results.filter((result) => result.status === 'rejected')
  expect(failed).toMatchObject([{ reason: { code: 'attester-busy' } }])
  expect(await attester.attest(randomBytes(64), Date.now())).toBeInstanceOf(Uint8Array)
})
