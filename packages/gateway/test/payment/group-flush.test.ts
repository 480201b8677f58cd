import { expect, test } from 'vitest'
import { createGroupFlush } from '../../src/payment/group-flush.ts'

/** A flush that counts the calls in each write. */
function createCounting(): {
  groups: number[]
  ask: () => Promise<void>
  now: () => Promise<void>
} {
  const groups: number[] = []
  let asked = 0
  const flush = createGroupFlush(() => {
    groups.push(asked)
    asked = 0
  })
  return {
    groups,
    ask: () => {
      asked++
      return flush.next()
    },
    now: () => flush.now(),
  }
}

test('calls that go on together are written together, also after some awaits', async () => {
  const { groups, ask } = createCounting()
  const call = async (): Promise<void> => {
    await Promise.resolve()
    await Promise.resolve()
    await ask()
  }
  await Promise.all(Array.from({ length: 20 }, call))
  expect(groups).toEqual([20])
  await ask()
  expect(groups).toEqual([20, 1])
})

test('a write takes what was asked for before it, and nobody goes on before it is made', async () => {
  const { groups, ask, now } = createCounting()
  const seen: string[] = []
  const first = ask().then(() => seen.push(`first after ${groups.length}`))
  await now()
  await first
  expect(seen).toEqual(['first after 1'])
  expect(groups).toEqual([1])
  await now()
  expect(groups).toEqual([1, 0])
})

test('an error of a write reaches the calls of its group, and no others', async () => {
  let fails = true
  const flush = createGroupFlush(() => {
    if (fails) throw new Error('no room')
  })
  const group = await Promise.allSettled([flush.next(), flush.next()])
  expect(group.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  fails = false
  await expect(flush.next()).resolves.toBeUndefined()
  fails = true
  await expect(flush.now()).rejects.toThrow('no room')
})
