import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { defaultPolicy, encodeBundle, verify } from '@countersign/protocol'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { parseKeyset, type Keyset } from '@countersign/protocol/receipt/keyset'
import { encodePayload } from '@countersign/protocol/receipt/payload'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import {
  createEpochs,
  epochLifetimeMs,
  type CallPayloadInput,
  type Epoch,
  type Epochs,
} from '../src/keys/epochs.ts'
import { createSimulatedAttester } from '../src/keys/simulated-attester.ts'

const startMs = 1_795_000_000_000
const buildDigest = sha256(Buffer.from('build'))
const terms = {
  issuer: 'https://gateway.example',
  configDigest: sha256(Buffer.from('config')),
  buildDigest,
  payees: [],
}

function open(previousKeysetDigest?: Uint8Array): {
  readonly epochs: Epochs
  readonly opened: readonly Epoch[]
} {
  const opened: Epoch[] = []
  const epochs = createEpochs(terms, createSimulatedAttester(buildDigest), {
    nowMs: startMs,
    random: randomBytes,
    previousKeysetDigest,
    onEpoch: (epoch) => {
      opened.push(epoch)
    },
  })
  return { epochs, opened }
}

function inputAt(timeMs: number): CallPayloadInput {
  return {
    type: 'refusal',
    id: randomBytes(16),
    timeMs,
    charge: { scheme: 'none', amountAtomic: 0n },
    claimsRoot: new Uint8Array(32),
    claimsCount: 1,
  }
}

function keysetOf({ keysetStatement }: Epoch): Keyset {
  const { payload } = parseStatement(keysetStatement)
  if (payload.type !== 'keyset') throw new Error('no keyset')
  return parseKeyset(payload.document)
}

function hexOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : toHex(bytes)
}

test('begins a keyset that lives for a day and knows the one before it', () => {
  const before = sha256(Buffer.from('before'))
  for (const previous of [undefined, before]) {
    const { epochs, opened } = open(previous)
    expect(opened).toHaveLength(1)
    const keyset = keysetOf(epochs.current(startMs))
    expect(keyset).toMatchObject({
      issuer: terms.issuer,
      notBeforeMs: startMs,
      notAfterMs: startMs + epochLifetimeMs,
    })
    expect(hexOf(keyset.previousKeysetDigest)).toBe(hexOf(previous))
  }
})

test('opens a new keyset at half of its life, chained to the last one', () => {
  const { epochs, opened } = open()
  const half = startMs + epochLifetimeMs / 2
  const first = epochs.current(half - 1)
  expect(epochs.sign(inputAt(half - 1)).epoch.keysetDigest).toBe(first.keysetDigest)
  const { epoch } = epochs.sign(inputAt(half))
  expect(opened).toHaveLength(2)
  expect(epoch.keysetDigest).not.toEqual(first.keysetDigest)
  expect(hexOf(keysetOf(epoch).previousKeysetDigest)).toBe(hexOf(first.keysetDigest))
  expect(toHex(keysetOf(epoch).receiptKey)).not.toBe(toHex(keysetOf(first).receiptKey))
  const later = epochs.current(half + 10 * epochLifetimeMs)
  expect(opened).toHaveLength(3)
  expect(hexOf(keysetOf(later).previousKeysetDigest)).toBe(hexOf(epoch.keysetDigest))
})

test('numbers and chains the statements of each keyset from its own statement on', () => {
  const { epochs } = open()
  for (const beginMs of [startMs, startMs + epochLifetimeMs]) {
    const { payload } = parseStatement(epochs.current(beginMs).keysetStatement)
    let previous = toHex(sha256(encodePayload(payload)))
    for (let sequence = 1; sequence <= 5; sequence++) {
      const signed = parseStatement(epochs.sign(inputAt(beginMs + sequence)).statement).payload
      expect(signed).toMatchObject({ sequence })
      expect(toHex(signed.previous)).toBe(previous)
      previous = toHex(sha256(encodePayload(signed)))
    }
  }
})

test('signs only inside the time of a keyset, also when the clock is set back', async () => {
  const { epochs, opened } = open()
  const timesMs = [0, 1, -1, -5_000, -4_000, 10_000, epochLifetimeMs, 0, -epochLifetimeMs]
  for (const [index, offsetMs] of timesMs.entries()) {
    const timeMs = startMs + offsetMs
    const { statement, epoch } = epochs.sign(inputAt(timeMs))
    const bundle = encodeBundle({
      statement,
      claims: [],
      keyset: epoch.keysetStatement,
      evidence: [epoch.evidence],
      proofs: [],
    })
    const { checks } = await verify(bundle, defaultPolicy, timeMs)
    for (const id of [
      'signature',
      'keyset-validity',
      'time',
      'evidence-binding',
      'evidence-chain',
    ]) {
      expect(
        checks.find((check) => check.id === id),
        `${id} of statement ${index}`,
      ).toMatchObject({
        status: 'passed',
      })
    }
  }
  expect(opened.length).toBeGreaterThan(3)
})
