/** How `countersign call` pays: an API key, or a wallet by `exact`, by signed maxima or from a channel. */
import type { AttestKeyset } from '../attested/attest-keyset.ts'
import type { ApiKeyOptions, UnderlyingFetch, WalletOptions } from '../fetch-options.ts'
import { openStateFile } from '../files/state-file.ts'
import { readNetworkKeys } from '../network/network-keys.ts'
import { parseAtomic, UsageError, type CommandContext } from './command.ts'
import { createPayeeReaders, readPayeeCheck, readRpcUrls } from './read-payee-check.ts'
import { openKeystore } from './wallet-command.ts'

/** Options of the command that say how it pays. */
export const callPaymentOptions = {
  'max-price': { type: 'string', default: '50000' },
  'per-day': { type: 'string' },
  'api-key': { type: 'string' },
  keystore: { type: 'string' },
  'password-file': { type: 'string' },
  upto: { type: 'boolean', default: false },
  channel: { type: 'boolean', default: false },
  deposit: { type: 'string' },
  state: { type: 'string' },
  rpc: { type: 'string', multiple: true },
  operator: { type: 'string' },
  'operator-policy': { type: 'string' },
  unchecked: { type: 'boolean', default: false },
} as const

/** Their help. */
export const callPaymentHelp = `  --max-price ATOMIC   refuse to pay more than this, default 50000 (0.05 USDC)
  --per-day ATOMIC     refuse to pay more than this on one day (UTC); needs --state
  --api-key KEY        pay with an API key of the gateway; better: COUNTERSIGN_API_KEY in the environment
  --keystore FILE      pay from this key (countersign wallet), not from the wallet of the network
  --password-file FILE as for countersign wallet
  --upto               pay what was used, up to a signed maximum; the key has let Permit2 move its money before
                       (countersign wallet approve)
  --channel            pay what was used from a channel; needs --state
  --deposit ATOMIC     what a new channel, or one that is used up, is filled with; default 100000 (0.1 USDC)
  --state FILE         keeps channels and what was paid today
  --rpc URL            a node of the chain; for --upto and --channel. Given again: others, who must find
                       right, too, who is paid
  --operator FILE      terms of the gateway (as for countersign channel): who is paid is judged by them; or
  --operator-policy FILE  what the terms must be that the gateway announces and its attested keyset names; or
  --unchecked          pay without judging who is paid`

/** The values of those options. */
export type CallPaymentValues = {
  readonly 'max-price': string
  readonly 'per-day'?: string | undefined
  readonly 'api-key'?: string | undefined
  readonly keystore?: string | undefined
  readonly 'password-file'?: string | undefined
  readonly upto: boolean
  readonly channel: boolean
  readonly deposit?: string | undefined
  readonly state?: string | undefined
  readonly rpc?: readonly string[] | undefined
  readonly operator?: string | undefined
  readonly 'operator-policy'?: string | undefined
  readonly unchecked: boolean
  readonly data: string
}

/** How keysets are attested, and whether every payee has to stand in one. */
export type CallAttestation = {
  readonly attestKeyset: AttestKeyset
  readonly isAsked: boolean
  /** What carries requests that are not paid, when it is not the platform's. */
  readonly fetch?: UnderlyingFetch
}

/** Options for the paying function, and the end of what they hold. */
export type CallPayment = {
  readonly options: WalletOptions | ApiKeyOptions
  readonly close: () => Promise<void>
}

const defaultDepositAtomic = 100_000n
const apiKeyForm = /^[\x21-\x7e]{1,4096}$/

/**
 * Reads keys and files.
 *
 * @throws UsageError for options that do not fit together, ClientError for files.
 */
