import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import type { PaymentScheme } from '../src/payment/admission.ts'
import { createApiKeyPayment } from '../src/payment/api-key.ts'
import { administerApiKeys } from '../src/payment/api-key-admin.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import {
  createDirectory,
  createRequest,
  expectAdmitted,
  expectRefused,
} from './payment/requests.ts'

type Setup = {
  readonly file: string
  readonly scheme: PaymentScheme
  readonly secret: string
  readonly clock: { nowMs: number }
}

function setUp(budgetAtomic = 100_000n): Setup {
  const file = join(createDirectory(), 'keys.sqlite')
  const clock = { nowMs: 1_800_000_000_000 }
  const store = openApiKeyStore(file)
  const { secret } = store.create('test', budgetAtomic, clock.nowMs)
  store.close()
  const scheme = createApiKeyPayment({ databaseFile: file, asset: 'USD', clock: () => clock.nowMs })
  onTestFinished(() => scheme.close())
  return { file, scheme, secret, clock }
}

const bearer = (secret: string): { authorization: string } => ({
  authorization: `Bearer ${secret}`,
})

const dayMs = 86_400_000

/** Sets limits as the program does, and lets the scheme see them. */
function limitKey({ file, clock }: Setup, ...limits: readonly string[]): void {
  const store = openApiKeyStore(file)
  const id = store.list()[0]?.id ?? ''
  store.close()
  const command = ['--database', file, 'limit', id, ...limits]
  expect(administerApiKeys(command, clock.nowMs)?.exitCode).toBe(0)
  clock.nowMs += 1000
}

test('a key is charged no more on one day than its daily budget, and again on the next', async () => {
  const setup = setUp(1_000_000n)
  const { file, scheme, secret, clock } = setup
  limitKey(setup, '--daily-budget', '25000')
  const admit = (): ReturnType<PaymentScheme['admit']> =>
    scheme.admit(createRequest(bearer(secret)))
  const [first, second] = [expectAdmitted(await admit()), expectAdmitted(await admit())]
  const third = expectRefused(await admit())
  expect(third.code).toBe('api-key-daily-budget-exhausted')
  await first.complete('used')
  expect(expectRefused(await admit()).code).toBe('api-key-daily-budget-exhausted')
  await second.complete('unused')
  await expectAdmitted(await admit()).complete('used')
  expect(expectRefused(await admit()).code).toBe('api-key-daily-budget-exhausted')
  clock.nowMs = (Math.floor(clock.nowMs / dayMs) + 1) * dayMs - 1
  expect(expectRefused(await admit()).code).toBe('api-key-daily-budget-exhausted')
  clock.nowMs += 1
  await expectAdmitted(await admit()).complete('used')
  await expectAdmitted(await admit()).complete('used')
  expect(expectRefused(await admit()).code).toBe('api-key-daily-budget-exhausted')
  // A clock that goes back opens no day again.
  clock.nowMs -= dayMs
  expect(expectRefused(await admit()).code).toBe('api-key-daily-budget-exhausted')
  const store = openApiKeyStore(file)
  expect(store.list()[0]?.chargedAtomic).toBe(40_000n)
  store.close()
})

test('a call that runs over midnight counts on the day on which it ends', async () => {
  const setup = setUp(1_000_000n)
  const { scheme, secret, clock } = setup
  limitKey(setup, '--daily-budget', '15000')
  clock.nowMs = (Math.floor(clock.nowMs / dayMs) + 1) * dayMs - 1
  const running = expectAdmitted(await scheme.admit(createRequest(bearer(secret))))
  clock.nowMs += 1
  const refused = await scheme.admit(createRequest(bearer(secret)))
  expect(expectRefused(refused).code).toBe('api-key-daily-budget-exhausted')
  await running.complete('used')
  const later = await scheme.admit(createRequest(bearer(secret)))
  expect(expectRefused(later).code).toBe('api-key-daily-budget-exhausted')
})

