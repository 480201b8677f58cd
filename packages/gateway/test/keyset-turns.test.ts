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

type Named = { readonly name: string }

type Setup = {
  readonly turns: KeysetTurns<Named>
  /** What happened, in its order. */
  readonly log: string[]
  readonly take: (worker: string, afterMs: number) => Promise<Turn>
  /** Resolves when callers may be shown the keys. */
  readonly end: (worker: string, isStored?: boolean) => Promise<void>
  readonly remove: (worker: string) => void
  readonly behind: () => readonly string[]
}

function setUp(more: Partial<KeysetTurnOptions<Named>> = {}): Setup {
  const workers = new Map(['a', 'b', 'c'].map((name) => [name, { name }]))
  const find = (name: string): Named => {
    const worker = workers.get(name)
    if (worker === undefined) throw new Error(`there is no ${name}`)
    return worker
  }
  const log: string[] = []
  let keysets = 0
  const turns = createKeysetTurns<Named>({
    tlsNames: ['127.0.0.1'],
    sealed: true,
    lastKeysetDigest: () => Uint8Array.of(keysets++),
    spread: (_, { name }) => {
      log.push(`spread, not to ${name}`)
      return Promise.resolve()
    },
    onRenewed: ({ name }) => {
      log.push(`renewed by ${name}`)
    },
    ...more,
  })
  const take = async (worker: string, afterMs: number): Promise<Turn> => {
    const turn = await turns.take(
      find(worker),
      startMs + afterMs,
      startMs + afterMs + epochLifetimeMs,
    )
    log.push(`turn of ${worker}`)
    return turn
  }
  return {
    turns,
    log,
    take,
    end: (worker, isStored = true) => turns.end(find(worker), isStored),
    remove: (worker) => {
      turns.remove(find(worker))
    },
    behind: () => turns.behind().map(({ name }) => name),
  }
}

test('one turn at a time, each after the keyset of the one before; all have the same keys', async () => {
  const { log, take, end } = setUp()
  const asked = [take('a', 0), take('b', 1), take('c', 2)]
  const first = await asked[0]
  expect(log).toEqual(['spread, not to a', 'turn of a'])
  // Only who has the turn ends it.
  await end('b')
  await end('a')
  const second = await asked[1]
  expect(log.at(-1)).toBe('turn of b')
  await end('b')
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

/** Whether this has happened when everything that could happen has. */
async function hasHappened(promise: Promise<void>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setImmediate(resolve, false))
  return await Promise.race([promise.then(() => true), later])
}

test('renews the keys after half a life, gives them to all before one announces them, and says so to the others', async () => {
  const { turns, log, take, end, behind } = setUp()
  const first = await take('a', 0)
  await end('a')
  const early = await take('b', renewAfterMs - 1)
  await end('b')
  expect(early.hpke).toEqual(first.hpke)
  const renewed = await take('a', renewAfterMs)
  expect(renewed.hpke).not.toEqual(first.hpke)
  expect(renewed.tls).not.toEqual(first.tls)
  expect(log.slice(-2)).toEqual(['spread, not to a', 'turn of a'])
  const shown = end('a')
  expect(log.at(-1)).toBe('renewed by a')
  expect(behind()).toEqual(['b'])
  const other = await take('b', renewAfterMs + 1)
  expect(other.hpke).toEqual(renewed.hpke)
  expect(turns.heldHpke()).toEqual([first.hpke, renewed.hpke])
  await end('b')
  await shown
  expect(behind()).toEqual([])
  await take('a', 2 * renewAfterMs)
  expect(turns.heldHpke()).toHaveLength(2)
})

/** Three workers with keysets, and a turn of the first with new keys that is over. */
async function renew(
  more: Partial<KeysetTurnOptions<Named>> = {},
): Promise<Setup & { readonly shown: Promise<void> }> {
  const setup = setUp(more)
  for (const worker of ['a', 'b', 'c']) {
    await setup.take(worker, 0)
    await setup.end(worker)
  }
  await setup.take('a', renewAfterMs)
  return { ...setup, shown: setup.end('a') }
}

test('renewed keys are shown by nobody before all workers have keysets with them', async () => {
  const { shown, take, end } = await renew()
  await take('b', renewAfterMs)
  const too = end('b')
  expect([await hasHappened(shown), await hasHappened(too)]).toEqual([false, false])
  await take('c', renewAfterMs)
  await end('c')
  await Promise.all([shown, too])
})

test('nobody waits for a worker that dies, that cannot follow, or that does nothing for too long', async () => {
  const { shown, take, end, remove, behind } = await renew()
  remove('b')
  expect(await hasHappened(shown)).toBe(false)
  await take('c', renewAfterMs)
  await end('c', false)
  await shown
  expect(behind()).toEqual(['c'])

  const idle = await renew({ maxWaitMs: 1 })
  await idle.shown
  expect(idle.behind()).toEqual(['b', 'c'])
  // Where TLS ends somewhere else no caller sees a key before it is told of it.
  await (
    await renew({ tlsNames: undefined })
  ).shown
})

test('a worker that dies in its turn, or while it waits, holds nobody up', async () => {
  const { log, take, remove } = setUp()
  await take('a', 0)
  const waiting = take('b', 1)
  const last = take('c', 2)
  remove('b')
  remove('a')
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
  const { log, take, remove } = setUp({ spread: () => spreading.promise })
  const first = take('a', 0)
  const second = take('b', 1)
  await Promise.resolve()
  await Promise.resolve()
  remove('a')
  const early = await Promise.race([
    second,
    new Promise((resolve) => setImmediate(resolve, 'none')),
  ])
  expect(early).toBe('none')
  spreading.resolve()
  await Promise.all([first, second])
  expect(log.at(-1)).toBe('turn of b')
})
