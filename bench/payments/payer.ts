/** How a generator pays: one payment for each call, and a look at what the answer says of it. */
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { createBatchDomain, decodeChannelId } from '@countersign/protocol/payment/channel'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { loadEvmCurve } from '../../packages/gateway/src/payment/evm-curve.ts'
import type { JobPayment } from './payment-job.ts'

/** The payment of one call. */
export type Payment = {
  /** Lines of the head, each with its end. */
  readonly headers: string
  /** What was charged by these fields of the answer. @throws Error when that is not what it should be. */
  readonly check: (fields: string) => number
}

/** Pays call after call. */
export type Payer = {
  /** `undefined` when nothing is left, or every channel is busy. */
  pay(): Payment | undefined
  hasMore(): boolean
  chargedByChannel(): readonly number[]
}

/** The payer of a job. */
export async function createPayer(payment: JobPayment): Promise<Payer> {
  switch (payment.kind) {
    case 'same':
      return createFreePayer(payment.headers)
    case 'each':
      return createListPayer(payment)
    case 'voucher':
      return createVoucherPayer(payment)
  }
}

function createFreePayer(headers: Readonly<Record<string, string>>): Payer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const free: Payment = {
    headers: lines.join(''),
    check: (fields) => {
      if (findResponse(fields) !== undefined) throw new Error('something was charged')
      return 0
    },
  }
  return { pay: () => free, hasMore: () => true, chargedByChannel: () => [] }
}

function createListPayer({
  payments,
  amountAtomic,
}: JobPayment & { readonly kind: 'each' }): Payer {
  let used = 0
  const check = (fields: string): number => {
    const response = expectResponse(fields)
    if (amountAtomic === null) return 0
    // `exact` does not repeat its amount.
    if (response['amount'] !== undefined && response['amount'] !== String(amountAtomic)) {
      throw new Error(`not ${amountAtomic}: ${JSON.stringify(response)}`)
    }
    return amountAtomic
  }
  return {
    pay: () => {
      const payment = payments[used]
      if (payment === undefined) return undefined
      used++
      return { headers: `payment-signature: ${payment}\r\n`, check }
    },
    hasMore: () => used < payments.length,
    chargedByChannel: () => [],
  }
}

type Channel = {
  readonly id: string
  readonly idBytes: Uint8Array
  /** The payload up to the ceiling. */
  readonly prefix: string
  chargedAtomic: number
  /** Signatures of the next vouchers, the last one first. */
  readonly signed: string[]
}

async function createVoucherPayer(
  payment: JobPayment & { readonly kind: 'voucher' },
): Promise<Payer> {
  const { accepted, amountAtomic } = payment
  const curve = await loadEvmCurve()
  const domain = createBatchDomain(
    84_532n,
    toLowerHex(baseSepoliaX402.batchSettlement),
    curve.keccak256,
  )
  const key = Buffer.from(payment.payerKey.slice(2), 'hex')
  const ceilingAtomic = Number(accepted.amount)
  const channels = payment.channels.map(({ channelId, config, chargedAtomic }): Channel => {
    const head = { x402Version: 2, accepted }
    return {
      id: channelId,
      idBytes: decodeChannelId(toLowerHex(channelId)),
      prefix: `${JSON.stringify(head).slice(0, -1)},"payload":{"type":"voucher","channelConfig":${JSON.stringify(config)},"voucher":{"channelId":"${channelId}","maxClaimableAmount":"`,
      chargedAtomic,
      signed: [],
    }
  })
  const sign = ({ idBytes }: Channel, ceiling: number): string =>
    encodeEvmSignature(curve.sign(domain.hashVoucher(idBytes, BigInt(ceiling)), key))
  // Every charge is known: what is signed now costs nothing while calls are measured.
  const perChannel = Math.ceil((payment.signedBefore ?? 0) / channels.length)
  for (const channel of channels) {
    for (let call = perChannel - 1; call >= 0; call--) {
      const before = channel.chargedAtomic + call * amountAtomic
      channel.signed.push(sign(channel, before + ceilingAtomic))
    }
  }
  // Owned here: channels without a call, the one that waits longest first.
  const free = [...channels]
  return {
    pay: () => {
      const channel = free.shift()
      if (channel === undefined) return undefined
      const ceiling = channel.chargedAtomic + ceilingAtomic
      const signature = channel.signed.pop() ?? sign(channel, ceiling)
      const json = `${channel.prefix}${ceiling}","signature":"${signature}"}}}`
      return {
        headers: `payment-signature: ${Buffer.from(json).toString('base64')}\r\n`,
        check: (fields) => {
          checkCharge(fields, channel, amountAtomic)
          channel.chargedAtomic += amountAtomic
          free.push(channel)
          return amountAtomic
        },
      }
    },
    hasMore: () => true,
    chargedByChannel: () => channels.map(({ chargedAtomic }) => chargedAtomic),
  }
}

/** The amount, the channel and its sum are those that were due. */
function checkCharge(fields: string, { id, chargedAtomic }: Channel, amountAtomic: number): void {
  const after = String(chargedAtomic + amountAtomic)
  const json = Buffer.from(findResponse(fields) ?? '', 'base64').toString('latin1')
  const parts = [
    `"chargedAmount":"${amountAtomic}"`,
    `"channelId":"${id}"`,
    `"chargedCumulativeAmount":"${after}"`,
    '"success":true',
  ]
  // As our gateway writes it; whoever writes it otherwise is read with care.
  if (parts.every((part) => json.includes(part))) return
  const { extra } = expectResponse(fields)
  const { chargedAmount, channelState } = membersOf(extra)
  const state = membersOf(channelState)
  if (
    chargedAmount !== String(amountAtomic) ||
    String(state['channelId']).toLowerCase() !== id ||
    state['chargedCumulativeAmount'] !== after
  ) {
    throw new Error(`not ${amountAtomic} to ${after}: ${JSON.stringify(extra)}`)
  }
}

function expectResponse(fields: string): Readonly<Record<string, unknown>> {
  const text = findResponse(fields)
  if (text === undefined) throw new Error('an answer does not say what was paid')
  const response = membersOf(JSON.parse(Buffer.from(text, 'base64').toString()))
  if (response['success'] !== true) throw new Error(JSON.stringify(response))
  return response
}

const responseMark = '\r\npayment-response: '

/** The last one: a trailer follows the head. */
function findResponse(fields: string): string | undefined {
  const at = fields.lastIndexOf(responseMark)
  if (at >= 0) return fields.slice(at + responseMark.length, fields.indexOf('\r', at + 2))
  return [...fields.matchAll(/\bpayment-response: *([^\r]+)\r/gi)].at(-1)?.[1]
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value))
    : {}
}

function toLowerHex(text: string): `0x${string}` {
  return `0x${text.slice(2).toLowerCase()}`
}
