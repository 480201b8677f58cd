/** `countersign channel`: what lies in the channels of a payer, putting more in, and getting it back. */
import { parseWord, type Hex } from '@countersign/protocol/payment/evm-word'
import { createKeysetAttester } from '../attested/keyset-attester.ts'
import { createChainReader } from '../chain/chain-reader.ts'
import { sendTransaction } from '../chain/send-transaction.ts'
import { ClientError } from '../errors.ts'
import { readSecretFile } from '../files/secret-file.ts'
import {
  channelContractsOn,
  readChannelOnChain,
  type ChannelOnChain,
} from '../pay/channel-contracts.ts'
import type { ChannelRecord } from '../pay/channel-record.ts'
import { maxStateBytes, openClientState } from '../pay/client-state.ts'
import {
  encodeDeposit,
  encodeFinalizeWithdraw,
  encodeInitiateWithdraw,
} from './channel-transactions.ts'
import {
  parseAtomic,
  parseCommandLine,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintable } from './printable.ts'
import { countPayeeChecks, payeeCheckNames } from './call-payment.ts'

import { createPayeeReaders, readPayeeCheck, readRpcUrls } from './read-payee-check.ts'
import { readEvidenceVerifier, readPolicy } from './verify-command.ts'
import { openKeystore } from './wallet-command.ts'

/** The command. */
export const channelCommand: Command = {
  help: `usage: countersign channel list --state FILE [--rpc URL] [--json]
       countersign channel top-up ID --amount ATOMIC --state FILE --keystore FILE --rpc URL (--operator FILE |
         --operator-policy FILE | --unchecked)
       countersign channel withdraw ID --state FILE --keystore FILE --rpc URL [--amount ATOMIC]

Channels of the payer whose state is in FILE (openStateFile of the SDK). Money in a channel is the payer's until it is
claimed. A withdrawal has two steps, with the delay of the channel in between, in which the gateway may claim what it
charged: give the command once to begin it, and once more after the delay to end it. Nobody has to agree.

  --state FILE          the state of the payer
  --keystore FILE       key of the payer, which also pays for gas
  --rpc URL             a node of the channel's chain; given again: others, who must find right, too, who is paid
                        (top-up)
  --amount ATOMIC       top-up: what to put in; withdraw: what to ask back, default all that is not claimed
  --operator FILE       JSON with the terms of the gateway: network, gatewayId, payeeOwner, proposers, guardian,
                        minDelaySeconds, trustsProposers; who is paid is judged by them before the deposit
  --operator-policy FILE  JSON with what the announced terms must be: minDelaySeconds, and perhaps registries,
                        payeeOwners, guardians, proposers, trustsProposers; the attested keyset must name them
  --policy NAME|FILE, --evidence-policy FILE  what that attestation is judged by, as for countersign call
  --unchecked           deposit without judging who is paid
  --password-file FILE  as for countersign wallet
  --json                list: print one JSON object for each channel

exit code: 0 done, 2 a withdrawal waits for its delay, 64 wrong usage, 66 a file cannot be read, 69 refused or no chain

examples:
  countersign channel list --state payer.json --rpc http://127.0.0.1:8545
  countersign channel withdraw 0x5c1e… --state payer.json --keystore wallet.json --rpc http://127.0.0.1:8545
`,
  run,
}

