/** Payments that are refused before or by the check of their signature: what an attacker can send for nothing. */
import type { OfferRequirements } from '@countersign/protocol/payment/metered-offer'
import type { GatewayErrorCode } from '../../packages/gateway/src/errors.ts'

/** One payment, and the code of its refusal. */
export type BadPayment = {
  readonly name: string
  readonly code: GatewayErrorCode
  readonly header: string
}

const headerBytes = 8192
const amountAtomic = 1000n

/** One or more of each kind. `pay` makes the payload of a good payment for a ceiling above what is charged. */
export function createBadPayments(
  accepted: OfferRequirements,
  pay: (ceilingAtomic: bigint) => Record<string, unknown>,
): readonly BadPayment[] {
  const good = pay(amountAtomic)
  const encode = (changes: object): string => encodeJson({ x402Version: 2, accepted, ...changes })
  const { voucher, channelConfig } = good
  const ofOther = pay(amountAtomic + 1n)
  return [
    { name: 'no base64', code: 'payment-malformed', header: '*'.repeat(1600) },
    { name: 'no JSON, 8 KiB', code: 'payment-malformed', header: 'A'.repeat(headerBytes) },
    { name: 'commas, 8 KiB', code: 'payment-malformed', header: encodeText(','.repeat(6144)) },
    {
      name: 'escapes up to the limit',
      code: 'payment-malformed',
      header: encodeText(`{"x":"${'\\n'.repeat(250)}"`),
    },
    {
      name: 'one long text, 8 KiB',
      code: 'payment-version-unsupported',
      header: encodeJson({ x402Version: 1, accepted: 'a'.repeat(6000) }),
    },
    {
      name: 'other version',
      code: 'payment-version-unsupported',
      header: encode({ x402Version: 1, payload: good }),
    },
    {
      name: 'other chain',
      code: 'payment-network-mismatch',
      header: encode({ accepted: { ...accepted, network: 'eip155:1' }, payload: good }),
    },
    {
      name: 'other asset',
      code: 'payment-asset-mismatch',
      header: encode({ accepted: { ...accepted, asset: accepted.payTo }, payload: good }),
    },
    {
      name: 'other payee',
      code: 'payment-payee-mismatch',
      header: encode({ accepted: { ...accepted, payTo: accepted.asset }, payload: good }),
    },
    {
      name: 'other amount',
      code: 'payment-amount-mismatch',
      header: encode({ accepted: { ...accepted, amount: '1' }, payload: good }),
    },
    {
      name: 'other channel',
      code: 'channel-id-mismatch',
      header: encode({
        payload: { ...good, channelConfig: { ...Object(channelConfig), salt: word('12') } },
      }),
    },
    {
      name: 'high s',
      code: 'payment-signature-malformed',
      header: encode({
        payload: { ...good, voucher: { ...Object(voucher), signature: `0x${'ff'.repeat(64)}1b` } },
      }),
    },
    {
      name: 'above the balance',
      code: 'channel-ceiling-mismatch',
      header: encode({ payload: pay(10n ** 16n) }),
    },
    {
      name: 'signed by another, after the check of the signature',
      code: 'payment-signature-invalid',
      header: encode({
        payload: {
          ...good,
          voucher: { ...Object(voucher), signature: Object(ofOther['voucher']).signature },
        },
      }),
    },
  ]
}

function word(digits: string): string {
  return `0x${digits.padStart(64, '0')}`
}

function encodeJson(value: unknown): string {
  return encodeText(JSON.stringify(value))
}

function encodeText(text: string): string {
  return Buffer.from(text).toString('base64')
}