test('what a day was charged outlives the process', async () => {
  const file = join(createDirectory(), 'keys.sqlite')
  const nowMs = 1_800_000_000_000
  const created = administerApiKeys(
    [
      '--database',
      file,
      'create',
      '--name',
      'test',
      '--budget',
      '90000',
      '--daily-budget',
      '15000',
    ],
    nowMs,
  )
  const { secret }: { readonly secret: string } = JSON.parse(created?.lines[0] ?? '')
  for (const [code, atMs] of [
    [undefined, nowMs],
    ['api-key-daily-budget-exhausted', nowMs],
    [undefined, nowMs + dayMs],
  ] as const) {
    const options = { databaseFile: file, asset: 'USD', clock: () => atMs }
    const scheme = createApiKeyPayment(options)
    const admission = await scheme.admit(createRequest(bearer(secret)))
    if (code === undefined) await expectAdmitted(admission).complete('used')
    else expect(expectRefused(admission).code).toBe(code)
    await scheme.close()
  }
  const listed = administerApiKeys(['--database', file, 'list'], nowMs)?.lines[0] ?? ''
  expect(JSON.parse(listed)).toMatchObject({
    dailyBudgetAtomic: '15000',
    lastDay: '2027-01-16',
    chargedThatDayAtomic: '10000',
    chargedAtomic: '20000',
  })
})

test('the program sets, changes and takes away limits, and refuses what is none', async () => {
  const setup = setUp(1_000_000n)
  const { file } = setup
  const list = (): unknown =>
    JSON.parse(administerApiKeys(['--database', file, 'list'], 0)?.lines[0] ?? '')
  limitKey(setup, '--calls-per-minute', '60', '--concurrent-calls', '2', '--budget', '7')
  expect(list()).toMatchObject({ callsPerMinute: 60, concurrentCalls: 2, budgetAtomic: '7' })
  limitKey(setup, '--daily-budget', '5', '--calls-per-minute', 'none')
  expect(list()).toMatchObject({ concurrentCalls: 2, dailyBudgetAtomic: '5' })
  expect(list()).not.toHaveProperty('callsPerMinute')
  limitKey(setup, '--daily-budget', 'none', '--concurrent-calls', 'none')
  expect(Object.keys(list() ?? {})).not.toContain('dailyBudgetAtomic')
  for (const limits of [
    [],
    ['--daily-budget', '1.5'],
    ['--daily-budget', ''],
    ['--calls-per-minute', '0'],
    ['--calls-per-minute', '1000000'],
    ['--concurrent-calls', '-1'],
    ['--budget', 'none'],
  ]) {
    expect(administerApiKeys(['--database', file, 'limit', 'x', ...limits], 0)).toBeUndefined()
  }
  const unknown = ['--database', file, 'limit', 'nobody', '--budget', '1']
  expect(administerApiKeys(unknown, 0)?.exitCode).toBe(1)
})

test('an older file of keys gets its new tables, and its keys have no limits', () => {
  const file = join(createDirectory(), 'keys.sqlite')
  const old = new DatabaseSync(file)
  old.exec(`CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,
    budget TEXT NOT NULL, charged TEXT NOT NULL, created_at INTEGER NOT NULL, revoked_at INTEGER) STRICT;
    INSERT INTO api_keys VALUES ('a', 'old', 'd', '5', '1', 0, NULL)`)
  old.close()
  const store = openApiKeyStore(file)
  expect(store.list()).toMatchObject([{ id: 'a', budgetAtomic: 5n, limits: {} }])
  store.close()
})

test('asks for the limits of a payer once its key is known, with those of the key', async () => {
  const setup = setUp()
  const { scheme, secret } = setup
  limitKey(setup, '--calls-per-minute', '5')
  const asked: unknown[] = []
  const limits = {
    enter: (call: Uint8Array, payer: string, own: unknown) => {
      asked.push([call, payer, own])
      const headers = { 'retry-after': '9' }
      return { code: 'rate-limited', detail: '', headers } as const
    },
  }
  const request = createRequest(bearer(secret), { limits })
  expect(expectRefused(await scheme.admit(request))).toMatchObject({
    code: 'rate-limited',
    headers: { 'retry-after': '9' },
  })
  expect(asked).toEqual([
    [request.receiptId, scheme.identify(bearer(secret)), { callsPerMinute: 5 }],
  ])
  expectRefused(await scheme.admit(createRequest({}, { limits })))
  expect(asked).toHaveLength(1)
})
