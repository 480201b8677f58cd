/** The channels of one wallet: their records, and what of them lives only as long as the process. */
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { encodeWord, type Hex } from '@countersign/protocol/payment/evm-word'
import type { ChainReader } from '../chain/chain-reader.ts'
import { ClientError } from '../errors.ts'
import { createCallGate, type CallGate } from './call-gate.ts'
import {
  channelContractsOn,
  isDepositUsed,
  readChannelOnChain,
  type ChannelContracts,
} from './channel-contracts.ts'
import { createChannelRecord, raiseSettled, type ChannelRecord } from './channel-record.ts'
import type { ChannelToken } from './channel-voucher.ts'
import type { ClientState } from './client-state.ts'
import type { PaymentTerms } from './payment-header.ts'
import type { ChannelOffer } from './payment-required.ts'
import type { SpendingLedger } from './spending-ledger.ts'
import { readSigner, type PaymentSigner } from './sign-typed-data.ts'

/** How channels are filled. Amounts are atomic units. */
export type ChannelPolicy = {
  /** Deposited when a channel is opened, and at each top-up. */
  readonly depositAtomic: bigint
  /** A call after which less than this is left brings a top-up with it; 0: only one that does not fit. */
  readonly topUpBelowAtomic: bigint
  /** Most that lies in the channels of one token with one gateway and is not charged. */
  readonly maxLockedAtomic: bigint
  /** Most calls at once in one channel, however many the gateway allows. */
  readonly maxRunningCalls: number
  /** Part of the channel id: another salt is another channel of the same parties. */
  readonly salt: bigint
}

/** Who is to be paid, and by which contract. Addresses are lower case. */
export type Payee = {
  readonly network: string
  readonly origin: string
  readonly payTo: Hex
  readonly contract:
    | { readonly kind: 'channel'; readonly authorizer: Hex; readonly withdrawDelaySeconds: number }
    | { readonly kind: 'upto'; readonly settler: Hex }
}

/** Judges who is paid, before money is put where it can be taken. @throws ClientError when it is not to be trusted. */
export type PayeeCheck = (payee: Payee) => Promise<void>

/** Where and how one call is paid. */
export type ChannelCall = {
  readonly origin: string
  readonly terms: PaymentTerms<ChannelOffer>
  /** The token as this side knows it. */
  readonly token: ChannelToken
  readonly signal: AbortSignal | undefined
}

/** What channels are paid with. */
export type ChannelContext = {
  readonly signer: PaymentSigner
  readonly state: ClientState
  readonly ledger: SpendingLedger
  readonly policy: ChannelPolicy
  readonly readerOf: (network: string) => ChainReader
  readonly checkPayee: PayeeCheck
  readonly now: () => number
  readonly random: (bytes: number) => Uint8Array
}

/** A voucher that was shown and is not ended. */
export type RunningVoucher = {
  readonly isAlone: boolean
  readonly hasDeposit: boolean
  /** What was claimed, and what ended calls may have been charged, when it was signed. */
  readonly claimedAtomic: bigint
  readonly endedAtomic: bigint
}

/** One channel while the process lives. */
export type LiveChannel = {
  readonly channelId: Hex
  readonly gate: CallGate
  readonly contracts: ChannelContracts
  /** Calls that passed the gate and did not leave it. */
  readonly running: Map<string, RunningVoucher>
  /** Set while a call carries a deposit: others that need one wait for it. */
  deposit: { readonly ended: Promise<void>; readonly end: () => void } | undefined
  /** Somebody filled it before this record knew of a signature, and no correction came since: memory may be lost. */
  isBlank: boolean
  /** The most that calls were charged that ended in this process. */
  endedAtomic: bigint
  /** The first reading of the chain. */
  opened: Promise<void> | undefined
  record(): ChannelRecord
  put(record: ChannelRecord): void
  /** Reads the chain: the balance, and whether a deposit under way is there. @throws ClientError `chain-…`. */
  refresh(): Promise<void>
}

/** Owner of the live channels. */
export type ChannelBook = {
  /** The channel of an offer, once it was read from the chain. */
  open(call: ChannelCall): Promise<LiveChannel>
  /** One that was opened. */
  get(channelId: Hex): LiveChannel
}

// Clocks differ: an authorization that has just expired may still be in a block.
const expirySlackMs = 120_000

