/** Sends a transaction of an operator, by the key that it names, or shows it to whoever signs elsewhere. */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import { sendTransaction } from '../chain/send-transaction.ts'
import type { PlannedCall } from '../charge-key/key-calls.ts'
import type { OperatorRegistry } from '../charge-key/operator-registry.ts'
import { ClientError } from '../errors.ts'
import { UsageError, type CommandContext } from './command.ts'
import { openKeystore } from './wallet-command.ts'

/** What was sent, or is to be sent: as the wallets of several owners take it. */
export type SentCall = {
  readonly chainId: number
  readonly to: Hex
  readonly value: '0'
  readonly data: Hex
  /** Who may send it; absent: anybody. */
  readonly senders?: readonly Hex[]
  /** Absent when it was only shown. */
  readonly hash?: Hex
}

/** Holds a private key, 0x and 64 hex digits. */
export const operatorKeyVariable = 'COUNTERSIGN_OPERATOR_KEY'
const keyForm = /^0x[0-9a-f]{64}$/

/**
 * Sends it and waits for its block, unless it is only to be shown.
 *
 * @throws UsageError without a key; ClientError `charge-key-refused` for one that may not send it, before anything is
 * sent; `keystore-…`, `transaction-failed`, `chain-…`.
 */
export async function sendPlanned(
  { chainId, rpcUrl }: OperatorRegistry,
  { call, senders }: PlannedCall,
  values: {
    readonly keystore?: string | undefined
    readonly 'password-file'?: string | undefined
    readonly calls?: boolean | undefined
  },
  context: CommandContext,
): Promise<SentCall> {
  const shown: SentCall = {
    chainId,
    ...call,
    value: '0',
    ...(senders === undefined ? {} : { senders }),
  }
  if (values.calls === true) return shown
  const account = await openAccount(values, context)
  const address = account.address.toLowerCase()
  if (senders !== undefined && !senders.some((sender) => sender === address)) {
    const detail = `${account.address} may not send this, but ${senders.join(', ')}`
    throw new ClientError('charge-key-refused', { detail })
  }
  return { ...shown, hash: await sendTransaction(account, rpcUrl, chainId, call) }
}

async function openAccount(
  values: {
    readonly keystore?: string | undefined
    readonly 'password-file'?: string | undefined
  },
  context: CommandContext,
): Promise<PrivateKeyAccount> {
  if (values.keystore !== undefined) {
    return openKeystore(values.keystore, values['password-file'], context)
  }
  const key = context.environment[operatorKeyVariable]
  if (key === undefined) {
    throw new UsageError(`--keystore, --calls or the variable ${operatorKeyVariable} is missing`)
  }
  const form = `${operatorKeyVariable} must hold 0x and 64 hex digits, a private key`
  if (!keyForm.test(key)) throw new UsageError(form)
  try {
    return privateKeyToAccount(`0x${key.slice(2)}`)
  } catch {
    // Its message would hold the key.
    throw new UsageError(form)
  }
}
