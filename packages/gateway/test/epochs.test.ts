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
import { AttestationError } from '../src/enclave/attestation-error.ts'
import type { Attester } from '../src/enclave/attester.ts'
import { createSimulatedAttester } from '../src/enclave/simulated-attester.ts'

const startMs = 1_795_000_000_000
const buildDigest = sha256(Buffer.from('build'))
const terms = {
  issuer: 'https://gateway.example',
  configDigest: sha256(Buffer.from('config')),
  buildDigest,
  payees: [],
  upstreams: ['api.example'],
}

type Opened = {
  readonly epochs: Epochs
  readonly opened: readonly Epoch[]
  readonly errors: readonly unknown[]
  /** Resolves at the next epoch, or the next failure to open one. */
  readonly next: () => Promise<void>
}

async function open(
  previousKeysetDigest?: Uint8Array,
  attester: Attester = createSimulatedAttester(buildDigest),
): Promise<Opened> {
  const opened: Epoch[] = []
  const errors: unknown[] = []
  let waiting = Promise.withResolvers<void>()
  const happened = (): void => {
    waiting.resolve()
    waiting = Promise.withResolvers()
  }
  const epochs = await createEpochs(terms, attester, {
    nowMs: startMs,
    random: randomBytes,
    previousKeysetDigest,
    onEpoch: (epoch) => {
      opened.push(epoch)
    },
    onShow: happened,
    onError: (error) => {
      errors.push(error)
      happened()
    },
  })
  return { epochs, opened, errors, next: () => waiting.promise }
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

test('begins a keyset that lives for a day and knows the one before it', async () => {
  const before = sha256(Buffer.from('before'))
  for (const previous of [undefined, before]) {
    const { epochs, opened } = await open(previous)
    expect(opened).toHaveLength(1)
    const keyset = keysetOf(await epochs.current(startMs))
    expect(keyset).toMatchObject({
      issuer: terms.issuer,
      notBeforeMs: startMs,
      notAfterMs: startMs + epochLifetimeMs,
    })
    expect(hexOf(keyset.previousKeysetDigest)).toBe(hexOf(previous))
  }
})

test('opens a new keyset at half of its life, chained to the last one, and nobody waits for it', async () => {
  const { epochs, opened, next } = await open()
  const half = startMs + epochLifetimeMs / 2
  const first = await epochs.current(half - 1)
  expect((await epochs.sign(inputAt(half - 1))).epoch.keysetDigest).toBe(first.keysetDigest)
  const renewed = next()
  expect((await epochs.sign(inputAt(half))).epoch.keysetDigest).toBe(first.keysetDigest)
  await renewed
  const { epoch } = await epochs.sign(inputAt(half))
  expect(opened).toHaveLength(2)
  expect(epoch.keysetDigest).not.toEqual(first.keysetDigest)
  expect(hexOf(keysetOf(epoch).previousKeysetDigest)).toBe(hexOf(first.keysetDigest))
  expect(toHex(keysetOf(epoch).receiptKey)).not.toBe(toHex(keysetOf(first).receiptKey))
  const later = await epochs.current(half + 10 * epochLifetimeMs)
  expect(opened).toHaveLength(3)
  expect(hexOf(keysetOf(later).previousKeysetDigest)).toBe(hexOf(epoch.keysetDigest))
})

test('many calls at the moment of renewal open one keyset', async () => {
  const { epochs, opened } = await open()
  const afterMs = startMs + 2 * epochLifetimeMs
  const signed = await Promise.all(
    Array.from({ length: 50 }, async () => epochs.sign(inputAt(afterMs))),
  )
  expect(opened).toHaveLength(2)
  const sequences = signed.map(({ statement }) => parseStatement(statement).payload.sequence)
  expect(sequences.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n + 1))
})

