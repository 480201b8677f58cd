/** Opens payments, of which the last ledger cannot be opened; then once more, when it can be. */
import { rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { configSchema } from '../../src/config/schema.ts'
import { createPayment } from '../../src/payment/create-payment.ts'

const given: unknown = JSON.parse(process.argv[2] ?? '')
const config = configSchema.parse(given)
const surroundings = {
  environment: { COUNTERSIGN_SETTLEMENT_KEY: `0x${'11'.repeat(32)}` },
  clock: Date.now,
  log: pino({ level: 'silent' }),
  die: () => process.exit(74),
}
try {
  await createPayment(config, surroundings)
} catch {
  process.stdout.write('refused\n')
}
rmdirSync(join(config.dataDir, 'payments.db'))
const { scheme } = await createPayment(config, surroundings)
process.stdout.write('opened\n')
await scheme.close()
process.stdout.write('closed\n')