type Values = {
  readonly state?: string | undefined
  readonly keystore?: string | undefined
  readonly rpc?: readonly string[] | undefined
  readonly amount?: string | undefined
  readonly operator?: string | undefined
  readonly 'operator-policy'?: string | undefined
  readonly policy?: string | undefined
  readonly 'evidence-policy'?: string | undefined
  readonly unchecked: boolean
  readonly 'password-file'?: string | undefined
  readonly json: boolean
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    state: { type: 'string' },
    keystore: { type: 'string' },
    rpc: { type: 'string', multiple: true },
    amount: { type: 'string' },
    operator: { type: 'string' },
    'operator-policy': { type: 'string' },
    policy: { type: 'string' },
    'evidence-policy': { type: 'string' },
    unchecked: { type: 'boolean', default: false },
    'password-file': { type: 'string' },
    json: { type: 'boolean', default: false },
  })
  const [action, id, ...more] = positionals
  if (action === 'list' && id === undefined) return list(values, context)
  if (more.length > 0 || id === undefined || (action !== 'top-up' && action !== 'withdraw')) {
    throw new UsageError('channel takes one of: list, top-up ID, withdraw ID')
  }
  const record = findChannel(await readChannels(values), id)
  return action === 'top-up' ? topUp(record, values, context) : withdraw(record, values, context)
}

async function list(values: Values, { terminal: { out } }: CommandContext): Promise<ExitCode> {
  const channels = await readChannels(values)
  for (const record of channels) {
    const view = values.rpc === undefined ? undefined : await readChain(record, values)
    out.write(values.json ? `${toJson(record, view)}\n` : formatChannel(record, view))
  }
  if (channels.length === 0 && !values.json) out.write('no channels\n')
  return exitCodes.ok
}

async function topUp(
  record: ChannelRecord,
  values: Values,
  context: CommandContext,
): Promise<ExitCode> {
  if (values.amount === undefined) throw new UsageError('--amount is missing')
  const amountAtomic = parseAtomic('--amount', values.amount)
  if (amountAtomic === 0n) throw new UsageError('--amount is 0')
  if (record.stopped !== undefined) {
    throw new ClientError('channel-stopped', { detail: record.stopped })
  }
  await judgePayee(record, values, context)
  const { network, config } = record
  const contracts = channelContractsOn(network)
  const account = await openPayer(record, values, context)
  const nowSeconds = BigInt(Math.floor(context.nowMs() / 1000))
  const data = await encodeDeposit(account, contracts, record, amountAtomic, nowSeconds)
  const { chainId, batch: to } = contracts
  const hash = await sendTransaction(account, rpcOf(values), chainId, { to, data })
  const { out } = context.terminal
  out.write(`deposited ${amountAtomic} of ${config.token} in ${hash}\n`)
  return exitCodes.ok
}

async function withdraw(
  record: ChannelRecord,
  values: Values,
  context: CommandContext,
): Promise<ExitCode> {
  const { chainId, batch: to } = channelContractsOn(record.network)
  const view = await readChain(record, values)
  const { out } = context.terminal
  if (view.withdrawRequestedAtSeconds === 0n) {
    const account = await openPayer(record, values, context)
    const free = view.balanceAtomic - view.claimedAtomic
    const amountAtomic = values.amount === undefined ? free : parseAtomic('--amount', values.amount)
    const data = encodeInitiateWithdraw(record.config, amountAtomic)
    const hash = await sendTransaction(account, rpcOf(values), chainId, { to, data })
    const { withdrawDelaySeconds } = record.config
    out.write(`asked for ${amountAtomic} back in ${hash}; again after ${withdrawDelaySeconds} s\n`)
    return exitCodes.incomplete
  }
  const endSeconds = view.withdrawRequestedAtSeconds + record.config.withdrawDelaySeconds
  const missing = endSeconds - BigInt(Math.floor(context.nowMs() / 1000))
  if (missing > 0n) {
    out.write(`${view.withdrawingAtomic} asked back; ${missing} s to wait\n`)
    return exitCodes.incomplete
  }
  const account = await openPayer(record, values, context)
  const data = encodeFinalizeWithdraw(record.config)
  const hash = await sendTransaction(account, rpcOf(values), chainId, { to, data })
  out.write(`withdrawn in ${hash}\n`)
  return exitCodes.ok
}