test('without evidence the keyset signs on to its end, is asked for again each minute, and then nothing is ready', async () => {
  const simulated = createSimulatedAttester(buildDigest)
  let isBroken = false
  let asked = 0
  const attester: Attester = {
    kind: 'simulated',
    attest: async (reportData, nowMs) => {
      asked += 1
      if (isBroken) throw new AttestationError('attester-unreachable', 'test')
      return simulated.attest(reportData, nowMs)
    },
  }
  const { epochs, opened, errors, next } = await open(undefined, attester)
  const half = startMs + epochLifetimeMs / 2
  isBroken = true
  for (const [minute, offsetMs] of [0, 59_999, 60_000, 61_000, 120_000].entries()) {
    const isAsked = offsetMs % 60_000 === 0
    const failed = isAsked ? next() : undefined
    const { epoch } = await epochs.sign(inputAt(half + offsetMs))
    expect(epoch.keysetDigest, `call ${minute}`).toBe(opened[0]?.keysetDigest)
    await failed
  }
  expect(asked).toBe(4)
  expect(errors).toHaveLength(3)
  const endMs = startMs + epochLifetimeMs
  await epochs.ready(endMs - 1000, 1000)
  await expect(epochs.ready(endMs - 1000, 1001)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  await expect(epochs.sign(inputAt(endMs + 1))).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  isBroken = false
  await epochs.ready(endMs + 1, Number.MAX_SAFE_INTEGER)
  expect(opened).toHaveLength(2)
})

test('numbers and chains the statements of each keyset from its own statement on', async () => {
  const { epochs } = await open()
  for (const beginMs of [startMs, startMs + 2 * epochLifetimeMs]) {
    const { payload } = parseStatement((await epochs.current(beginMs)).keysetStatement)
    let previous = toHex(sha256(encodePayload(payload)))
    for (let sequence = 1; sequence <= 5; sequence++) {
      const { statement } = await epochs.sign(inputAt(beginMs + sequence))
      const signed = parseStatement(statement).payload
      expect(signed).toMatchObject({ sequence })
      expect(toHex(signed.previous)).toBe(previous)
      previous = toHex(sha256(encodePayload(signed)))
    }
  }
})

test('signs only inside the time of a keyset, also when the clock is set back', async () => {
  const { epochs, opened } = await open()
  const timesMs = [0, 1, -1, -5_000, -4_000, 10_000, epochLifetimeMs, 0, -epochLifetimeMs]
  for (const [index, offsetMs] of timesMs.entries()) {
    const timeMs = startMs + offsetMs
    const { statement, epoch } = await epochs.sign(inputAt(timeMs))
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
  expect(opened.length).toBeGreaterThan(2)
})

test('is succeeded by epochs of another configuration, in one chain, and signs what it began', async () => {
  const { epochs, opened } = await open()
  const first = await epochs.current(startMs)
  const digest = sha256(Buffer.from('other config'))
  const change = { configDigest: digest, upstreams: ['other.example'] }
  const next = await epochs.succeed(change, startMs + 1)
  const second = await next.current(startMs + 1)
  expect(opened.map(({ keysetDigest }) => toHex(keysetDigest))).toEqual([
    toHex(first.keysetDigest),
    toHex(second.keysetDigest),
  ])
  expect(hexOf(keysetOf(second).previousKeysetDigest)).toBe(toHex(first.keysetDigest))
  expect(toHex(keysetOf(second).configDigest)).toBe(toHex(digest))
  expect(keysetOf(second).upstreams).toEqual(['other.example'])
  expect((await epochs.sign(inputAt(startMs + 2))).epoch.keysetDigest).toBe(first.keysetDigest)
  expect((await next.sign(inputAt(startMs + 2))).epoch.keysetDigest).toBe(second.keysetDigest)
  // Two chains from one keyset would be a fork: what was succeeded renews itself no more.
  const half = startMs + epochLifetimeMs / 2
  expect((await epochs.sign(inputAt(half))).epoch.keysetDigest).toBe(first.keysetDigest)
  await expect(epochs.sign(inputAt(startMs + epochLifetimeMs + 1))).rejects.toMatchObject({
    code: 'attester-busy',
  })
  expect(opened).toHaveLength(2)
  const third = await next.current(startMs + 2 * epochLifetimeMs)
  expect(hexOf(keysetOf(third).previousKeysetDigest)).toBe(toHex(second.keysetDigest))
  expect(toHex(keysetOf(third).configDigest)).toBe(toHex(digest))
})

test('succeeds after a renewal that is under way, and not without evidence', async () => {
  const simulated = createSimulatedAttester(buildDigest)
  let isBroken = false
  const attester: Attester = {
    kind: 'simulated',
    attest: async (reportData, nowMs) => {
      if (isBroken) throw new AttestationError('attester-unreachable', 'test')
      return simulated.attest(reportData, nowMs)
    },
  }
  const { epochs, opened } = await open(undefined, attester)
  const half = startMs + epochLifetimeMs / 2
  await epochs.sign(inputAt(half))
  const change = { configDigest: sha256(Buffer.from('b')), upstreams: ['b.example'] }
  const next = await epochs.succeed(change, half)
  expect(opened).toHaveLength(3)
  const chain = opened.map((epoch) => hexOf(keysetOf(epoch).previousKeysetDigest))
  expect(chain).toEqual([
    undefined,
    ...opened.slice(0, 2).map((epoch) => toHex(epoch.keysetDigest)),
  ])
  isBroken = true
  await expect(next.succeed(change, half + 1)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  isBroken = false
  const later = await next.current(half + 2 * epochLifetimeMs)
  expect(toHex(keysetOf(later).configDigest)).toBe(toHex(sha256(Buffer.from('b'))))
  expect(opened).toHaveLength(4)
})

test('goes on when its successor is forgotten, in the same chain, and can be succeeded again', async () => {
  const { epochs, opened } = await open()
  const change = { configDigest: sha256(Buffer.from('b')), upstreams: ['b.example'] }
  const late = await epochs.succeed(change, startMs + 1)
  await expect(epochs.succeed(change, startMs + 2)).rejects.toMatchObject({ code: 'attester-busy' })
  // What it would show is not what its successor shows.
  await epochs.renew(startMs + 2)
  expect(opened).toHaveLength(2)
  late.forget()
  await epochs.renew(startMs + 2)
  const current = await epochs.current(startMs + 2)
  expect(toHex(keysetOf(current).configDigest)).not.toBe(toHex(change.configDigest))
  const next = await epochs.succeed(change, startMs + 3)
  next.show()
  await next.renew(startMs + 5)
  expect(opened).toHaveLength(5)
  const chain = opened.map((epoch) => hexOf(keysetOf(epoch).previousKeysetDigest))
  expect(chain).toEqual([
    undefined,
    ...opened.slice(0, -1).map((epoch) => toHex(epoch.keysetDigest)),
  ])
})

test('a new keyset signs when its turn says that it may be shown, and that of another configuration when it is adopted', async () => {
  const stored: string[] = []
  const shown: string[] = []
  // Owned by the turns: who waits for the other processes.
  let others = Promise.withResolvers<void>()
  others.resolve()
  const said: boolean[] = []
  const epochs = await createEpochs(terms, createSimulatedAttester(buildDigest), {
    nowMs: startMs,
    random: randomBytes,
    previousKeysetDigest: undefined,
    takeTurn: () =>
      Promise.resolve({
        previousKeysetDigest: undefined,
        tls: undefined,
        hpke: undefined,
        settlement: undefined,
        done: (isStored) => {
          said.push(isStored)
          return others.promise
        },
      }),
    onEpoch: ({ keysetDigest }) => {
      stored.push(toHex(keysetDigest))
    },
    onShow: ({ keysetDigest }) => {
      shown.push(toHex(keysetDigest))
    },
    onError: (error) => {
      throw error
    },
  })
  expect([stored.length, shown.length, said]).toEqual([1, 1, [true]])
  others = Promise.withResolvers()
  const renewal = epochs.renew(startMs + 1)
  // Everything that can happen now has.
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  const [first, second] = stored
  expect([stored.length, shown]).toEqual([2, [first]])
  const during = await epochs.sign(inputAt(startMs + 2))
  expect(toHex(during.epoch.keysetDigest)).toBe(first)
  others.resolve()
  await renewal
  expect(shown).toEqual([first, second])
  expect(toHex((await epochs.sign(inputAt(startMs + 2))).epoch.keysetDigest)).toBe(second)
  const change = { configDigest: sha256(Buffer.from('b')), upstreams: ['b.example'] }
  const next = await epochs.succeed(change, startMs + 3)
  expect([stored.length, shown.length]).toEqual([3, 2])
  next.show()
  expect(shown.at(-1)).toBe(stored[2])
})

test('whoever asks for a new keyset gets one with the keys of that moment, also while another one is opened', async () => {
  const named: string[] = []
  // Owned by the test: the keys of now, and who waits for the hardware.
  let address = '0x0000000000000000000000000000000000000001'
  let hardware = Promise.resolve()
  const simulated = createSimulatedAttester(buildDigest)
  const attester: Attester = {
    kind: 'simulated',
    attest: async (reportData, nowMs) => {
      await hardware
      return simulated.attest(reportData, nowMs)
    },
  }
  const epochs = await createEpochs(terms, attester, {
    nowMs: startMs,
    random: randomBytes,
    previousKeysetDigest: undefined,
    plan: {
      tlsNames: undefined,
      sealed: false,
      settlement: {
        named: () => ({ address, others: [] }),
        confirm: () => Promise.reject(new Error('nobody asks')),
      },
    },
    onEpoch: (epoch) => {
      named.push(keysetOf(epoch).settlementAddress ?? '')
    },
    onError: (error) => {
      throw error
    },
  })
  const begun = Promise.withResolvers<void>()
  hardware = begun.promise
  const first = epochs.renew(startMs + 1)
  await new Promise(setImmediate)
  address = '0x0000000000000000000000000000000000000002'
  const second = epochs.renew(startMs + 2)
  begun.resolve()
  await Promise.all([first, second])
  expect(named.map((each) => each.slice(-1))).toEqual(['1', '1', '2'])
})
