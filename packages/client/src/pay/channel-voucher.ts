/** What a payer signs for its channel: vouchers and deposits (spec/payment.md PA16, PA18, PA19). */
import type { JsonValue } from '@countersign/protocol/bytes/json-decode'
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { createDepositNonce } from '@countersign/protocol/payment/token-authorization'
import { jsonMap } from './base64-json.ts'
import type { ChannelContracts } from './channel-contracts.ts'
import type { ChannelRecord, PendingDeposit } from './channel-record.ts'
import { signTypedData, type PaymentSigner } from './sign-typed-data.ts'

/** The token that a channel holds, with its EIP-712 domain as this side knows it. */
export type ChannelToken = { readonly name: string; readonly version: string }

const voucherTypes = {
  Voucher: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'maxClaimableAmount', type: 'uint128' },
  ],
} as const

const receiveTypes = {
  ReceiveWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const

/** The payload of a call under this ceiling, with a deposit or without. @throws ClientError `signer-failed`. */
export async function signChannelPayload(
  signer: PaymentSigner,
  contracts: ChannelContracts,
  { channelId, config }: Pick<ChannelRecord, 'channelId' | 'config'>,
  ceilingAtomic: bigint,
  deposit: (PendingDeposit & { readonly token: ChannelToken }) | undefined,
): Promise<JsonValue> {
  const signature = await signTypedData(signer, {
    domain: {
      name: 'x402 Batch Settlement',
      version: '1',
      chainId: contracts.chainId,
      verifyingContract: contracts.batch,
    },
    types: voucherTypes,
    primaryType: 'Voucher',
    message: { channelId, maxClaimableAmount: ceilingAtomic },
  })
  const voucher = jsonMap({ channelId, maxClaimableAmount: `${ceilingAtomic}`, signature })
  const shared = { channelConfig: configJson(config), voucher }
  if (deposit === undefined) return jsonMap({ type: 'voucher', ...shared })
  const erc3009Authorization = jsonMap({
    validAfter: '0',
    validBefore: `${deposit.validBeforeSeconds}`,
    salt: deposit.salt,
    signature: await signDeposit(signer, contracts, channelId, config, deposit),
  })
  return jsonMap({
    type: 'deposit',
    ...shared,
    deposit: jsonMap({
      amount: `${deposit.amountAtomic}`,
      authorization: jsonMap({ erc3009Authorization }),
    }),
  })
}

/** The signature under a deposit by EIP-3009, valid from the epoch on. @throws ClientError `signer-failed`. */
export function signDeposit(
  signer: PaymentSigner,
  { chainId, erc3009Collector }: ChannelContracts,
  channelId: Hex,
  { payer, token: verifyingContract }: ChannelConfig,
  deposit: PendingDeposit & { readonly token: ChannelToken },
): Promise<string> {
  const { amountAtomic, salt, validBeforeSeconds, token } = deposit
  return signTypedData(signer, {
    domain: { name: token.name, version: token.version, chainId, verifyingContract },
    types: receiveTypes,
    primaryType: 'ReceiveWithAuthorization',
    message: {
      from: payer,
      to: erc3009Collector,
      value: amountAtomic,
      validAfter: 0n,
      validBefore: validBeforeSeconds,
      nonce: createDepositNonce(channelId, salt),
    },
  })
}

function configJson({ withdrawDelaySeconds, ...members }: ChannelConfig): JsonValue {
  return jsonMap({ ...members, withdrawDelay: Number(withdrawDelaySeconds) })
}
