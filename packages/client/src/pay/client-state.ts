/** What a payer must remember: what was signed on which day, and its channels. Read strictly: a wrong ceiling costs money. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import {
  parseAddress,
  parseDecimal,
  parseWord,
  type Hex,
} from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import { isJsonArray, isJsonMap } from './base64-json.ts'
import type { ChannelRecord, PendingCall, PendingDeposit } from './channel-record.ts'
import { readDayKey, type DayTotals } from './spending-ledger.ts'

/** Where state is kept. A seam: `openStateFile` on Node. */
export type StateStore = {
  /** What was written last, or `undefined`. */
  read(): Promise<Uint8Array | undefined>
  /** Replaces everything; resolves when it would survive a crash. */
  write(bytes: Uint8Array): Promise<void>
}

/** State in memory; whoever changes it calls `durable` before anything that follows from the change leaves the process. */
export type ClientState = {
  readonly totals: DayTotals
  readonly channels: Map<Hex, ChannelRecord>
  /** Resolves when all changes made before the call are kept. Rejects for ever after a write has failed. */
  durable(): Promise<void>
}

/** Most bytes of a state. */
export const maxStateBytes = 4_194_304

/** State that is forgotten with the process. */
export function createMemoryState(): ClientState {
  return { totals: new Map(), channels: new Map(), durable: () => Promise.resolve() }
}

/**
 * Reads the state of a store.
 *
 * @throws ClientError `state-malformed`; what the store throws.
 */
export async function openClientState(store: StateStore): Promise<ClientState> {
  const bytes = await store.read()
  const { totals, channels } = bytes === undefined ? createMemoryState() : decodeState(bytes)
  // Owned here: writes never overlap, and changes that come while one runs are written together by the next.
  let running: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  return {
    totals,
    channels,
    durable: () => {
      next ??= running.then(() => {
        next = undefined
        running = store.write(encodeState(totals, channels))
        return running
      })
      return next
    },
  }
}

function encodeState(totals: DayTotals, channels: ReadonlyMap<Hex, ChannelRecord>): Uint8Array {
  const json = {
    countersignPayer: 1,
    totals: Object.fromEntries(Array.from(totals, ([key, amount]) => [key, `${amount}`])),
    // Nothing was signed for the others.
    channels: [...channels.values()].filter(({ signedAtomic }) => signedAtomic > 0n),
  }
  const text = JSON.stringify(json, (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}` : value,
  )
  const bytes = encodeUtf8(`${text}\n`)
  // What could not be read again must not take the place of what can.
  if (bytes.length > maxStateBytes) {
    throw new ClientError('file-unwritable')
  }
  return bytes
}

function decodeState(bytes: Uint8Array): Pick<ClientState, 'totals' | 'channels'> {
  const json = bytes.length <= maxStateBytes ? decodeJson(bytes) : undefined
  if (!isJsonMap(json) || json.get('countersignPayer') !== 1) throw malformed('not a state')
  const days = json.get('totals')
  const list = json.get('channels')
  if (!isJsonMap(days) || !isJsonArray(list)) throw malformed('no totals or channels')
  const totals: DayTotals = new Map()
  for (const [key, amount] of days) {
    if (readDayKey(key) === undefined) throw malformed('a total of no day')
    totals.set(key, decimalOf(amount, 256n))
  }
  const channels = new Map<Hex, ChannelRecord>()
  for (const item of list) {
    const record = decodeChannel(item)
    if (channels.has(record.channelId)) throw malformed('a channel twice')
    channels.set(record.channelId, record)
  }
  return { totals, channels }
}

function decodeChannel(value: JsonValue): ChannelRecord {
  const members = mapOf(value)
  const config = mapOf(members.get('config'))
  const stopped = members.get('stopped')
  const deposit = members.get('deposit')
  const pending = members.get('pending')
  if (!isJsonArray(pending)) throw malformed('pending')
  return {
    channelId: wordOf(members, 'channelId'),
    origin: textOf(members, 'origin'),
    network: textOf(members, 'network'),
    config: {
      payer: addressOf(config, 'payer'),
      payerAuthorizer: addressOf(config, 'payerAuthorizer'),
      receiver: addressOf(config, 'receiver'),
      receiverAuthorizer: addressOf(config, 'receiverAuthorizer'),
      token: addressOf(config, 'token'),
      withdrawDelaySeconds: decimalOf(config.get('withdrawDelaySeconds'), 40n),
      salt: wordOf(config, 'salt'),
    },
    balanceAtomic: amountOf(members, 'balanceAtomic'),
    claimedAtomic: amountOf(members, 'claimedAtomic'),
    withdrawingAtomic: amountOf(members, 'withdrawingAtomic'),
    settledAtomic: amountOf(members, 'settledAtomic'),
    signedAtomic: amountOf(members, 'signedAtomic'),
    // Whoever sent these is gone: what became of them is not known.
    pending: pending.map((item) => ({ ...decodePending(item), isLost: true })),
    deposit: deposit === null || deposit === undefined ? undefined : decodeDeposit(deposit),
    stopped: typeof stopped === 'string' ? stopped : undefined,
  }
}

function decodePending(value: JsonValue): PendingCall {
  const members = mapOf(value)
  return {
    id: textOf(members, 'id'),
    ceilingAtomic: amountOf(members, 'ceilingAtomic'),
    amountAtomic: amountOf(members, 'amountAtomic'),
    sentAtMs: timeOf(members, 'sentAtMs'),
    isLost: true,
  }
}

function decodeDeposit(value: JsonValue): PendingDeposit {
  const members = mapOf(value)
  return {
    amountAtomic: amountOf(members, 'amountAtomic'),
    salt: wordOf(members, 'salt'),
    validBeforeSeconds: decimalOf(members.get('validBeforeSeconds'), 40n),
  }
}

function mapOf(value: JsonValue | undefined): JsonMap {
  if (!isJsonMap(value)) throw malformed('an object is missing')
  return value
}

function textOf(members: JsonMap, name: string): string {
  const value = members.get(name)
  if (typeof value !== 'string' || value.length > 256) throw malformed(name)
  return value
}

function timeOf(members: JsonMap, name: string): number {
  const value = members.get(name)
  if (typeof value !== 'number' || value < 0) throw malformed(name)
  return value
}

function addressOf(members: JsonMap, name: string): Hex {
  return held(parseAddress(members.get(name)), name)
}

function wordOf(members: JsonMap, name: string): Hex {
  return held(parseWord(members.get(name)), name)
}

function amountOf(members: JsonMap, name: string): bigint {
  return decimalOf(members.get(name), 128n)
}

function decimalOf(value: JsonValue | undefined, bits: bigint): bigint {
  return held(parseDecimal(value, bits), 'an amount')
}

function held<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw malformed(name)
  return value
}

function malformed(detail: string): ClientError {
  return new ClientError('state-malformed', { detail })
}