/** An empty book over the records of the state. */
export function createChannelBook(context: ChannelContext): ChannelBook {
  const { signer, state } = context
  const lives = new Map<Hex, LiveChannel>()
  return {
    open: async (call) => {
      const { origin, terms } = call
      const { offer } = terms
      const { network } = offer
      const contracts = channelContractsOn(network)
      const config = configOf(readSigner(signer), offer, context.policy.salt)
      const channelId = contracts.domain.hashChannelId(config)
      if (!state.channels.has(channelId)) {
        // A chain that nobody here reads is no place for a channel.
        context.readerOf(network)
        // Whoever makes up new terms for each call must not fill our memory with channels.
        await judgePayee(context, call)
        const record = createChannelRecord({ channelId, config, origin, network })
        if (!state.channels.has(channelId)) state.channels.set(channelId, record)
      }
      const live = lives.get(channelId) ?? createLive(context, channelId, contracts)
      lives.set(channelId, live)
      live.opened ??= live.refresh()
      try {
        await live.opened
      } catch (error) {
        live.opened = undefined
        throw error
      }
      return live
    },
    get: (channelId) => {
      const live = lives.get(channelId)
      if (live === undefined) throw new Error('a channel that was never opened')
      return live
    },
  }
}

/** Judges who is paid from the channel of this call. @throws what the check throws. */
export function judgePayee(
  { checkPayee }: ChannelContext,
  { origin, terms }: ChannelCall,
): Promise<void> {
  const { network, payTo, receiverAuthorizer: authorizer, withdrawDelaySeconds } = terms.offer
  const contract = { kind: 'channel', authorizer, withdrawDelaySeconds } as const
  return checkPayee({ network, origin, payTo, contract })
}

/** @throws ClientError `channel-stopped`, `channel-withdrawing`. */
export function refuseStopped({ stopped, withdrawingAtomic }: ChannelRecord): void {
  if (stopped !== undefined) throw new ClientError('channel-stopped', { detail: stopped })
  if (withdrawingAtomic > 0n) throw new ClientError('channel-withdrawing')
}

function createLive(
  context: ChannelContext,
  channelId: Hex,
  contracts: ChannelContracts,
): LiveChannel {
  const { state } = context
  // Owned here: of two readings at once the older view could be written last.
  let reading: Promise<void> = Promise.resolve()
  return {
    channelId,
    gate: createCallGate(),
    contracts,
    running: new Map(),
    deposit: undefined,
    isBlank: false,
    endedAtomic: 0n,
    opened: undefined,
    record: () => recordOf(state, channelId),
    put: (next) => void state.channels.set(channelId, next),
    refresh: () => {
      const next = reading.then(() => refreshChannel(context, contracts, channelId))
      reading = next.catch(() => undefined)
      return next
    },
  }
}

/** Reads a channel from the chain: the balance, and whether a deposit under way is there. @throws ClientError `chain-…`. */
export async function refreshChannel(
  { state, readerOf, now }: ChannelContext,
  contracts: ChannelContracts,
  channelId: Hex,
): Promise<void> {
  const { network, config, deposit } = recordOf(state, channelId)
  const reader = readerOf(network)
  const isUsed =
    deposit !== undefined &&
    (await isDepositUsed(reader, config.token, config.payer, { channelId, ...deposit }))
  const { withdrawRequestedAtSeconds: _, ...view } = await readChannelOnChain(
    reader,
    contracts,
    channelId,
  )
  const before = recordOf(state, channelId)
  // Nothing below what is claimed can be owed.
  const next = raiseSettled({ ...before, ...view }, view.claimedAtomic)
  const isExpired =
    deposit !== undefined &&
    BigInt(Math.floor((now() - expirySlackMs) / 1000)) > deposit.validBeforeSeconds
  const isOver = before.deposit?.salt === deposit?.salt && (isUsed || isExpired)
  state.channels.set(channelId, isOver ? { ...next, deposit: undefined } : next)
}

function recordOf({ channels }: ClientState, channelId: Hex): ChannelRecord {
  const found = channels.get(channelId)
  if (found === undefined) throw new Error('a channel without a record')
  return found
}

/** The larger of two amounts. */
export function largest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function configOf(payer: Hex, offer: ChannelOffer, salt: bigint): ChannelConfig {
  return {
    payer,
    payerAuthorizer: payer,
    receiver: offer.payTo,
    receiverAuthorizer: offer.receiverAuthorizer,
    token: offer.asset,
    withdrawDelaySeconds: BigInt(offer.withdrawDelaySeconds),
    // Always the same: a payer who lost its state finds its channel again.
    salt: `0x${toHex(encodeWord(salt))}`,
  }
}
