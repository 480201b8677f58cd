/** `measure-refusals.ts`: CPU of reading a payment up to its signature, for good and hostile headers. */
import {
  createChannelOffer,
  parseChannelPayload,
} from '@countersign/protocol/payment/channel-payload'
import { checkAccepted } from '@countersign/protocol/payment/metered-offer'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { parsePaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import { parsePaymentHeader } from '@countersign/protocol/payment/presented-payment'
import {
  change,
  channelTerms,
  headerOf,
  resourceUrl,
  voucherPayload,
  type Json,
} from '../../../protocol/test/payment/sample-payment.ts'

const offer = createChannelOffer(channelTerms, 50_000n, resourceUrl)
const accepted: Json = JSON.parse(JSON.stringify(offer.requirements))
const payment: { [name: string]: Json } = {
  x402Version: 2,
  resource: { url: resourceUrl },
  accepted,
  payload: voucherPayload,
  extensions: {},
}
const other = '0x0000000000000000000000000000000000000001'
const headers: Readonly<Record<string, string>> = {
  good: headerOf(payment),
  wrongToken: headerOf(change(payment, 'payload.channelConfig.token', other)),
  wrongAmount: headerOf(change(payment, 'accepted.amount', '1')),
  deep: Buffer.from('{"a":'.repeat(1200)).toString('base64'),
  wide: headerOf({ a: Array.from({ length: 3000 }, () => 1) }),
  escapes: headerOf({ a: '\n'.repeat(250) + 'x'.repeat(5500) }),
  spaces: Buffer.from(`{${' '.repeat(6000)}}`).toString('base64'),
  members: headerOf(
    Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`m${index}`, {}])),
  ),
  noise: 'A'.repeat(8192),
  notBase64: '!'.repeat(8192),
  tooLong: 'A'.repeat(16_000),
}
const rounds = 5
const perRound = 200

function read(header: string): string {
  try {
    const presented = parsePaymentHeader(header)
    checkAccepted(presented, offer)
    parsePaymentExtensions(presented)
    parseChannelPayload(presented.payload, channelTerms)
    return 'accepted'
  } catch (error) {
    if (error instanceof PaymentError) return error.code
    throw error
  }
}

/** The best round: other processes on the machine only ever add. */
function measure(header: string): number {
  let best = Infinity
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    for (let index = 0; index < perRound; index++) read(header)
    const { user, system } = process.cpuUsage(before)
    best = Math.min(best, (user + system) / perRound)
  }
  return best
}

const results = Object.entries(headers).map(([name, header]) => ({
  name,
  code: read(header),
  cpuMicroseconds: Math.round(measure(header)),
}))
process.stdout.write(`${JSON.stringify(results)}\n`)
