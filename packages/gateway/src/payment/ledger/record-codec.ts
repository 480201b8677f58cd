/** Events as lines of JSON, amounts in decimal. What a file holds is parsed like anything from outside. */
import { z } from 'zod'
import type { LedgerEvent } from './ledger.ts'

/** A line that is no event of this version. */
class UnknownRecord extends Error {
  constructor(options?: { cause?: unknown }) {
    super('the journal holds a record that this version does not know', options)
    this.name = 'UnknownRecord'
  }
}

/** One line, without its end. */
export function encodeRecord(event: LedgerEvent): string {
  // What every call journals is written by hand, ten times as fast: hex, digits and our own words need no escape.
  if (event.type === 'call-reserved') return encodeReserved(event)
  if (event.type === 'call-charged') {
    return `{"type":"call-charged",${encodeCall(event)},"amountAtomic":"${event.amountAtomic}","atMs":${event.atMs}}`
  }
  if (event.type === 'call-progressed') {
    return `{"type":"call-progressed",${encodeCall(event)},"provenAtomic":"${event.provenAtomic}"}`
  }
  if (event.type === 'receipt-issued') {
    return `{"type":"receipt-issued","callId":"${event.callId}"}`
  }
  return JSON.stringify(event, (_name, value: unknown) =>
    typeof value === 'bigint' ? `${value}` : value,
  )
}

function encodeReserved(event: LedgerEvent & { readonly type: 'call-reserved' }): string {
  const { requestHash, amountAtomic, ceilingAtomic, signature, mode, maxRunningCalls } = event
  return `{"type":"call-reserved",${encodeCall(event)},"requestHash":"${requestHash}","amountAtomic":"${amountAtomic}","ceilingAtomic":"${ceilingAtomic}","signature":"${signature}","mode":"${mode}","maxRunningCalls":${maxRunningCalls}}`
}

function encodeCall(event: { readonly channelId: string; readonly callId: string }): string {
  return `"channelId":"${event.channelId}","callId":"${event.callId}"`
}

/** @throws UnknownRecord */
export function parseRecord(line: string): LedgerEvent {
  try {
    const value: unknown = JSON.parse(line)
    return record.parse(value)
  } catch (cause) {
    throw new UnknownRecord({ cause })
  }
}

const amount = z
  .string()
  .regex(/^(?:0|[1-9][0-9]{0,77})$/)
  .transform((text) => BigInt(text))
const hex = z
  .string()
  .regex(/^0x[0-9a-f]*$/)
  .transform((text): `0x${string}` => `0x${text.slice(2)}`)
const address = z
  .string()
  .regex(/^0x[0-9a-f]{40}$/)
  .transform((text): `0x${string}` => `0x${text.slice(2)}`)
const word = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/)
  .transform((text): `0x${string}` => `0x${text.slice(2)}`)
const signature = z
  .string()
  .regex(/^0x[0-9a-f]{130}$/)
  .transform((text): `0x${string}` => `0x${text.slice(2)}`)
const callId = z.string().regex(/^[0-9a-f]{32}$/)
const atMs = z.int().min(0)
const mode = z.enum(['strict', 'unique-ceiling'])

const config = z.strictObject({
  payer: address,
  payerAuthorizer: address,
  receiver: address,
  receiverAuthorizer: address,
  token: address,
  withdrawDelaySeconds: amount,
  salt: word,
})
const view = z.strictObject({
  depositedAtomic: amount,
  claimedAtomic: amount,
  withdrawingAtomic: amount,
  withdrawRequestedAtSeconds: amount,
  refundNonce: amount,
  blockNumber: amount,
  finalBlockNumber: amount,
})
/** JSON has no undefined: such a member is left out, and comes back as undefined. */
const channelAccount = z
  .strictObject({
    channelId: word,
    config,
    mode,
    view,
    refunding: z
      .strictObject({ amountAtomic: amount, nonce: amount, minedAtBlock: amount.optional() })
      .transform(({ minedAtBlock, ...refund }) => ({ ...refund, minedAtBlock }))
      .optional(),
    baseAtomic: amount,
    chargedAtomic: amount,
    reservedAtomic: amount,
    signed: z.strictObject({ ceilingAtomic: amount, signature }).optional(),
    usedCeilings: z.array(amount),
    floorAtomic: amount,
    running: z.array(
      z.strictObject({
        callId,
        requestHash: word,
        ceilingAtomic: amount,
        signature,
        reservedAtomic: amount,
        provenAtomic: amount,
      }),
    ),
    claim: z.strictObject({ totalAtomic: amount, sentAtMs: atMs }).optional(),
    unclaimedSinceMs: atMs.optional(),
    frozen: z.boolean(),
  })
  .transform(({ refunding, signed, claim, unclaimedSinceMs, ...account }) => ({
    ...account,
    refunding,
    signed,
    claim,
    unclaimedSinceMs,
  }))
