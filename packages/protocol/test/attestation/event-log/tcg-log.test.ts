import { createHash } from 'node:crypto'
import { assert, nat, oneof, property, tuple, uint8Array } from 'fast-check'
import { expect, test } from 'vitest'
import { checkBootLog } from '@countersign/protocol/attestation/event-log/boot-log'
import { sha384Bank } from '@countersign/protocol/attestation/event-log/sha384-bank'
import {
  isPayloadMeasured,
  replayBootLog,
  sha256Bank,
} from '@countersign/protocol/attestation/event-log/tcg-log'
import { EvidenceError } from '@countersign/protocol/attestation/evidence-errors'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { appraiseTpm } from '@countersign/protocol/attestation/tpm/appraise-tpm'
import {
  forgeTpmCollateral,
  forgeTpmEvidence,
  tpmPins,
  tpmTimeMs,
} from '../../../../../test/vectors/attestation/forge-tpm.ts'

type Bank = readonly [algorithm: number, bytes: number]
type EventPlan = {
  readonly register: number
  readonly type: number
  readonly payload: Uint8Array
  /** In place of the digests of the payload. */
  readonly digests?: readonly (readonly [algorithm: number, digest: Uint8Array])[]
}

const banks: readonly Bank[] = [
  [0x04, 20],
  [0x0b, 32],
  [0x0c, 48],
]
const names = new Map([
  [0x04, 'sha1'],
  [0x0b, 'sha256'],
  [0x0c, 'sha384'],
])
const separator = { register: 7, type: 4, payload: new Uint8Array(4) }
const boot = { register: 4, type: 0x80000003, payload: Buffer.from('boot loader') }

function little(value: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, place) => (value >>> (8 * place)) & 255)
}

function digestOf(algorithm: number, payload: Uint8Array): Uint8Array {
  return Uint8Array.from(
    createHash(names.get(algorithm) ?? '')
      .update(payload)
      .digest(),
  )
}

type HeadPlan = {
  readonly register?: number
  readonly type?: number
  readonly digest?: Uint8Array
  readonly signature?: string
  readonly banks?: readonly Bank[]
  readonly vendor?: Uint8Array
  readonly tail?: Uint8Array
}

function head(plan: HeadPlan = {}): Uint8Array {
  const { banks: held = banks, vendor = new Uint8Array(0) } = plan
  const body = concatBytes(
    Buffer.from(plan.signature ?? 'Spec ID Event03\0', 'latin1'),
    Uint8Array.of(0, 0, 0, 0, 0, 2, 0, 2),
    little(held.length, 4),
    ...held.map(([algorithm, bytes]) => concatBytes(little(algorithm, 2), little(bytes, 2))),
    Uint8Array.of(vendor.length),
    vendor,
    plan.tail ?? new Uint8Array(0),
  )
  return concatBytes(
    little(plan.register ?? 0, 4),
    little(plan.type ?? 3, 4),
    plan.digest ?? new Uint8Array(20),
    little(body.length, 4),
    body,
  )
}

function event({ register, type, payload, digests }: EventPlan): Uint8Array {
  const held =
    digests ?? banks.map(([algorithm]) => [algorithm, digestOf(algorithm, payload)] as const)
  return concatBytes(
    little(register, 4),
    little(type, 4),
    little(held.length, 4),
    ...held.map(([algorithm, digest]) => concatBytes(little(algorithm, 2), digest)),
    little(payload.length, 4),
    payload,
  )
}

function extend(
  hash: 'sha256' | 'sha384',
  start: Uint8Array,
  ...payloads: readonly Uint8Array[]
): Uint8Array {
  let value = start
  for (const payload of payloads) {
    const digest = createHash(hash).update(payload).digest()
    value = Uint8Array.from(createHash(hash).update(value).update(digest).digest())
  }
  return value
}

test('leads to the values that extending one after the other leads to, in both banks', () => {
  const log = concatBytes(
    head({ vendor: Uint8Array.of(7) }),
    event(boot),
    event(separator),
    event(boot),
  )
  for (const [hash, bank] of [
    ['sha256', sha256Bank],
    ['sha384', sha384Bank],
  ] as const) {
    const { bytes } = bank
    const { events, registers } = replayBootLog(log, bank)
    expect(registers.get(4)).toEqual(
      extend(hash, new Uint8Array(bytes), boot.payload, boot.payload),
    )
    expect(registers.get(7)).toEqual(extend(hash, new Uint8Array(bytes), separator.payload))
    expect(events.map((event) => [event.register, isPayloadMeasured(event, bank)])).toEqual([
      [4, true],
      [7, true],
      [4, true],
    ])
  }
})

test('tells what was measured from what is only said', () => {
  const digests = banks.map(
    ([algorithm, bytes]) => [algorithm, new Uint8Array(bytes).fill(1)] as const,
  )
  const { events } = replayBootLog(concatBytes(head(), event({ ...boot, digests })), sha256Bank)
  expect(events.map((found) => isPayloadMeasured(found, sha256Bank))).toEqual([false])
})

test('register 0 begins at the locality of the start, and events of no action extend nothing', () => {
  const locality = { register: 0, type: 3, payload: Buffer.from('StartupLocality\0\x03', 'latin1') }
  const note = { register: 5, type: 3, payload: Buffer.from('note') }
  const log = concatBytes(head(), event(note), event(locality), event({ ...boot, register: 0 }))
  const { registers, events } = replayBootLog(log, sha256Bank)
  expect(registers.get(0)).toEqual(extend('sha256', new Uint8Array(32).fill(3, 31), boot.payload))
  expect(registers.has(5)).toBe(false)
  expect(events).toHaveLength(1)
})

