import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStateFile } from '@countersign/client/state-file'
import { refusalOf } from './kit/fetch-fixture.ts'
import { runInProcess } from './kit/run-cli-process.ts'
import {
  callOnce,
  createPayer,
  recordPayments,
  startMeteredFixture,
  type MeteredFixture,
} from './kit/metered-fixture.ts'

let fixture: MeteredFixture
const folder = mkdtempSync(join(tmpdir(), 'countersign-payer-'))
const channels = { depositAtomic: 30_000n }

beforeAll(async () => {
  fixture = await startMeteredFixture()
})
afterAll(async () => {
  await fixture.stop()
  rmSync(folder, { recursive: true })
})

test('of a signed maximum the receipt charges what was used, and so it is counted', async () => {
  const key = await fixture.network.createPayer()
  const { fetch, seen } = recordPayments()
  const paidFetch = createPayer(fixture, key, { upto: true, fetch })
  const receipt = await callOnce(paidFetch, fixture)
  expect(receipt.verdict.verdict).toBe('valid')
  expect(receipt.chargedAtomic).toBeGreaterThan(0n)
  expect(seen).toMatchObject([{ scheme: 'upto' }])
  // Counted at the maximum until the receipt was verified, from then on at the charge.
  expect(paidFetch.signedAtomic()).toBe(receipt.chargedAtomic)
})

test('an upto payer without allowance is told what to do, and signs nothing', async () => {
  const { fetch, seen } = recordPayments()
  const key = fixture.network.createChannelPayer()
  const paidFetch = createPayer(fixture, key, { upto: true, fetch })
  expect(await refusalOf(callOnce(paidFetch, fixture))).toBe('allowance-missing')
  expect(seen).toEqual([])
})

test('one deposit pays many calls at once, each with a ceiling of its own', async () => {
  const { fetch, seen } = recordPayments()
  const key = fixture.network.createChannelPayer()
  const paidFetch = createPayer(fixture, key, { channels, fetch })
  const first = await callOnce(paidFetch, fixture, 'first')
  expect(first.verdict.verdict).toBe('valid')
  expect(first.cumulativeAtomic).toBe(first.chargedAtomic)
  const receipts = await Promise.all(
    Array.from({ length: 6 }, (_, index) => callOnce(paidFetch, fixture, `call ${index}`)),
  )
  const charged = receipts.reduce((sum, { chargedAtomic }) => sum + chargedAtomic, 0n)
  const last = await callOnce(paidFetch, fixture, 'last')
  expect(last.cumulativeAtomic).toBe(first.chargedAtomic + charged + last.chargedAtomic)
  expect(seen.map(({ type }) => type)).toEqual(['deposit', ...Array(7).fill('voucher')])
  const ceilings = seen.map(({ ceiling }) => ceiling)
  expect(new Set(ceilings).size).toBe(8)
  // What was signed is no more than what was charged, and the ceilings of calls at once.
  expect(paidFetch.signedAtomic()).toBe(ceilings.reduce((a = 0n, b = 0n) => (a > b ? a : b)))
})

test('a restart goes on where the file says, and never signs a ceiling twice', async () => {
  const { fetch, seen } = recordPayments()
  const key = fixture.network.createChannelPayer()
  const path = join(folder, 'restart.json')
  let cumulative = 0n
  for (const prompt of ['one', 'two', 'three']) {
    const state = await openStateFile(path)
    const paidFetch = createPayer(fixture, key, { channels, fetch, state })
    const receipt = await callOnce(paidFetch, fixture, prompt)
    cumulative += receipt.chargedAtomic
    expect(receipt.cumulativeAtomic).toBe(cumulative)
    expect(await refusalOf(openStateFile(path))).toBe('state-in-use')
    await state.close()
  }
  expect(seen.map(({ type }) => type)).toEqual(['deposit', 'voucher', 'voucher'])
  const ceilings = seen.map(({ ceiling = 0n }) => ceiling)
  expect(ceilings).toEqual([...new Set(ceilings)].toSorted((a, b) => (a < b ? -1 : 1)))
})

