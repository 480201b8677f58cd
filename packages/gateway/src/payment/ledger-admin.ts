/**
 * What an operator does with the payment ledger of a gateway that is stopped: `node ledger-admin.ts --config FILE COMMAND`.
 * It opens the ledger as a start of the gateway does, and serves nobody (spec/payment.md PA21.7).
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseWord, type Hex } from '@countersign/protocol/payment/evm-word'
import { BaseError, getAddress } from 'viem'
import { ConfigError, loadConfig } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'
import type { ChannelManager } from './channel/channel-manager.ts'
import { SettlementKeyUntrusted } from './channel/settlement-key.ts'
import { readChargeKeys, readSettlementKey } from './charge-key/read-charge-keys.ts'
import { DatabaseFault, ownDatabase } from './database.ts'
import { ChainUnreachable } from './exact/chain.ts'
import { openLedger } from './exact/ledger.ts'
import { pause } from './exact/pause.ts'
import { createSettlementAccount, MaybeSent, NotSent } from './exact/sender.ts'
import type { ChannelAccount } from './ledger/channel-account.ts'
import { JournalDamaged } from './ledger/journal-frame.ts'
import type { LedgerState } from './ledger/ledger.ts'
import { findNamedKeys } from '../receipts/find-named-keys.ts'
import { openReceiptStore } from '../receipts/receipt-store.ts'
import { ChargeKeyUnannounced } from './charge-key/charge-keys.ts'
import { openMetered, type OpenMetered } from './metered/open-metered.ts'

const usage = `usage: --config FILE show
       --config FILE claim
       --config FILE reexamine CHANNEL
The gateway must be stopped. Each line of output is one JSON object.`
const settleBoundMs = 120_000
const pollMs = 200

type Command =
  | { readonly kind: 'show' }
  | { readonly kind: 'claim' }
  | { readonly kind: 'reexamine'; readonly channelId: Hex }

/** What it needs of the process. */
export type LedgerAdminSurroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: () => number
  readonly write: (line: string) => void
}

/**
 * Runs one command.
 *
 * @returns the exit code, or undefined for wrong usage.
 * @throws ConfigError; DatabaseFault while the gateway runs; what the chain answers.
 */
export async function administerLedger(
  commandLine: readonly string[],
  surroundings: LedgerAdminSurroundings,
): Promise<0 | 1 | undefined> {
  const parsed = parseCommandLine(commandLine)
  if (parsed === undefined) return undefined
  const { config } = loadConfig(parsed.file)
  const open = await openLedgers(config, surroundings)
  try {
    return await runCommand(parsed.command, open.metered, surroundings)
  } finally {
    await open.close()
  }
}

function parseCommandLine(
  commandLine: readonly string[],
): { readonly file: string; readonly command: Command } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...commandLine],
      options: { config: { type: 'string' } },
      allowPositionals: true,
    })
    const command = parseCommand(positionals)
    if (values.config === undefined || command === undefined) return undefined
    return { file: values.config, command }
  } catch {
    return undefined
  }
}

function parseCommand([verb, id, ...rest]: readonly string[]): Command | undefined {
  if (rest.length > 0) return undefined
  if (verb === 'show' || verb === 'claim') return id === undefined ? { kind: verb } : undefined
  const channelId = parseWord(id)
  return verb === 'reexamine' && channelId !== undefined ? { kind: verb, channelId } : undefined
}

async function openLedgers(
  config: Config,
  { environment, clock }: LedgerAdminSurroundings,
): Promise<{ readonly metered: OpenMetered; readonly close: () => Promise<void> }> {
  const { payment } = config
  if (payment === 'none') throw new ConfigError('the configuration has no payment')
  const settlementKey = readSettlementKey(environment)
  const metered = await openMetered(config, payment, {
    settlementKey,
    chargeKeys: readChargeKeys(config, environment),
    // Nothing is sold here.
    longestCallMs: 0,
    clock,
    onFault: rethrow,
    onDiskFault: rethrow,
  })
  if (metered === undefined) {
    throw new ConfigError('the configuration has neither upto nor batchSettlement')
  }
  showFormerKeysets(config, metered)
  await metered.chargeKeys.refresh()
  const closeExact = joinExact(config, payment.exact, settlementKey, metered)
  return {
    metered,
    close: async () => {
      await metered.stop()
      closeExact()
      await metered.ledger.close()
    },
  }
}

/** Keys that no keyset of the gateway names sign nothing (PA28.7): here none is opened, but some were. */
function showFormerKeysets({ dataDir }: Config, { chargeKeys }: OpenMetered): void {
  const receipts = openReceiptStore(dataDir, rethrow)
  try {
    const { address, others } = chargeKeys.named()
    const named = findNamedKeys(receipts, [address, ...others])
    const [first, ...rest] = named
    if (first !== undefined) chargeKeys.shown(receipts, { address: first, others: rest })
  } finally {
    receipts.close()
  }
}

