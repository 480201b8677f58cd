/** Compares what callers saw with the receipts and the ledger of a gateway that has ended. */
import { strict as assert } from 'node:assert'
import { join } from 'node:path'
import { openDurableLedger } from '../../packages/gateway/src/payment/ledger/durable-ledger.ts'
import { readCharges } from '../../packages/gateway/test/chaos/audit-sums.ts'
import type { CaseReport } from './measure-case.ts'
import type { JobPayment } from './payment-job.ts'

/** @throws AssertionError when calls and receipts, or any two sums, differ: then no figure of the run is worth anything. */
export async function auditGateway(
  dataDir: string,
  cases: readonly Pick<CaseReport, 'payment' | 'calls' | 'receipts' | 'chargedAtomic'>[],
  vouchers: JobPayment,
): Promise<void> {
  const charges = readCharges(dataDir)
  for (const scheme of new Set(cases.map(({ payment }) => payment))) {
    const ofScheme = cases.filter(({ payment }) => payment === scheme)
    const isRefused = scheme === 'unpaid'
    const receipts = charges.filter((charge) => charge.scheme === (isRefused ? 'none' : scheme))
    // A refusal is signed and sent, and leaves nothing behind.
    const calls = isRefused ? 0 : sum(ofScheme.map((each) => each.calls))
    assert.equal(receipts.length, calls, `${scheme}: receipts and calls`)
    const charged = receipts.reduce((all, charge) => all + charge.amountAtomic, 0n)
    const seen = BigInt(sum(ofScheme.map(({ chargedAtomic }) => chargedAtomic)))
    assert.equal(charged, seen, `${scheme}: sum of receipts and of charges`)
  }
  assert.ok(charges.length > 0 || cases.every(({ payment }) => payment === 'unpaid'))
  if (cases.some(({ payment }) => payment === 'batch-settlement')) {
    await auditChannels(dataDir, vouchers)
  }
}

async function auditChannels(dataDir: string, vouchers: JobPayment): Promise<void> {
  assert.ok(vouchers.kind === 'voucher' && vouchers.channels.length > 0)
  const ledger = await openDurableLedger({
    directory: join(dataDir, 'ledger'),
    clock: Date.now,
    onFault: (error) => {
      throw error
    },
  })
  try {
    const { channels } = ledger.state
    assert.ok(channels.size > 0)
    for (const { channelId, chargedAtomic } of vouchers.channels) {
      const account = channels.get(`0x${channelId.slice(2)}`)
      assert.equal(account?.chargedAtomic ?? 0n, BigInt(chargedAtomic), channelId)
      assert.equal(account?.reservedAtomic ?? 0n, 0n, channelId)
    }
  } finally {
    await ledger.close()
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0)
}