export async function openCallPayment(
  values: CallPaymentValues,
  context: CommandContext,
  attestation: CallAttestation,
): Promise<CallPayment> {
  const maxAmountAtomic = parseAtomic('--max-price', values['max-price'])
  const isMetered = checkTogether(values)
  // From a file it ends with its line.
  const apiKey = (values['api-key'] ?? context.environment['COUNTERSIGN_API_KEY'])?.trim()
  if (apiKey !== undefined && !isMetered && values.keystore === undefined) {
    // Its characters go into a header; a variable that is set to nothing is no key.
    if (!apiKeyForm.test(apiKey)) throw new UsageError('the API key is no key')
    return { options: { apiKey }, close: () => Promise.resolve() }
  }
  const { attestKeyset, isAsked } = attestation
  const metered = isMetered ? await readMetered(values, attestation) : {}
  const isAttested = isAsked || values['operator-policy'] !== undefined
  const account =
    values.keystore === undefined
      ? (await readNetworkKeys(values.data)).wallet
      : await openKeystore(values.keystore, values['password-file'], context)
  const perDay = values['per-day']
  const rules = perDay === undefined ? [] : [{ perDayAtomic: parseAtomic('--per-day', perDay) }]
  const state = values.state === undefined ? undefined : await openStateFile(values.state)
  return {
    options: {
      account,
      maxAmountAtomic,
      budgetAtomic: maxAmountAtomic,
      rules,
      ...metered,
      ...(isAttested ? { attestKeyset } : {}),
      ...(state === undefined ? {} : { state }),
    },
    close: async () => {
      await state?.close()
    },
  }
}

/** Before anything is read. @throws UsageError for options that are malformed or do not fit together. */
export function checkCallPayment(values: CallPaymentValues): void {
  for (const name of ['max-price', 'per-day', 'deposit'] as const) {
    const value = values[name]
    if (value !== undefined) parseAtomic(`--${name}`, value)
  }
  checkTogether(values)
}

/** Whether the call is paid by a metered scheme. @throws UsageError */
function checkTogether(values: CallPaymentValues): boolean {
  const { upto, channel, state } = values
  if (upto && channel) throw new UsageError('--upto and --channel exclude each other')
  const isMetered = upto || channel
  if (isMetered && values['api-key'] !== undefined) {
    throw new UsageError('--api-key excludes --upto and --channel')
  }
  if (!channel && values.deposit !== undefined) throw new UsageError('--deposit needs --channel')
  if (channel && state === undefined) {
    throw new UsageError('--channel needs --state: without it the channel would be forgotten')
  }
  if (values['per-day'] !== undefined && state === undefined) {
    throw new UsageError('--per-day needs --state')
  }
  checkChain(values, isMetered)
  return isMetered
}

/** What says which chain is asked, and whether the payee is judged. @throws UsageError */
function checkChain(values: CallPaymentValues, isMetered: boolean): void {
  const { rpc } = values
  const ways = countPayeeChecks(values)
  if (!isMetered) {
    if (rpc !== undefined || ways > 0) {
      throw new UsageError(`--rpc, ${payeeCheckNames} go with --upto or --channel`)
    }
    return
  }
  readRpcUrls(rpc)
  if (ways !== 1) throw new UsageError(`--upto and --channel take one of ${payeeCheckNames}`)
}

/** The ways to say how a payee is judged. */
export const payeeCheckNames = '--operator, --operator-policy and --unchecked'

/** How many of those ways were taken. */
export function countPayeeChecks(values: {
  readonly operator?: string | undefined
  readonly 'operator-policy'?: string | undefined
  readonly unchecked: boolean
}): number {
  const given = [values.operator, values['operator-policy']].filter((value) => value !== undefined)
  return given.length + (values.unchecked ? 1 : 0)
}

async function readMetered(
  values: CallPaymentValues,
  attestation: CallAttestation,
): Promise<Pick<WalletOptions, 'chains' | 'checkPayee' | 'upto' | 'channels'>> {
  const { rpc, upto, deposit } = values
  const { reader, readers } = createPayeeReaders(readRpcUrls(rpc))
  const network = `eip155:${await reader.chainId()}`
  const checkPayee = await readPayeeCheck(values, { [network]: readers }, attestation)
  const depositAtomic =
    deposit === undefined ? defaultDepositAtomic : parseAtomic('--deposit', deposit)
  return {
    chains: { [network]: reader },
    checkPayee,
    ...(upto ? { upto } : { channels: { depositAtomic } }),
  }
}
