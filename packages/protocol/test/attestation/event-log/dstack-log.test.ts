import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { checkDstackLog } from '@countersign/protocol/attestation/event-log/dstack-log'

type EventPlan = {
  readonly imr: number
  readonly event_type: number
  readonly digest: string
  readonly event: string
  readonly event_payload: string
}

const runtimeType = 0x08000001

function digestOf(name: string, payload: string, version: 1 | 2, type = runtimeType): string {
  const hash = createHash('sha384')
  if (version === 2) return hash.update(JSON.stringify({ name, payload, type })).digest('hex')
  const littleEndian = Buffer.alloc(4)
  littleEndian.writeUInt32LE(type)
  return hash.update(littleEndian).update(`:${name}:`).update(payload, 'hex').digest('hex')
}

function runtime(name: string, payload: string, version: 1 | 2 = 1): EventPlan {
  return {
    imr: 3,
    event_type: runtimeType,
    digest: digestOf(name, payload, version),
    event: name,
    event_payload: payload,
  }
}

const firmware: EventPlan = {
  imr: 0,
  event_type: 4,
  digest: 'ab'.repeat(48),
  event: '',
  event_payload: '',
}
const events = [
  firmware,
  { ...firmware, imr: 1 },
  { ...firmware, imr: 2 },
  runtime('app-id', 'aa01'),
  runtime('compose-hash', 'bb02', 2),
  runtime('system-ready', ''),
  runtime('my-key', 'cc03'),
]

function again(name: string): readonly EventPlan[] {
  return [...events, runtime(name, 'dd')]
}

function encode(list: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(list))
}

function replay(list: readonly EventPlan[]): readonly Uint8Array[] {
  const rtmrs = Array.from({ length: 4 }, () => Buffer.alloc(48))
  for (const { imr, digest } of list) {
    const before = rtmrs[imr] ?? Buffer.alloc(0)
    rtmrs[imr] = createHash('sha384').update(before).update(digest, 'hex').digest()
  }
  return rtmrs.map((value) => Uint8Array.from(value))
}

test('gives what the system said before the application ran, apart from what came after', () => {
  const { boot, runtime: after } = checkDstackLog(encode(events), replay(events))
  expect([...boot]).toEqual([
    ['app-id', Uint8Array.of(0xaa, 1)],
    ['compose-hash', Uint8Array.of(0xbb, 2)],
    ['system-ready', new Uint8Array(0)],
  ])
  expect([...after]).toEqual([['my-key', Uint8Array.of(0xcc, 3)]])
})

test('refuses a log that does not lead to the registers', () => {
  const rtmrs = replay(events)
  const payloadChanged = events.map((plan) =>
    plan.event === 'app-id' ? { ...plan, event_payload: 'aa02' } : plan,
  )
  const typeChanged = events.map((plan) =>
    plan.event === 'app-id' ? { ...plan, event_type: 1 } : plan,
  )
  const wrong: readonly (readonly [string, Uint8Array, readonly Uint8Array[]])[] = [
    ['another payload', encode(payloadChanged), rtmrs],
    ['another type of a runtime event', encode(typeChanged), rtmrs],
    ['another order', encode(events.toReversed()), rtmrs],
    ['an event less', encode(events.slice(0, -1)), rtmrs],
    [
      'another register',
      encode(events),
      rtmrs.map((value, at) => (at === 1 ? value.with(0, 1) : value)),
    ],
    ['three registers', encode(events), rtmrs.slice(0, 3)],
    ['five registers', encode(events), [...rtmrs, new Uint8Array(48)]],
  ]
  for (const [name, log, registers] of wrong) {
    expect(() => checkDstackLog(log, registers), name).toThrow('event-log-mismatch')
  }
})

test('refuses to read one event under two names', () => {
  // What is hashed is name ":" payload: a colon in the payload could end a longer name.
  const hash = runtime('compose-hash', `${Buffer.from('x:').toString('hex')}bb`)
  const renamed = { ...hash, event: 'compose-hash:x', event_payload: 'bb' }
  expect(checkDstackLog(encode([hash]), replay([hash])).boot.has('compose-hash')).toBe(true)
  expect(() => checkDstackLog(encode([renamed]), replay([hash]))).toThrow('event-log-mismatch')
  const named = runtime('a:b', 'bb', 2)
  expect([...checkDstackLog(encode([named]), replay([named])).boot.keys()]).toEqual(['a:b'])
})

test('refuses an event of RTMR3 that is of another type, whatever its digest', () => {
  const type = 0x08000002
  for (const version of [1, 2] as const) {
    const digest = digestOf('app-id', 'aa', version, type)
    const list = [{ ...runtime('app-id', 'aa'), event_type: type, digest }]
    expect(() => checkDstackLog(encode(list), replay(list))).toThrow('event-log-mismatch')
  }
})

test('takes a log of 262,144 bytes, and no byte more', () => {
  const payload = 'ab'.repeat(60_000)
  const list = [runtime('a', payload), runtime('b', payload)]
  const text = JSON.stringify(list)
  const padded = (length: number): Uint8Array =>
    new TextEncoder().encode(text + ' '.repeat(length - text.length))
  expect(checkDstackLog(padded(262_144), replay(list)).boot.size).toBe(2)
  expect(() => checkDstackLog(padded(262_145), replay(list))).toThrow('event-log-malformed')
})

test('refuses a name that comes twice, before or after the application ran, and logs of another form', () => {
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ['a name of the boot twice', encode(again('app-id'))],
    ['a name of the application twice', encode(again('my-key'))],
    ['an object', encode({})],
    ['a list of texts', encode(['app-id'])],
    [
      'an event without a payload',
      encode([{ imr: 0, event_type: 4, digest: firmware.digest, event: '' }]),
    ],
    ['register 4', encode([{ ...firmware, imr: 4 }])],
    ['a digest in capitals', encode([{ ...firmware, digest: 'AB'.repeat(48) }])],
    ['a payload of half a byte', encode([{ ...firmware, event_payload: 'a' }])],
    ['1,025 events', encode(Array.from({ length: 1025 }, () => firmware))],
    ['no JSON', Uint8Array.of(0xff)],
    ['more than 262,144 bytes', new Uint8Array(262_145)],
  ]
  for (const [name, log] of wrong) {
    expect(() => checkDstackLog(log, replay(events)), name).toThrow('event-log-malformed')
  }
})
