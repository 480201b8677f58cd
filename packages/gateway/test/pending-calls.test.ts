import { expect, test, vi } from 'vitest'
import { createPendingCalls, type PendingCall } from '../src/call/pending-calls.ts'

const minuteMs = 60_000

const call = (idHex: string): PendingCall => ({ idHex, stop: () => undefined })

test('wakes everybody who waits for a call when it ends, and nobody else', async () => {
  const pending = createPendingCalls()
  const a = pending.begin(call('a'))
  const b = pending.begin(call('b'))
  const woken: string[] = []
  const wait = async (id: string, name: string): Promise<void> => {
    await pending.wait(id, minuteMs)
    woken.push(name)
  }
  const waits = [wait('a', 'a1'), wait('a', 'a2')]
  const other = wait('b', 'b1')
  pending.end(a)
  await Promise.all(waits)
  expect(woken).toEqual(['a1', 'a2'])
  expect(pending.size).toBe(1)
  pending.end(b)
  await other
  expect(woken).toEqual(['a1', 'a2', 'b1'])
  expect(pending.size).toBe(0)
})

test('does not wait for a call that is not under way, nor for no time', async () => {
  const pending = createPendingCalls()
  await pending.wait('a', minuteMs)
  const a = pending.begin(call('a'))
  await pending.wait('a', 0)
  pending.end(a)
  await pending.wait('a', minuteMs)
  expect(pending.size).toBe(0)
})

test('knows when the calls of a moment have ended, whatever began since', async () => {
  const pending = createPendingCalls()
  await pending.presentEnded()
  const [a, b] = [pending.begin(call('a')), pending.begin(call('b'))]
  let hasEnded = false
  const wait = async (): Promise<void> => {
    await pending.presentEnded()
    hasEnded = true
  }
  const ended = wait()
  pending.begin(call('c'))
  pending.end(a)
  await pending.wait('a', minuteMs)
  expect(hasEnded).toBe(false)
  pending.end(b)
  await ended
  expect(pending.size).toBe(1)
})

test('stops waiting in time while the call goes on', async () => {
  vi.useFakeTimers()
  try {
    const pending = createPendingCalls()
    pending.begin(call('a'))
    const waits = Promise.all([pending.wait('a', 1000), pending.wait('a', 2000)])
    await vi.advanceTimersByTimeAsync(2000)
    await waits
    expect(vi.getTimerCount()).toBe(0)
    expect(pending.size).toBe(1)
  } finally {
    vi.useRealTimers()
  }
})

test('leaves no timer behind when the call ends first', async () => {
  vi.useFakeTimers()
  try {
    const pending = createPendingCalls()
    const a = pending.begin(call('a'))
    const wait = pending.wait('a', minuteMs)
    pending.end(a)
    await wait
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('is drained at once when empty, and else when the last call ends', async () => {
  const pending = createPendingCalls()
  await pending.drained()
  const a = pending.begin(call('a'))
  const b = pending.begin(call('b'))
  let isDrained = false
  const drained = pending.drained().then(() => {
    isDrained = true
    return isDrained
  })
  pending.end(a)
  await Promise.resolve()
  expect(isDrained).toBe(false)
  pending.end(b)
  expect(await drained).toBe(true)
})

test('stops each call that is under way, and no other', () => {
  const pending = createPendingCalls()
  const stopped: string[] = []
  const entries = ['a', 'b', 'c', 'd'].map((idHex) =>
    pending.begin({
      idHex,
      stop: () => {
        stopped.push(idHex)
      },
    }),
  )
  const [a, , c] = entries
  if (a === undefined || c === undefined) throw new Error('four calls have begun')
  pending.end(a)
  pending.end(c)
  pending.stopAll()
  expect(stopped.toSorted()).toEqual(['b', 'd'])
})

test('a stopped call may end at once', () => {
  const pending = createPendingCalls()
  const begun = ['a', 'b', 'c'].map((idHex) => {
    const entry = pending.begin({
      idHex,
      stop: () => {
        pending.end(entry)
      },
    })
    return entry
  })
  pending.stopAll()
  expect(pending.size).toBe(0)
  expect(begun).toHaveLength(3)
})
