/** Which charge key signs: the rule alone, and its owner with an injected clock (PA28). */
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { getAddress, type Hex } from 'viem'
import { expect, test } from 'vitest'
import { createAnnouncer } from '../src/payment/charge-key/announcer.ts'
import {
  ChargeKeyUnannounced,
  createChargeKeys,
  type ChargeKeys,
} from '../src/payment/charge-key/charge-keys.ts'
import { chooseKey } from '../src/payment/charge-key/choose-key.ts'
import { judgeKey, type KeyRecord } from '@countersign/contracts/key-standing'
import { loadEvmCurve } from '../src/payment/evm-curve.ts'

const curve = await loadEvmCurve()
const day = 86_400
const record = (from: number, until: number, revokedAtSeconds = 0): KeyRecord => ({
  validFromSeconds: from,
  validUntilSeconds: until,
  revokedAtSeconds,
})
const at = (seconds: number, blockSeconds = seconds) => ({
  blockSeconds,
  nowMs: seconds * 1000,
  horizonMs: 100_000,
})

test.each([
  ['never registered', record(0, 0), at(1000), 'untrusted'],
  ['not begun', record(1001, 1000 + day), at(1000), 'untrusted'],
  ['begun by the clock, not by the chain', record(1000, 1000 + day), at(1000, 999), 'untrusted'],
  ['begun by the chain, not by the clock', record(1000, 1000 + day), at(999, 1000), 'untrusted'],
  ['begun', record(1000, 1000 + day), at(1000), 'good'],
  ['long enough for a call', record(0, 1101), at(1000), 'good'],
  ['not long enough', record(0, 1100), at(1000), 'trusted'],
  ['not long enough by the chain', record(0, 1101), at(999, 1001), 'trusted'],
  ['its last second', record(0, 1001), at(1000), 'trusted'],
  ['ended', record(0, 1000), at(1000), 'settling'],
  ['the last second of its grace', record(0, 1000), at(1000 + 172_799), 'settling'],
  ['beyond its grace', record(0, 1000), at(1000 + 172_800), 'untrusted'],
  ['revoked from the beginning', record(0, day, 1), at(1000), 'untrusted'],
  ['to be revoked soon', record(0, day, 1050), at(1000), 'trusted'],
  ['to be revoked later', record(0, day, 1101), at(1000), 'good'],
  ['ended, to be revoked within its grace', record(0, 1000, 1100), at(1050), 'settling'],
  ['ended, revoked within its grace', record(0, 1000, 1100), at(1100), 'untrusted'],
  ['revoked at its end: no grace', record(0, 1000, 1000), at(1000), 'untrusted'],
] as const)('a key that is %s', (_, given, moment, standing) => {
  expect(judgeKey(given, moment)).toBe(standing)
})

test('of good keys the one that ends last signs, else the one that is nearest to good', () => {
  const [a, b, c]: readonly Hex[] = ['0xa', '0xb', '0xc']
  if (a === undefined || b === undefined || c === undefined) throw new Error('no keys')
  const choose = (records: readonly (readonly [Hex, KeyRecord])[], readAtMs = 1_000_000) =>
    chooseKey(
      [a, b, c],
      { records: new Map(records), blockSeconds: 1000, readAtMs },
      { nowMs: 1_000_000, horizonMs: 100_000 },
    )
  expect(choose([])).toMatchObject({ address: a, standing: 'untrusted', isSelling: false })
  expect(
    choose([
      [a, record(0, 5000)],
      [b, record(0, 6000)],
      [c, record(1001, 9000)],
    ]),
  ).toEqual({ address: b, standing: 'good', isSelling: true, sellsUntilMs: 1_900_000 })
  expect(choose([[c, record(0, 1200)]])).toMatchObject({ address: c, sellsUntilMs: 1_100_000 })
  expect(
    choose([
      [a, record(0, 999)],
      [b, record(0, 1050)],
    ]),
  ).toMatchObject({ address: b, standing: 'trusted', isSelling: false })
  expect(choose([[b, record(0, 999)]])).toMatchObject({ address: b, standing: 'settling' })
  // What was read a quarter of an hour ago is no reason to sell.
  expect(choose([[a, record(0, 9000)]], 100_000)).toMatchObject({ isSelling: false })
})

