import { expect, test } from 'vitest'
import { epochLifetimeMs, renewAfterMs } from '../src/keys/epochs.ts'
import { importHpkeKey } from '../src/keys/hpke-key.ts'
import { importTlsKey } from '../src/keys/tls-key.ts'
import {
  createKeysetTurns,
  type KeysetTurnOptions,
  type KeysetTurns,
} from '../src/workers/keyset-turns.ts'
import type { TurnAnswer } from '../src/workers/questions.ts'

type Turn = Omit<TurnAnswer, 'settlement'>

const startMs = 1_800_000_000_000

type Setup = {
  readonly turns: KeysetTurns<string>
  /** What happened, in its order. */
  readonly log: string[]
  readonly take: (worker: string, afterMs: number) => Promise<Turn>
}

function setUp(more: Partial<KeysetTurnOptions<string>> = {}): Setup {
  const log: string[] = []
  let keysets = 0
  const turns = createKeysetTurns<string>({
    tlsNames: ['127.0.0.1'],
    sealed: true,
    lastKeysetDigest: () => Uint8Array.of(keysets++),
    spread: (_, except) => {
      log.push(`spread, not to ${except}`)
      return Promise.resolve()
    },
    onRenewed: (by) => {
      log.push(`renewed by ${by}`)
    },
    ...more,
  })
  const take = async (worker: string, afterMs: number): Promise<Turn> => {
    const turn = await turns.take(worker, startMs + afterMs, startMs + afterMs + epochLifetimeMs)
    log.push(`turn of ${worker}`)
    return turn
  }
  return { turns, log, take }
}

test('one turn at a time, each after the keyset of the one before; all have the same keys', async () => {
  const { turns, log, take } = setUp()
  const asked = [take('a', 0), take('b', 1), take('c', 2)]
  const first = await asked[0]
  expect(log).toEqual(['spread, not to a', 'turn of a'])
  // Only who has the turn ends it.
  turns.end('b')
  turns.end('a')
  const second = await asked[1]
  expect(log.at(-1)).toBe('turn of b')
  turns.end('b')
  const third = await asked[2]
  const found = [first, second, third]
  expect(found.map((turn) => turn?.previousKeysetDigest)).toEqual([
    Uint8Array.of(0),
    Uint8Array.of(1),
    Uint8Array.of(2),
  ])
  for (const turn of found) {
    expect(turn?.hpke).toEqual(first?.hpke)
    expect(turn?.tls).toEqual(first?.tls)
  }
  expect(log).toHaveLength(4)
  // What travels is enough to have the keys.
  if (first?.tls === undefined || first.hpke === undefined) throw new Error('no keys')
  expect(importTlsKey(first.tls).certificatePem).toBe(first.tls.certificatePem)
  expect(importHpkeKey(first.hpke).privateKey).toEqual(Uint8Array.from(first.hpke))
})

test('renews the keys after half a life, gives them to all before one announces them, and says so to the others', async () => {
  const { turns, log, take } = setUp()
  const first = await take('a', 0)
  turns.end('a')
  const early = await take('b', renewAfterMs - 1)
  turns.end('b')
  expect(early.hpke).toEqual(first.hpke)
  const renewed = await take('a', renewAfterMs)
  expect(renewed.hpke).not.toEqual(first.hpke)
  expect(renewed.tls).not.toEqual(first.tls)
  expect(log.slice(-2)).toEqual(['spread, not to a', 'turn of a'])
  turns.end('a')
  expect(log.at(-1)).toBe('renewed by a')
  const other = await take('b', renewAfterMs + 1)
  expect(other.hpke).toEqual(renewed.hpke)
  expect(turns.heldHpke()).toEqual([first.hpke, renewed.hpke])
  turns.end('b')
  await take('a', 2 * renewAfterMs)
  expect(turns.heldHpke()).toHaveLength(2)
})

test('a worker that dies in its turn, or while it waits, holds nobody up', async () => {
  const { turns, log, take } = setUp()
  await take('a', 0)
  const waiting = take('b', 1)
  const last = take('c', 2)
  turns.remove('b')
  turns.remove('a')
  await expect(waiting).rejects.toThrow('the worker is gone')
  await last
  expect(log.at(-1)).toBe('turn of c')
})

test('a turn that cannot be given is over: the next worker has its own', async () => {
  const faults = [new Error('the disk is busy')]
  const { log, take } = setUp({
    lastKeysetDigest: () => {
      const fault = faults.pop()
      if (fault !== undefined) throw fault
      return undefined
    },
  })
  const first = take('a', 0)
  const second = take('b', 1)
  await expect(first).rejects.toThrow('the disk is busy')
  await second
  expect(log.at(-1)).toBe('turn of b')
})

test('keys that are spread for a worker that dies are announced by nobody before all hold them', async () => {
  const spreading = Promise.withResolvers<void>()
  const { turns, log, take } = setUp({ spread: () => spreading.promise })
  const first = take('a', 0)
  const second = take('b', 1)
  await Promise.resolve()
  await Promise.resolve()
  turns.remove('a')
  const early = await Promise.race([
    second,
    new Promise((resolve) => setImmediate(resolve, 'none')),
  ])
  expect(early).toBe('none')
  spreading.resolve()
  await Promise.all([first, second])
  expect(log.at(-1)).toBe('turn of b')
})