async function judgePayee(
  { network, origin, config }: ChannelRecord,
  values: Values,
  { nowMs }: CommandContext,
): Promise<void> {
  if (countPayeeChecks(values) !== 1) {
    throw new UsageError(`top-up takes one of ${payeeCheckNames}`)
  }
  const judgeEvidence = await readEvidenceVerifier(
    values['evidence-policy'],
    { signers: [], digest: undefined, issuedFrom: undefined },
    nowMs(),
  )
  const attestKeyset = createKeysetAttester({
    now: nowMs,
    policy: await readPolicy(values.policy, values['evidence-policy']),
    ...(judgeEvidence === undefined ? {} : { judgeEvidence }),
  })
  const { readers: own } = createPayeeReaders(readRpcUrls(values.rpc))
  const readers = { [network]: own }
  const check = await readPayeeCheck(values, readers, { attestKeyset })
  if (check === 'unchecked') return
  await check({
    network,
    origin,
    payTo: config.receiver,
    contract: {
      kind: 'channel',
      authorizer: config.receiverAuthorizer,
      withdrawDelaySeconds: Number(config.withdrawDelaySeconds),
    },
  })
}

async function openPayer(
  { config }: ChannelRecord,
  values: Values,
  context: CommandContext,
): ReturnType<typeof openKeystore> {
  if (values.keystore === undefined) throw new UsageError('--keystore is missing')
  const account = await openKeystore(values.keystore, values['password-file'], context)
  if (account.address.toLowerCase() === config.payer) return account
  throw new UsageError(`the key is of ${account.address}, the channel of ${config.payer}`)
}

/** Read only: another process may use the file meanwhile. */
async function readChannels({ state: path }: Values): Promise<readonly ChannelRecord[]> {
  if (path === undefined) throw new UsageError('--state is missing')
  const bytes = await readSecretFile(path, maxStateBytes)
  if (bytes === undefined) throw new ClientError('file-unreadable', { detail: path })
  const state = await openClientState({ read: () => Promise.resolve(bytes), write: refuseWrite })
  return [...state.channels.values()]
}

function refuseWrite(): Promise<void> {
  return Promise.reject(new ClientError('file-unwritable'))
}

function findChannel(channels: readonly ChannelRecord[], text: string): ChannelRecord {
  const id: Hex | undefined = parseWord(text)
  const record = channels.find(({ channelId }) => channelId === id)
  if (record === undefined) throw new UsageError(`there is no channel ${toPrintable(text)}`)
  return record
}

function readChain({ network, channelId }: ChannelRecord, values: Values): Promise<ChannelOnChain> {
  return readChannelOnChain(
    createChainReader(rpcOf(values)),
    channelContractsOn(network),
    channelId,
  )
}

/** The first node reads and sends. */
function rpcOf({ rpc }: Values): string {
  return readRpcUrls(rpc)[0]
}

function formatChannel(record: ChannelRecord, view: ChannelOnChain | undefined): string {
  const { channelId, origin, network, config, pending, stopped } = record
  const chain =
    view === undefined
      ? ''
      : `  on chain    ${view.balanceAtomic} deposited, ${view.claimedAtomic} claimed, ${view.withdrawingAtomic} asked back\n`
  return (
    `${channelId}\n` +
    `  gateway     ${toPrintable(origin)}\n` +
    `  payee       ${config.receiver} on ${network}, delay ${config.withdrawDelaySeconds} s\n` +
    `  known       ${record.balanceAtomic} deposited, ${record.settledAtomic} charged, ${record.signedAtomic} signed\n` +
    `  not known   ${pending.length} calls of at most ${sumOf(pending.map((call) => call.amountAtomic))}\n` +
    chain +
    (stopped === undefined ? '' : `  stopped     ${toPrintable(stopped)}\n`)
  )
}

function sumOf(amounts: readonly bigint[]): bigint {
  return amounts.reduce((sum, amount) => sum + amount, 0n)
}

function toJson(record: ChannelRecord, chain: ChannelOnChain | undefined): string {
  return JSON.stringify(chain === undefined ? record : { ...record, chain }, (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}` : value,
  )
}