test('refuses logs that are not as specified', () => {
  const sha256Only = [[0x0b, digestOf(0x0b, boot.payload)]] as const
  const locality = (register: number): Uint8Array =>
    event({ register, type: 3, payload: Buffer.from('StartupLocality\0\x03', 'latin1') })
  const twice = [...sha256Only, ...sha256Only, ...sha256Only]
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ['no bytes', new Uint8Array(0)],
    ['more than 262,144 bytes', new Uint8Array(262_145)],
    ['a head of another register', head({ register: 1 })],
    ['a head that is an event', head({ type: 4 })],
    ['a head with a digest', head({ digest: new Uint8Array(20).fill(1) })],
    ['an older form', head({ signature: 'Spec ID Event02\0' })],
    ['a head cut short', head().slice(0, -1)],
    ['a head with a byte behind', head({ tail: Uint8Array.of(0) })],
    ['nine banks', head({ banks: Array.from({ length: 9 }, (_, at) => [100 + at, 32] as const) })],
    ['a bank twice', head({ banks: [...banks, [0x0b, 32]] })],
    ['a bank of another width', head({ banks: [[0x0b, 48]] })],
    ['a bank of more than 64 bytes', head({ banks: [[0x99, 65]] })],
    [
      'no bank for the hash',
      concatBytes(
        head({ banks: [[0x04, 20]] }),
        event({ ...boot, digests: [[0x04, new Uint8Array(20)]] }),
      ),
    ],
    ['register 24', concatBytes(head(), event({ ...boot, register: 24 }))],
    ['a bank that is missing', concatBytes(head(), event({ ...boot, digests: sha256Only }))],
    ['a bank that comes twice', concatBytes(head(), event({ ...boot, digests: twice }))],
    [
      'an unknown bank',
      concatBytes(
        head({ banks: [[0x0b, 32]] }),
        event({ ...boot, digests: [[0x0d, new Uint8Array(32)]] }),
      ),
    ],
    ['an event cut short', concatBytes(head(), event(boot)).slice(0, -1)],
    ['a byte behind', concatBytes(head(), event(boot), Uint8Array.of(0))],
    [
      'a locality after an event',
      concatBytes(head(), event({ ...boot, register: 0 }), locality(0)),
    ],
    ['a locality of register 1', concatBytes(head(), locality(1))],
    [
      '4,097 events',
      concatBytes(
        head({ banks: [[0x0b, 32]] }),
        ...Array.from({ length: 4097 }, () =>
          event({
            register: 1,
            type: 4,
            payload: new Uint8Array(0),
            digests: [[0x0b, new Uint8Array(32)]],
          }),
        ),
      ),
    ],
  ]
  for (const [name, log] of wrong) {
    expect(() => replayBootLog(log, sha256Bank), name).toThrow('event-log-malformed')
  }
})

test('takes a log of 262,144 bytes, and no byte more', () => {
  const rest = head().length + event({ ...boot, payload: new Uint8Array(0) }).length
  const log = (length: number): Uint8Array =>
    concatBytes(head(), event({ ...boot, payload: new Uint8Array(length - rest) }))
  expect(log(262_144).length).toBe(262_144)
  expect(replayBootLog(log(262_144), sha256Bank).events).toHaveLength(1)
  expect(() => replayBootLog(log(262_145), sha256Bank)).toThrow('event-log-malformed')
})

test('throws nothing but refusals, whatever the bytes', () => {
  const log = concatBytes(head(), event(boot), event(separator))
  const changed = tuple(nat(log.length - 1), nat(255), nat(log.length)).map(([at, byte, length]) =>
    log.with(at, byte).slice(0, length),
  )
  const refuses = property(oneof(changed, uint8Array({ maxLength: 200 })), (bytes) => {
    try {
      return replayBootLog(bytes, sha256Bank).events.length <= 2
    } catch (error) {
      return error instanceof EvidenceError
    }
  })
  expect(() => {
    assert(refuses, { numRuns: 2000 })
  }).not.toThrow()
})

test('gives the events of registers that were signed, and refuses any other value', () => {
  const log = concatBytes(head(), event(boot), event(separator))
  const value = extend('sha256', new Uint8Array(32), boot.payload)
  expect(
    checkBootLog(log, sha256Bank, new Map([[4, value]])).map(({ register }) => register),
  ).toEqual([4])
  const wrong = new Map([
    [4, value],
    [7, value],
  ])
  expect(() => checkBootLog(log, sha256Bank, wrong)).toThrow('event-log-mismatch')
  expect(() => checkBootLog(log, sha256Bank, new Map([[1, value]]))).toThrow('event-log-mismatch')
})

test('the log of a firmware beside a quote must lead to its PCRs', async () => {
  const log = concatBytes(head(), event(boot))
  const right = extend('sha256', new Uint8Array(32), boot.payload)
  const options = { asOfMs: tpmTimeMs, roots: new Set(tpmPins) }
  for (const [value, status] of [
    [right, 'passed'],
    [new Uint8Array(32), 'failed'],
  ] as const) {
    const raw = forgeTpmEvidence({ pcrs: (pcrs) => new Map(pcrs).set(4, value) })
    const collateral = forgeTpmCollateral({ 'tpm-boot-log': log })
    const { checks } = await appraiseTpm({ raw, collateral }, options)
    expect(checks.find(({ id }) => id === 'signature')?.status).toBe(status)
  }
})
