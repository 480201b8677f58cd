/** The payment schemes that the configuration asks for. */
import { join } from 'node:path'
import type { Payee } from '@countersign/protocol/receipt/keyset'
import type { Config } from '../config/schema.ts'
import type { PaymentScheme } from './admission.ts'
import { createApiKeyPayment } from './api-key.ts'
import { createNoPayment } from './none.ts'

/** A scheme, and what the keyset says about it. */
export type Payment = {
  readonly scheme: PaymentScheme
  readonly payees: readonly Payee[]
  readonly settlementAddress: string | undefined
}

/**
 * Opens the schemes; the ledger is recovered before this resolves.
 *
 * @throws ConfigError when a secret is missing.
 */
export async function createPayment(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
  clock: () => number,
): Promise<Payment> {
  void environment
  const { payment } = config
  if (payment === 'none' || payment.apiKeys === undefined) {
    return { scheme: createNoPayment(), payees: [], settlementAddress: undefined }
  }
  const scheme = await createApiKeyPayment({
    databaseFile: join(config.dataDir, 'api-keys.db'),
    asset: payment.apiKeys.asset,
    clock,
  })
  return { scheme, payees: [], settlementAddress: undefined }
}