/** The one process that shows keysets. */
const here = {}

/** A keyset is opened, and is the current one. */
function show(charge: ChargeKeys, ...places: readonly object[]): void {
  const names = charge.named()
  for (const place of places) charge.shown(place, names)
}

/** What keys are put in the place of others by: their keysets are shown in between. */
async function change(charge: ChargeKeys, ...keys: readonly Hex[]): Promise<void> {
  const { commit } = await charge.replace(keys, 40_000)
  show(charge, here)
  commit()
}

/** The address whose key signs. */
function signerOf(charge: ChargeKeys): string {
  const digest = Uint8Array.from(Buffer.alloc(32, 7))
  const signer = curve.recoverAddress(digest, charge.sign(digest))
  return getAddress(`0x${Buffer.from(signer ?? []).toString('hex')}`)
}

/** Keys over records that the test changes, at a time that it says. */
function setUp(count: number): {
  readonly keys: readonly Hex[]
  readonly names: readonly Hex[]
  readonly records: Map<Hex, KeyRecord>
  readonly charge: ChargeKeys
  readonly time: { nowMs: number; isDown: boolean }
  readonly told: () => number
} {
  const keys = Array.from({ length: count }, generatePrivateKey)
  const names = keys.map(privateKeyToAddress)
  const records = new Map<Hex, KeyRecord>()
  const time = { nowMs: 1_000_000, isDown: false }
  let told = 0
  const charge = createChargeKeys({
    keys: keys.slice(0, 1),
    curve,
    read: async (asked) => {
      if (time.isDown) throw new Error('the chain is down')
      const found = asked.map((key) => [key, records.get(key) ?? record(0, 0)] as const)
      return { records: new Map(found), blockSeconds: Math.floor(time.nowMs / 1000) }
    },
    longestCallMs: 40_000,
    clock: () => time.nowMs,
  })
  charge.shown(here, charge.named())
  charge.listen((isNews) => {
    if (isNews) told += 1
  })
  return { keys, names, records, charge, time, told: () => told }
}

function trust(records: Map<Hex, KeyRecord>, name: Hex | undefined, until: number): void {
  records.set(`0x${name?.slice(2).toLowerCase()}`, record(1, until))
}

test('nothing is sold before the registry was asked, nor after it was silent for long', async () => {
  const { names, records, charge, time, told } = setUp(1)
  expect(charge.isGood()).toBe(false)
  trust(records, names[0], 10_000)
  await charge.refresh()
  expect([charge.isGood(), told()]).toEqual([true, 1])
  time.isDown = true
  await expect(charge.refresh()).rejects.toThrow('down')
  expect(charge.isGood()).toBe(true)
  time.nowMs += 900_000
  expect([charge.isGood(), told()]).toEqual([false, 2])
  time.isDown = false
  await charge.refresh()
  expect([charge.isGood(), told()]).toEqual([true, 3])
  // A hundred seconds before its end: 40 of the longest call, 60 to settle.
  time.nowMs = 9_900_000
  expect([charge.isGood(), charge.isRetiring()]).toEqual([false, true])
})

test('a key that signs is left out only when another one is good, and a change is taken back', async () => {
  const { keys, names, records, charge } = setUp(2)
  const [first = '0x', second = '0x'] = keys
  trust(records, names[0], 10_000)
  await charge.refresh()
  await expect(charge.replace([second], 40_000)).rejects.toThrow('leave it there')
  expect(charge.named()).toEqual({ address: names[0], others: [] })
  await change(charge, first, second)
  expect(charge.named()).toEqual({ address: names[0], others: [names[1]] })
  trust(records, names[1], 20_000)
  await charge.refresh()
  expect(charge.named()).toEqual({ address: names[1], others: [names[0]] })
  const { undo } = await charge.replace([second], 40_000)
  expect(charge.named()).toEqual({ address: names[1], others: [] })
  undo()
  expect(charge.named()).toEqual({ address: names[1], others: [names[0]] })
  await change(charge, second)
  expect(charge.named()).toEqual({ address: names[1], others: [] })
  expect(charge.isGood()).toBe(true)
  await expect(charge.confirm('0x00', new Uint8Array(1))).rejects.toThrow('not held')
})

