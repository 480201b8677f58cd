import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { encodeRequestHead } from '@countersign/protocol/sealed/request-head'
import { createHpkeKey } from '../src/keys/hpke-key.ts'
import { createSealedKeys, sealedWindowMs } from '../src/keys/sealed-keys.ts'

const startMs = 1_795_000_000_000

test('calls may be sealed to the key of this epoch and of the one before', () => {
  const keys = createSealedKeys()
  const made = [createHpkeKey(), createHpkeKey(), createHpkeKey()]
  const known = (): readonly boolean[] =>
    made.map((key) => keys.find(encodeRequestHead(key.publicKey)).includes(key))
  expect(known()).toEqual([false, false, false])
  const after: (readonly boolean[])[] = []
  for (const key of made) {
    keys.replace(key)
    after.push(known())
  }
  expect(after).toEqual([
    [true, false, false],
    [true, true, false],
    [false, true, true],
  ])
})

test('a secret is new once, as long as a call with its date could be made', () => {
  const keys = createSealedKeys()
  const secret = randomBytes(32)
  expect(keys.take(secret, startMs)).toBe('new')
  expect(keys.take(secret, startMs + 1)).toBe('seen')
  expect(keys.take(randomBytes(32), startMs + 1)).toBe('new')
  expect(keys.take(secret, startMs + 2 * sealedWindowMs)).toBe('seen')
  // By now its date is too old, whatever the clock of its caller was.
  expect(keys.take(secret, startMs + 2 * sealedWindowMs + 1)).toBe('new')
})

test('what could not be remembered is not taken', () => {
  const keys = createSealedKeys()
  const secret = new Uint8Array(32)
  const view = new DataView(secret.buffer)
  const outcomes = new Map<string, number>()
  for (let count = 0; count < 200_002; count++) {
    view.setUint32(0, count)
    const outcome = keys.take(secret, startMs)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  expect(outcomes).toEqual(
    new Map([
      ['new', 200_000],
      ['no-room', 2],
    ]),
  )
  expect(keys.take(secret, startMs + 2 * sealedWindowMs + 1)).toBe('new')
})