const retired = z
  .strictObject({
    mode,
    baseAtomic: amount,
    chargedAtomic: amount,
    signed: z.strictObject({ ceilingAtomic: amount, signature }).optional(),
    usedCeilings: z.array(amount),
    floorAtomic: amount,
  })
  .transform(({ signed, ...rest }) => ({ ...rest, signed }))
const permit = z.strictObject({
  token: address,
  amountAtomic: amount,
  spender: address,
  nonce: amount,
  deadlineSeconds: amount,
  to: address,
  facilitator: address,
  validAfterSeconds: amount,
  signature,
})
const payerAccount = z.strictObject({
  payer: address,
  reservedAtomic: amount,
  unsettledAtomic: amount,
  failedAtomic: amount,
})
const payment = z.strictObject({
  payer: address,
  permit,
  callId,
  requestHash: word,
  provenAtomic: amount,
  state: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('running') }),
    z.strictObject({ kind: z.enum(['charged', 'settled', 'failed']), chargedAtomic: amount }),
  ]),
})
const transaction = z.strictObject({
  hash: word,
  raw: hex,
  transactionNonce: z.int().min(0),
  purpose: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('claim'),
      rows: z.array(z.strictObject({ channelId: word, totalAtomic: amount })),
    }),
    z.strictObject({
      kind: z.literal('deposit'),
      channelId: word,
      payer: address,
      method: z.enum(['erc3009', 'permit2']),
      authorization: word,
      amountAtomic: amount,
    }),
    z.strictObject({ kind: z.literal('refund'), channelId: word }),
    z.strictObject({ kind: z.literal('upto'), payer: address, nonce: amount }),
    z.strictObject({ kind: z.literal('settle') }),
    z.strictObject({
      kind: z.literal('collect'),
      step: z.enum(['settle', 'forward']),
      payee: address,
      isLast: z.boolean(),
    }),
  ]),
})

const charge = z.strictObject({
  callId,
  requestHash: word,
  amountAtomic: amount,
  payment: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('channel'), channelId: word, cumulativeAtomic: amount }),
    z.strictObject({ kind: z.literal('upto'), payer: address, nonce: amount }),
  ]),
})

const named = { name: z.string().regex(/^[0-9a-f]{32}$/), callId, requestHash: word, atMs }
const channel = { channelId: word }
const call = { channelId: word, callId }
const upto = { payer: address, nonce: amount }
const record = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('channel-opened'), ...channel, config, view }),
  z.strictObject({ type: z.literal('channel-seen'), ...channel, view }),
  z.strictObject({
    type: z.literal('call-reserved'),
    ...call,
    requestHash: word,
    amountAtomic: amount,
    ceilingAtomic: amount,
    signature,
    mode,
    maxRunningCalls: z.int().min(1),
  }),
  z.strictObject({ type: z.literal('call-progressed'), ...call, provenAtomic: amount }),
  z.strictObject({ type: z.literal('call-charged'), ...call, amountAtomic: amount, atMs }),
  z.strictObject({ type: z.literal('call-released'), ...call }),
  z.strictObject({ type: z.literal('refund-signed'), ...channel, amountAtomic: amount }),
  z.strictObject({ type: z.literal('claim-sent'), ...channel, totalAtomic: amount, atMs }),
  z.strictObject({
    type: z.enum(['channel-frozen', 'channel-thawed', 'channel-retired']),
    ...channel,
  }),
  z.strictObject({ type: z.literal('retired-restored'), ...channel, retired }),
  z.strictObject({
    type: z.literal('upto-reserved'),
    payer: address,
    permit,
    callId,
    requestHash: word,
    fundsAtomic: amount,
    maxExposureAtomic: amount,
  }),
  z.strictObject({
    type: z.enum(['upto-progressed', 'upto-charged']),
    ...upto,
    amountAtomic: amount,
  }),
  z.strictObject({
    type: z.enum([
      'upto-released',
      'upto-settled',
      'upto-failed',
      'upto-unsettled',
      'upto-forgotten',
    ]),
    ...upto,
  }),
  z.strictObject({ type: z.literal('transaction-signed'), transaction }),
  z.strictObject({ type: z.enum(['transaction-ended', 'transaction-forgotten']), hash: word }),
  z.strictObject({ type: z.literal('channel-restored'), account: channelAccount }),
  z.strictObject({ type: z.literal('payer-restored'), account: payerAccount }),
  z.strictObject({ type: z.literal('payment-restored'), record: payment }),
  z.strictObject({ type: z.literal('receipt-issued'), callId }),
  z.strictObject({ type: z.literal('receipt-owed'), charge }),
  z.strictObject({ type: z.literal('name-taken'), ...named }),
  z.strictObject({ type: z.literal('names-forgotten'), beforeMs: atMs }),
  z.strictObject({ type: z.literal('collect-gas'), day: z.int().min(0), gasUnits: amount }),
  z.strictObject({ type: z.literal('uncollected'), payee: address, sinceMs: atMs }),
  z.strictObject({ type: z.literal('collected'), payee: address }),
  z.strictObject({
    type: z.literal('name-restored'),
    call: z.strictObject({ ...named, state: z.enum(['running', 'used']) }),
  }),
])