test('an answer about the keys of before takes nothing from those that replaced them', async () => {
  const [first = '0x', second = '0x']: readonly Hex[] = [generatePrivateKey(), generatePrivateKey()]
  const asked: { readonly keys: readonly Hex[]; readonly answer: () => void }[] = []
  const charge = createChargeKeys({
    keys: [first],
    curve,
    read: (keys) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      asked.push({ keys, answer: resolve })
      const records = new Map(keys.map((key) => [key, record(1, 10_000)]))
      return promise.then(() => ({ records, blockSeconds: 1000 }))
    },
    longestCallMs: 40_000,
    clock: () => 1_000_000,
  })
  show(charge, here)
  const opening = charge.refresh()
  asked[0]?.answer()
  await opening
  const replacing = charge.replace([second], 40_000)
  await new Promise(setImmediate)
  const late = charge.refresh()
  await new Promise(setImmediate)
  expect(asked.map(({ keys }) => keys.length)).toEqual([1, 2, 1])
  for (const { answer } of asked.slice(1, 2)) answer()
  const { commit } = await replacing
  asked[2]?.answer()
  await late
  show(charge, here)
  commit()
  expect(charge.named().address).toBe(privateKeyToAddress(second))
  expect(charge.isGood()).toBe(true)
})

test('a key signs when every place shows a keyset that names it, and not before', async () => {
  const { keys, names, records, charge } = setUp(2)
  const [, second = '0x'] = keys
  for (const name of names) trust(records, name, 10_000)
  await charge.refresh()
  const there = {}
  show(charge, there)
  const { commit } = await charge.replace([second], 40_000)
  // Announced beside the one that signs.
  expect(charge.named()).toEqual({ address: names[0], others: [names[1]] })
  // Whoever brings it opens the keysets.
  expect(charge.behind()).toEqual([])
  expect(signerOf(charge)).toBe(names[0])
  show(charge, here)
  commit()
  // One place shows a keyset of before.
  expect(signerOf(charge)).toBe(names[0])
  expect(charge.behind()).toEqual([there])
  show(charge, there)
  expect(signerOf(charge)).toBe(names[1])
  expect(charge.named()).toEqual({ address: names[1], others: [] })
  expect(charge.behind()).toEqual([here, there])
  show(charge, here, there)
  expect(charge.behind()).toEqual([])
})

test('a place that is gone is not waited for', async () => {
  const { keys, names, records, charge } = setUp(2)
  const [, second = '0x'] = keys
  for (const name of names) trust(records, name, 10_000)
  await charge.refresh()
  const there = {}
  show(charge, there)
  await change(charge, second)
  expect(signerOf(charge)).toBe(names[0])
  charge.gone(there)
  expect(signerOf(charge)).toBe(names[1])
  // Where nobody shows anything nothing new is announced, and what was stays so.
  charge.gone(here)
  expect(signerOf(charge)).toBe(names[1])
})

test('nothing is signed before the first keyset is shown', async () => {
  const key = generatePrivateKey()
  const charge = createChargeKeys({
    keys: [key],
    curve,
    read: undefined,
    longestCallMs: 40_000,
    clock: () => 1_000_000,
  })
  const names = charge.named()
  expect(names).toEqual({ address: privateKeyToAddress(key), others: [] })
  expect([charge.isGood(), charge.isRetiring()]).toEqual([false, false])
  expect(() => charge.sign(new Uint8Array(32))).toThrow(ChargeKeyUnannounced)
  expect(charge.report()).toEqual([
    { address: names.address, standing: 'unasked', isAnnounced: false },
  ])
  charge.shown(here, { address: '0x00', others: [] })
  expect(() => charge.sign(new Uint8Array(32))).toThrow(ChargeKeyUnannounced)
  show(charge, here)
  expect([charge.isGood(), signerOf(charge)]).toEqual([true, names.address])
})