test('a payer who lost its state finds its channel, and is told what it signed', async () => {
  const key = fixture.network.createChannelPayer()
  const before = await callOnce(createPayer(fixture, key, { channels }), fixture, 'before')
  const { fetch, seen } = recordPayments()
  const after = await callOnce(createPayer(fixture, key, { channels, fetch }), fixture, 'after')
  expect(after.cumulativeAtomic).toBe(before.chargedAtomic + after.chargedAtomic)
  // The first voucher was refused and corrected, the second one served; nothing was deposited again.
  expect(seen.map(({ type }) => type)).toEqual(['voucher', 'voucher'])
})

test('a payer who lost its state goes on with the very call that it made before', async () => {
  const key = fixture.network.createChannelPayer()
  const before = await callOnce(createPayer(fixture, key, { channels }), fixture, 'the same')
  const { fetch, seen } = recordPayments()
  const after = await callOnce(createPayer(fixture, key, { channels, fetch }), fixture, 'the same')
  expect(after.cumulativeAtomic).toBe(before.chargedAtomic + after.chargedAtomic)
  // Its first voucher has the ceiling of the one that was forgotten.
  const [first, second] = seen.map(({ ceiling = 0n }) => ceiling)
  expect(first).toBeLessThan(second ?? 0n)
})

test('a channel that runs low is topped up, and never above what may be locked', async () => {
  const { fetch, seen } = recordPayments()
  const key = fixture.network.createChannelPayer()
  const small = { depositAtomic: 10_000n, topUpBelowAtomic: 5000n, maxLockedAtomic: 20_000n }
  const paidFetch = createPayer(fixture, key, { channels: small, fetch })
  for (let call = 0; call < 4; call++) await callOnce(paidFetch, fixture, `call ${call}`)
  const deposits = seen.filter(({ type }) => type === 'deposit')
  expect(deposits.length).toBeGreaterThanOrEqual(1)
  const locked = { ...small, maxLockedAtomic: 9999n }
  const stingy = createPayer(fixture, fixture.network.createChannelPayer(), { channels: locked })
  expect(await refusalOf(callOnce(stingy, fixture))).toBe('deposit-above-limit')
})

test('an auditor recomputes every charge from the receipts, and misses none', async () => {
  const { receipts, network } = fixture
  expect(receipts.length).toBeGreaterThan(12)
  const audited = join(folder, 'receipts')
  mkdirSync(audited)
  for (const { id, bundle } of receipts) {
    writeFileSync(join(audited, `${id}.countersign.json`), bundle)
  }
  const { rpcUrl } = network.chain
  const ended = await runInProcess(['audit-bill', audited, '--rpc', rpcUrl, '--json'])
  expect(ended.err).toBe('')
  const result: {
    readonly verdict: string
    readonly files: readonly { readonly status: string }[]
    readonly audit: { readonly totals: readonly { readonly chargedAtomic: string }[] }
  } = JSON.parse(ended.out)
  expect(result.files.filter(({ status }) => status !== 'right')).toEqual([])
  expect(ended.code).toBe(0)
  const sum = result.audit.totals.reduce((total, item) => total + BigInt(item.chargedAtomic), 0n)
  expect(sum).toBe(receipts.reduce((total, { chargedAtomic }) => total + chargedAtomic, 0n))
})

test('a receipt that is missing from a channel is missed', async () => {
  const [first, second] = fixture.receipts.filter(({ cumulativeAtomic }) => cumulativeAtomic)
  expect(first?.cumulativeAtomic).toBeDefined()
  const file = join(folder, 'second.countersign.json')
  writeFileSync(file, second?.bundle ?? '')
  const ended = await runInProcess(['audit-bill', file])
  expect(ended.code).toBe(2)
  expect(ended.out).toContain('more by receipts that are not here')
})
