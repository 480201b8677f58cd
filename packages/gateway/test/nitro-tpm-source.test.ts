/** Documents of NitroTPM from an emulator of its TPM under a test root: no production pin takes these. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { appraiseNitroTpm } from '@countersign/protocol/attestation/nitro/appraise-nitro'
import { parsePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  forgeEnclave,
  forgeTpm,
  nitroTestRoot,
  nitroTimeMs,
} from '../../../test/vectors/attestation/forge-nitro.ts'
import { createNitroTpmSource } from '../src/enclave/nitro-tpm-source.ts'
import { openAttester } from '../src/enclave/open-attester.ts'
import {
  documentFor,
  emulateNitroTpm,
  honestAnswer,
  wrap,
  wrapIndefinite,
  type NitroTpmEmulator,
} from './support/emulate-nitro-tpm.ts'
import { expectTaken } from './support/expect-taken.ts'

const nvIndex = 0x01800c51
const timeoutMs = 60_000
const [define, undefine, write, read, nsm] = [0x12a, 0x122, 0x137, 0x14e, 0x20000001]
let folder: string
let socketPath: string
let emulator: NitroTpmEmulator

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-nitro-tpm-'))
  socketPath = join(folder, 'tpm.sock')
  emulator = await emulateNitroTpm(socketPath)
})
afterEach(async () => {
  await emulator.stop()
  rmSync(folder, { recursive: true, force: true })
})

function open(): ReturnType<typeof createNitroTpmSource> {
  return createNitroTpmSource({ address: { kind: 'unix', path: socketPath }, nvIndex, timeoutMs })
}

test('gives a document for the report data, and leaves nothing in the TPM', async () => {
  const reportData = randomBytes(64)
  const attester = await openAttester(
    { kind: 'nitro-tpm', tpm: { kind: 'unix', path: socketPath }, nvIndex, timeoutMs },
    { build: sha256(Buffer.from('build')), configuration: sha256(Buffer.from('config')) },
  )
  expect(attester.kind).toBe('aws-nitrotpm')
  const evidence = parsePlatformEvidence(await attester.attest(reportData, nitroTimeMs))
  await expectTaken(appraiseNitroTpm, evidence, nitroTimeMs, nitroTestRoot, reportData)
  expect(emulator.indexes.size).toBe(0)
  const [startup, ...rest] = emulator.commands
  expect(startup).toBe(0x144)
  expect(rest).toEqual([define, write, nsm, ...Array<number>(16).fill(read ?? 0), undefine])
})

test('answers that have other forms of the same wrapping are read', async () => {
  const reportData = randomBytes(64)
  emulator.answer = (request) => wrapIndefinite(documentFor(request))
  const evidence = await open().attest(reportData)
  expect(evidence.raw[0]).toBe(0x84)
  await expectTaken(appraiseNitroTpm, evidence, nitroTimeMs, nitroTestRoot, reportData)
})

test('several callers at once get their own documents', async () => {
  const source = open()
  const asked = Array.from({ length: 4 }, () => randomBytes(64))
  const given = await Promise.all(asked.map((reportData) => source.attest(reportData)))
  expect(given).toHaveLength(asked.length)
  for (const [at, evidence] of given.entries()) {
    const reportData = asked[at] ?? Buffer.alloc(0)
    await expectTaken(appraiseNitroTpm, evidence, nitroTimeMs, nitroTestRoot, reportData)
  }
})

test('what a killed process left at the index is removed', async () => {
  const source = open()
  emulator.refuseNext(write ?? 0, 0x922)
  emulator.refuseNext(undefine ?? 0, 0x101)
  emulator.answer = () => Uint8Array.of(0)
  await expect(source.attest(randomBytes(64))).rejects.toMatchObject({ code: 'attester-refused' })
  expect(emulator.indexes.size).toBe(1)
  emulator.answer = honestAnswer
  const reportData = randomBytes(64)
  const evidence = await source.attest(reportData)
  await expectTaken(appraiseNitroTpm, evidence, nitroTimeMs, nitroTestRoot, reportData)
  expect(emulator.indexes.size).toBe(0)
})

test('refusals of the TPM and of the security module are told, and the index is removed', async () => {
  const source = open()
  for (const command of [define, write, nsm, read]) {
    emulator.refuseNext(command ?? 0, 0x101)
    await expect(source.attest(randomBytes(64)), String(command)).rejects.toMatchObject({
      code: 'attester-refused',
    })
    expect(emulator.indexes.size).toBe(0)
  }
  emulator.answer = () =>
    Buffer.from([0xa1, 0x65, ...Buffer.from('Error'), 0x6c, ...Buffer.from('InputTooLarg')])
  await expect(source.attest(randomBytes(64))).rejects.toThrow(/NSM: InputTooLarg/)
})

test('documents for others, of others, and answers that are none are refused', async () => {
  const source = open()
  const answers: readonly (readonly [string, Uint8Array])[] = [
    ['another machine’s document', wrap(forgeTpm())],
    [
      'no user data',
      wrap(forgeTpm({ members: (all) => all.filter(([key]) => key !== 'user_data') })),
    ],
    ['a document of an enclave', wrap(forgeEnclave())],
    ['no document', wrap(Buffer.from('nothing'))],
    ['an array', Uint8Array.of(0x80)],
    ['another member', Buffer.from([0xa1, 0x61, 0x41])],
    [
      'another member inside',
      Buffer.from([0xa1, 0x6b, ...Buffer.from('Attestation'), 0xa1, 0x61, 0x41]),
    ],
    [
      'a text as document',
      Buffer.from([
        0xa1,
        0x6b,
        ...Buffer.from('Attestation'),
        0xa1,
        0x68,
        ...Buffer.from('document'),
        0x61,
        0x41,
      ]),
    ],
    ['a length of eight bytes', Buffer.from([0xa1, 0x7b])],
    ['a length beyond the buffer', Buffer.from([0xa1, 0x79, 0xff, 0xff])],
    ['an error without a name', Buffer.from([0xa1, 0x65, ...Buffer.from('Error'), 0x60])],
  ]
  for (const [name, answer] of answers) {
    emulator.answer = () => answer
    await expect(source.attest(randomBytes(64)), name).rejects.toMatchObject({
      code: 'attester-malformed',
    })
    expect(emulator.indexes.size).toBe(0)
  }
})
