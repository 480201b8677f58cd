/** The state of our channel as a gateway tells it in a corrective 402 (spec/payment.md PA22.1). Its word, but for our own signature. */
import type { JsonMap, JsonValue } from '@countersign/protocol/bytes/json-decode'
import { decodeChannelId } from '@countersign/protocol/payment/channel'
import { parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parseDecimal, parseWord } from '@countersign/protocol/payment/evm-word'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { ClientError } from '../errors.ts'
import { isJsonMap } from './base64-json.ts'
import type { ChannelContracts } from './channel-contracts.ts'
import type { ChannelCorrection, ChannelRecord } from './channel-record.ts'
import { recoverSigner } from './recover-signer.ts'

/**
 * The correction in an offer, or `undefined` when it has none.
 *
 * @throws ClientError `channel-correction-false` when it is of another form, another channel, or another signer.
 */
export function readCorrection(
  offer: JsonMap,
  record: ChannelRecord,
  contracts: ChannelContracts,
): ChannelCorrection | undefined {
  const extra = offer.get('extra')
  const state = isJsonMap(extra) ? extra.get('channelState') : undefined
  if (!isJsonMap(extra) || !isJsonMap(state)) return undefined
  if (parseWord(state.get('channelId')) !== record.channelId) throw refuse('another channel')
  return {
    chargedAtomic: amountOf(state, 'chargedCumulativeAmount'),
    reservedAtomic: extra.has('reservedAmount') ? amountOf(extra, 'reservedAmount') : 0n,
    provenSignedAtomic: readSigned(extra.get('voucherState'), record, contracts),
  }
}

/** What our own key signed; 0 when the gateway shows nothing. */
function readSigned(
  state: JsonValue | undefined,
  { channelId, config }: ChannelRecord,
  { domain }: ChannelContracts,
): bigint {
  if (state === undefined) return 0n
  if (!isJsonMap(state)) throw refuse('voucherState is no object')
  const signedAtomic = amountOf(state, 'signedMaxClaimable')
  const digest = domain.hashVoucher(decodeChannelId(channelId), signedAtomic)
  if (recoverSigner(digest, signatureOf(state)) !== config.payerAuthorizer) {
    throw refuse('a voucher that we did not sign')
  }
  return signedAtomic
}

function signatureOf(state: JsonMap): ReturnType<typeof parseEvmSignature> {
  try {
    return parseEvmSignature(state.get('signature'))
  } catch (cause) {
    if (!(cause instanceof PaymentError)) throw cause
    throw new ClientError('channel-correction-false', { detail: 'signature', cause })
  }
}

function amountOf(members: JsonMap, name: string): bigint {
  const amount = parseDecimal(members.get(name), 128n)
  if (amount === undefined) throw refuse(name)
  return amount
}

function refuse(detail: string): ClientError {
  return new ClientError('channel-correction-false', { detail })
}
