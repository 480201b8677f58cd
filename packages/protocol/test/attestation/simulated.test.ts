import {
  appraiseSimulatedEvidence,
  createSimulatedEvidence,
} from '@countersign/protocol/attestation/simulated'
import { ProtocolError } from '@countersign/protocol/errors'
import { keyId } from '@countersign/protocol/receipt/cose'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { set, zeros } from '../../../../test/vectors/edits.ts'
import { editCbor } from '../../../../test/vectors/forge.ts'
import { seededSigner } from '../../../../test/vectors/signers.ts'
import { bytes, cborValue, runs } from '../arbitrary.ts'

const root = seededSigner('root of simulated.test')
const platform = seededSigner('platform of simulated.test')
const input = {
  root,
  platform,
  notBeforeMs: 1000,
  notAfterMs: 2000,
  reportData: zeros(64).fill(1),
  measurement: zeros(32).fill(2),
  timeMs: 1500,
}

test('what a quote says is what was put in', async () => {
  const quote = await appraiseSimulatedEvidence(createSimulatedEvidence(input))
  expect(quote).toEqual({
    rootDigest: keyId(root.publicKey),
    reportData: input.reportData,
    measurement: input.measurement,
  })
})

const judge = (timeMs: number): Promise<string> =>
  outcome(createSimulatedEvidence({ ...input, timeMs }))

test('a quote is taken in the first and last millisecond of its endorsement and not outside', async () => {
  expect(await judge(1000)).toBe('taken')
  expect(await judge(2000)).toBe('taken')
  expect(await judge(999)).toBe('evidence-expired')
  expect(await judge(2001)).toBe('evidence-expired')
})

test('a refusal of form keeps its reason', async () => {
  await expect(appraiseSimulatedEvidence(zeros(4097))).rejects.toMatchObject({
    code: 'evidence-malformed',
    cause: { code: 'cbor-too-large' },
  })
  await expect(appraiseSimulatedEvidence(zeros(4096))).rejects.toMatchObject({
    code: 'evidence-malformed',
    cause: { code: 'cbor-trailing-bytes' },
  })
})

test.each([
  ['report data', { reportData: zeros(63) }],
  ['report data', { reportData: zeros(65) }],
  ['a measurement', { measurement: zeros(31) }],
  ['a measurement', { measurement: zeros(33) }],
  ['a time', { timeMs: -1 }],
  ['a beginning', { notBeforeMs: -1 }],
  ['an end', { notAfterMs: -1 }],
])('%s of another size is malformed', async (_, changed) => {
  expect(await outcome(createSimulatedEvidence({ ...input, ...changed }))).toBe(
    'evidence-malformed',
  )
})

test('a platform key or a root key of another size is malformed', async () => {
  for (const length of [63, 65]) {
    const short = { ...platform, publicKey: zeros(length) }
    expect(await outcome(createSimulatedEvidence({ ...input, platform: short }))).toBe(
      'evidence-malformed',
    )
    const evidence = editCbor(createSimulatedEvidence(input), set(2, zeros(length)))
    expect(await outcome(evidence)).toBe('evidence-malformed')
  }
})

test('both signatures and both key ids are judged', async () => {
  const other = seededSigner('other')
  const forged = { publicKey: root.publicKey, sign: (message: Uint8Array) => other.sign(message) }
  expect(await outcome(createSimulatedEvidence({ ...input, root: forged }))).toBe(
    'evidence-chain-invalid',
  )
  const forgedPlatform = {
    publicKey: platform.publicKey,
    sign: (message: Uint8Array) => other.sign(message),
  }
  expect(await outcome(createSimulatedEvidence({ ...input, platform: forgedPlatform }))).toBe(
    'evidence-chain-invalid',
  )
  const evidence = editCbor(createSimulatedEvidence(input), set(2, other.publicKey))
  expect(await outcome(evidence)).toBe('evidence-chain-invalid')
})

test('any bytes are refused by name', async () => {
  const good = createSimulatedEvidence(input)
  const near = fc
    .tuple(fc.integer({ min: 1, max: 5 }), cborValue)
    .map(([key, value]) => editCbor(good, set(key, value)))
  await fc.assert(
    fc.asyncProperty(fc.oneof(bytes, near), async (given) => {
      const isSame = Buffer.compare(given, good) === 0
      expect(await outcome(given)).toMatch(isSame ? /^taken$/ : /^evidence-/)
    }),
    runs(10_000),
  )
})

async function outcome(evidence: Uint8Array): Promise<string> {
  try {
    await appraiseSimulatedEvidence(evidence)
    return 'taken'
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}
