/** The payment schemes that the configuration asks for. */
import { join } from 'node:path'
import type { Logger } from 'pino'
import { hexToBytes } from 'viem'
import type { Payee } from '@countersign/protocol/receipt/keyset'
import { ConfigError } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'
import type { PaymentScheme } from './admission.ts'
import { createApiKeyPayment } from './api-key.ts'
import { createCombinedPayment } from './combined.ts'
import { createExactPayment } from './exact/exact-payment.ts'
import { createSettlementAccount } from './exact/sender.ts'
import { createNoPayment } from './none.ts'

/** A scheme, and what the keyset says about it. */
export type Payment = {
  readonly scheme: PaymentScheme
  readonly payees: readonly Payee[]
  /** Sends the settlements; `undefined` when nothing is settled on chain. */
  readonly settlementAddress: string | undefined
  /** Signs by EIP-191 with the settlement key, to show that it is held. */
  readonly signSettlement: ((message: Uint8Array) => Promise<Uint8Array>) | undefined
}

/** What the schemes need of the process. */
export type PaymentSurroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: () => number
  readonly log: Logger
}

type PaidConfig = Exclude<Config['payment'], 'none'>
type ExactConfig = NonNullable<PaidConfig['exact']>

const settlesNothing = {
  payees: [],
  settlementAddress: undefined,
  signSettlement: undefined,
} as const
const settlementKeyName = 'COUNTERSIGN_SETTLEMENT_KEY'

/**
 * Opens the schemes; what an earlier process left unsettled is taken up.
 *
 * @throws ConfigError when a secret is missing or malformed.
 */
export function createPayment(config: Config, surroundings: PaymentSurroundings): Payment {
  const { payment } = config
  if (payment === 'none') {
    return { scheme: createNoPayment(surroundings.clock), ...settlesNothing }
  }
  const apiKey = createKeys(config, payment, surroundings)
  if (payment.exact === undefined) {
    if (apiKey === undefined) throw new ConfigError('payment names no way to pay')
    return { scheme: apiKey, ...settlesNothing }
  }
  const { network, asset, payTo } = payment.exact
  const settlementKey = readSettlementKey(surroundings.environment)
  const exact = createExact(config, payment.exact, settlementKey, surroundings)
  const account = createSettlementAccount(settlementKey)
  return {
    scheme: apiKey === undefined ? exact : createCombinedPayment({ exact, apiKey }),
    payees: [{ network, asset, address: payTo }],
    settlementAddress: account.address,
    signSettlement: async (message) =>
      hexToBytes(await account.signMessage({ message: { raw: message } })),
  }
}

function createKeys(
  config: Config,
  { apiKeys }: PaidConfig,
  { clock }: PaymentSurroundings,
): PaymentScheme | undefined {
  if (apiKeys === undefined) return undefined
  const databaseFile = join(config.dataDir, 'api-keys.db')
  return createApiKeyPayment({ databaseFile, asset: apiKeys.asset, clock })
}

function createExact(
  config: Config,
  exact: ExactConfig,
  settlementKey: string,
  { clock, log }: PaymentSurroundings,
): PaymentScheme {
  const { host, port } = config.listen
  const { settle, network, ...terms } = exact
  return createExactPayment({
    ...terms,
    network: toNetwork(network),
    settlementKey,
    resourceBaseUrl: config.publicUrl ?? `http://${host}:${port}`,
    settle:
      settle === 'before'
        ? { kind: 'before' }
        : { kind: 'after', maxAtRiskAtomic: BigInt(settle.after.maxAtRiskAtomic) },
    databaseFile: join(config.dataDir, 'payments.db'),
    clock,
    onFault: (error) => {
      log.error({ err: error }, 'the payment ledger failed')
    },
  })
}

function toNetwork(network: string): `eip155:${string}` {
  const [, chainId = ''] = network.split(':')
  return `eip155:${chainId}`
}

function readSettlementKey(environment: PaymentSurroundings['environment']): string {
  const key = environment[settlementKeyName]
  if (key === undefined || !/^0x[0-9a-f]{64}$/.test(key)) {
    throw new ConfigError(
      `environment variable ${settlementKeyName} must hold 0x and 64 hex digits`,
    )
  }
  return key
}
