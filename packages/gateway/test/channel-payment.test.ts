import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { expect, onTestFinished, test } from 'vitest'
import { openDurableLedger, type DurableLedger } from '../src/payment/ledger/durable-ledger.ts'
import { createChannelPayment } from '../src/payment/metered/channel-payment.ts'
import {
  addressOf,
  callOf,
  reservationOf,
  sampleConfig,
  viewOf,
  wordOf,
} from './ledger/sample-events.ts'

const channelId = wordOf(9)
const terms = {
  network: 'eip155:84532',
  chainId: 84_532n,
  asset: baseSepoliaUsdc.address,
  assetName: 'USDC',
  assetVersion: '2',
  payTo: addressOf(2),
  maxTimeoutSeconds: 600,
  receiverAuthorizer: addressOf(3),
  withdrawDelaySeconds: 3600,
  minDepositAtomic: 1n,
  maxRunningCalls: 8,
  erc3009Collector: baseSepoliaX402.erc3009DepositCollector,
  permit2Collector: baseSepoliaX402.permit2DepositCollector,
} as const

async function openLedger(): Promise<DurableLedger> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-channel-payment-'))
  const ledger = await openDurableLedger({
    directory,
    clock: Date.now,
    onFault: (error) => {
      throw error
    },
  })
  onTestFinished(async () => {
    await ledger.close()
    rmSync(directory, { recursive: true })
  })
  return ledger
}

test('a payer is who signs the vouchers, not whose name stands on the channel', async () => {
  const ledger = await openLedger()
  const config = { ...sampleConfig, payer: addressOf(0xa11ce), payerAuthorizer: addressOf(0xbad) }
  const opened = ledger.apply({ type: 'channel-opened', channelId, config, view: viewOf(1000n) })
  expect(opened.kind).toBe('accepted')
  expect(ledger.apply(reservationOf(channelId, 1, 100n, 100n)).kind).toBe('accepted')
  const reservation = {
    channelId,
    ceilingAtomic: 100n,
    provenAtomic: 0n,
    channelStateBefore: () => {
      throw new Error('not in this test')
    },
    progress: () => undefined,
    charge: () => Promise.reject(new Error('not in this test')),
    release: async () => {
      ledger.apply({ type: 'call-released', channelId, callId: callOf(1) })
      await ledger.durable()
    },
    receiptStored: () => undefined,
  }
  const payment = createChannelPayment({ terms, ledger }, reservation, false)
  expect(payment.payer).toBe(`address:${addressOf(0xbad)}`)
  expect(await payment.complete('unused')).toMatchObject({ amountAtomic: 0n, cumulativeAtomic: 0n })
})