test('without a registry the first key signs, when it is announced', async () => {
  const [first, second]: readonly Hex[] = [generatePrivateKey(), generatePrivateKey()]
  if (first === undefined || second === undefined) throw new Error('no keys')
  const names = [privateKeyToAddress(first), privateKeyToAddress(second)]
  const charge = createChargeKeys({
    keys: [first],
    curve,
    read: undefined,
    longestCallMs: 40_000,
    clock: () => 1_000_000,
  })
  show(charge, here)
  const { commit } = await charge.replace([second, first], 40_000)
  expect([signerOf(charge), charge.named()]).toEqual([
    names[0],
    { address: names[0], others: [names[1]] },
  ])
  show(charge, here)
  commit()
  expect([signerOf(charge), charge.named()]).toEqual([
    names[1],
    { address: names[1], others: [names[0]] },
  ])
})

test('a key that has left confirms the keysets that name it for a day, and a change is told once', async () => {
  const { keys, names, records, charge, time, told } = setUp(2)
  const [first = '0x', second = '0x'] = keys
  const message = Uint8Array.of(1, 2, 3)
  for (const name of names) trust(records, name, 1_000_000)
  await charge.refresh()
  const before = told()
  await change(charge, second)
  expect(told()).toBe(before + 2)
  for (const name of names) expect(await charge.confirm(name, message)).toHaveLength(65)
  time.nowMs += 86_400_000 + 600_000
  // The next change looks at who is to be forgotten.
  await change(charge, second)
  await expect(charge.confirm(names[0] ?? '', message)).rejects.toThrow('not held')
  expect(await charge.confirm(names[1] ?? '', message)).toHaveLength(65)
  // One that comes back has to be announced again.
  const { commit } = await charge.replace([first], 40_000)
  commit()
  expect(signerOf(charge)).toBe(names[1])
  show(charge, here)
  expect(signerOf(charge)).toBe(names[0])
})

test('a change that is taken back keeps what was read meanwhile, and tells it', async () => {
  const { keys, names, records, charge, told } = setUp(2)
  const [, second = '0x'] = keys
  for (const name of names) trust(records, name, 10_000)
  await charge.refresh()
  const before = told()
  records.set(`0x${names[0]?.slice(2).toLowerCase()}`, record(1, 10_000, 2))
  const { undo } = await charge.replace([second], 40_000)
  undo()
  expect(charge.named()).toEqual({ address: names[0], others: [] })
  expect([charge.isGood(), told()]).toEqual([false, before + 1])
})

test('every place that is behind is brought forward, one opening at a time, also after a fault', async () => {
  const { keys, names, records, charge } = setUp(2)
  const [, second = '0x'] = keys
  for (const name of names) trust(records, name, 10_000)
  await charge.refresh()
  const opened: unknown[] = []
  const faults: unknown[] = []
  let isBroken = true
  const announcer = createAnnouncer(
    charge,
    async (place) => {
      if (isBroken) throw new Error('no evidence')
      opened.push(place)
      const of = charge.named()
      await Promise.resolve()
      if (typeof place === 'object') charge.shown(place, of)
    },
    (error) => faults.push(error),
  )
  announcer.check()
  await announcer.settled()
  expect([opened, faults]).toEqual([[], []])
  await change(charge, second)
  announcer.check()
  announcer.check()
  await announcer.settled()
  expect([opened, faults]).toEqual([[], [new Error('no evidence')]])
  isBroken = false
  announcer.check()
  announcer.check()
  await announcer.settled()
  expect([opened, charge.behind()]).toEqual([[here], []])
})