/** The same key sends the settlements of `exact`: what is signed of them keeps its nonce. */
function joinExact(
  config: Config,
  exact: { readonly network: string; readonly asset: string } | undefined,
  settlementKey: string,
  { sharedSender }: OpenMetered,
): () => void {
  if (exact === undefined) return () => undefined
  const file = join(config.dataDir, 'payments.db')
  const owner = ownDatabase(file, 'exact')
  const ledger = openLedger(file, {
    network: exact.network,
    asset: getAddress(exact.asset),
    sender: createSettlementAccount(settlementKey).address,
  })
  sharedSender.join(ledger)
  return () => {
    ledger.close()
    owner.release()
  }
}

function rethrow(error: unknown): never {
  throw error
}

async function runCommand(
  command: Command,
  { ledger, manager }: OpenMetered,
  { write }: LedgerAdminSurroundings,
): Promise<0 | 1> {
  if (command.kind === 'show') {
    for (const line of describeLedger(ledger.state)) write(toLine(line))
    return 0
  }
  if (manager === undefined) throw new ConfigError('the configuration has no batchSettlement')
  if (command.kind === 'claim') return claim(manager, ledger.state, write)
  const found = await manager.reexamine(command.channelId)
  write(toLine({ channelId: command.channelId, ...found }))
  return found.kind === 'thawed' || found.kind === 'not-frozen' ? 0 : 1
}

/** Claims all that is charged, and waits until the chain has it. */
async function claim(
  manager: ChannelManager,
  state: LedgerState,
  write: (line: string) => void,
): Promise<0 | 1> {
  await manager.step()
  await manager.claimAll()
  const until = performance.now() + settleBoundMs
  const { signal } = new AbortController()
  while (countChannelTransactions(state) > 0 && performance.now() < until) {
    await pause(pollMs, signal)
    await manager.step()
  }
  for (const account of state.channels.values()) {
    if (account.chargedAtomic > 0n) write(toLine(describeChannel(account)))
  }
  const isDone = [...state.channels.values()].every((account) => owedAtomic(account) <= 0n)
  return isDone && countChannelTransactions(state) === 0 ? 0 : 1
}

function countChannelTransactions({ transactions }: LedgerState): number {
  return [...transactions.values()].filter(
    ({ purpose }) => purpose.kind !== 'upto' && purpose.kind !== 'collect',
  ).length
}

function owedAtomic({ chargedAtomic, view }: ChannelAccount): bigint {
  return chargedAtomic - view.claimedAtomic
}

/** Channels, payments by `upto` that are not settled, transactions under way, and the sums. */
function describeLedger({
  channels,
  payments,
  transactions,
  owedReceipts,
}: LedgerState): readonly object[] {
  const owing = [...payments.values()].flatMap(({ payer, permit: { nonce }, state }) =>
    state.kind === 'charged' || state.kind === 'failed'
      ? [{ payer, nonce, state: state.kind, chargedAtomic: state.chargedAtomic }]
      : [],
  )
  const accounts = [...channels.values()]
  return [
    ...accounts.map(describeChannel),
    ...owing,
    ...[...transactions.values()].map(({ hash, purpose }) => ({ hash, purpose: purpose.kind })),
    {
      channels: accounts.length,
      frozen: accounts.filter(({ frozen }) => frozen).length,
      depositedAtomic: sum(accounts.map(({ view }) => view.depositedAtomic)),
      unclaimedAtomic: sum(accounts.map(owedAtomic)),
      unsettledUptoAtomic: sum(
        owing.filter(({ state }) => state === 'charged').map((each) => each.chargedAtomic),
      ),
      transactions: transactions.size,
      owedReceipts: owedReceipts.size,
    },
  ]
}

function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((a, b) => a + b, 0n)
}

function describeChannel(account: ChannelAccount): object {
  const { channelId, config, view, chargedAtomic, frozen, refunding } = account
  return {
    channelId,
    payer: config.payer,
    depositedAtomic: view.depositedAtomic,
    claimedAtomic: view.claimedAtomic,
    chargedAtomic,
    unclaimedAtomic: owedAtomic(account),
    withdrawingAtomic: view.withdrawingAtomic,
    frozen,
    refunding: refunding !== undefined,
  }
}

function toLine(value: object): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'bigint' ? `${member}` : member,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2))
}

async function main(commandLine: readonly string[]): Promise<number> {
  try {
    const code = await administerLedger(commandLine, {
      environment: process.env,
      clock: Date.now,
      write: (line) => process.stdout.write(`${line}\n`),
    })
    if (code === undefined) process.stderr.write(`${usage}\n`)
    return code ?? 64
  } catch (error) {
    if (!isExpected(error)) throw error
    process.stderr.write(`error ${error.message}\n`)
    return 69
  }
}

function isExpected(error: unknown): error is Error {
  return (
    error instanceof ConfigError ||
    error instanceof DatabaseFault ||
    error instanceof JournalDamaged ||
    error instanceof ChainUnreachable ||
    error instanceof SettlementKeyUntrusted ||
    error instanceof ChargeKeyUnannounced ||
    error instanceof NotSent ||
    error instanceof MaybeSent ||
    error instanceof BaseError
  )
}
