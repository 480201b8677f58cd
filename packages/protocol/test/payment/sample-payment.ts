/** The payments of the facts: signed by well-known test keys, settled by a stock facilitator on a local chain. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { ChannelTerms } from '@countersign/protocol/payment/channel-payload'
import type { UptoTerms } from '@countersign/protocol/payment/upto-payload'

/** JSON of any depth, for changing. */
export type Json = string | number | boolean | null | { [name: string]: Json } | Json[]

export const usdc = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
export const payer = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
export const payTo = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
export const authorizer = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
export const facilitator = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
export const uptoProxy = '0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002'
export const permit2Collector = '0x4020425FAf3B746C082C2f942b4E5159887B0005'
export const channelId = '0xe94a435ba5c4a651c4c975bc5e2a208275f95d4199785ab0d7fbbf56bc9469ec'
export const resourceUrl = 'https://gw.example/v1/chat/completions'
export const nonce = '7719472615821079694904732333912527190217998977709370935963838933860875309329'

const voucherSignature =
  '0xa32e43100ddf29dc7da346bdbdde6cb02fa7161f960abcc3d79242a54af7fbff0049f8d2b034f2190928159434abf568ad9216549bacb4fe184c6de903e7327f1b'
const depositSignature =
  '0x4d9e294c55423e54d6e0a5f94c93afd0d8d1f0dd7ba88c764dd7d93244f548484625a6d4f4c9bc1e4dd406cb43bb8170773ff45d96aaae253c28da62bfabf0aa1b'
export const uptoSignature =
  '0x8a30b8f495bb5fe12fd8b5c8760b0fc56694467838d66b732f7237c509eca1c76c1acbf6c7dc86217086399335c5063fcb476c1c9527e8e9b0047ed1f38059cb1c'

const shared = {
  network: 'eip155:84532',
  chainId: 84_532n,
  asset: usdc,
  assetName: 'USDC',
  assetVersion: '2',
  payTo,
  maxTimeoutSeconds: 600,
} as const

export const uptoTerms: UptoTerms = { ...shared, facilitator, uptoProxy }

export const channelTerms: ChannelTerms = {
  ...shared,
  receiverAuthorizer: authorizer,
  withdrawDelaySeconds: 900,
  minDepositAtomic: 500_000n,
  maxRunningCalls: 64,
  erc3009Collector: '0x4020806089470a89826cB9fB1f4059150b550004',
  permit2Collector,
}

const channelConfig = {
  payer,
  payerAuthorizer: payer,
  receiver: payTo,
  receiverAuthorizer: authorizer,
  token: usdc,
  withdrawDelay: 900,
  salt: `0x${'0'.repeat(64)}`,
}
const voucher = { channelId, maxClaimableAmount: '50000', signature: voucherSignature }

export const uptoPayload: { [name: string]: Json } = {
  signature: uptoSignature,
  permit2Authorization: {
    from: payer,
    permitted: { token: usdc, amount: '50000' },
    spender: uptoProxy,
    nonce,
    deadline: '1800000000',
    witness: { to: payTo, facilitator, validAfter: '0' },
  },
}

export const voucherPayload: { [name: string]: Json } = { type: 'voucher', channelConfig, voucher }

export const depositPayload: { [name: string]: Json } = {
  type: 'deposit',
  channelConfig,
  voucher,
  deposit: {
    amount: '500000',
    authorization: {
      erc3009Authorization: {
        validAfter: '0',
        validBefore: '1800000000',
        salt: `0x${'11'.repeat(32)}`,
        signature: depositSignature,
      },
    },
  },
}

export const permit2DepositPayload: { [name: string]: Json } = {
  type: 'deposit',
  channelConfig,
  voucher,
  deposit: {
    amount: '500000',
    authorization: {
      permit2Authorization: {
        from: payer,
        permitted: { token: usdc, amount: '500000' },
        spender: permit2Collector,
        nonce,
        deadline: '1800000000',
        witness: { channelId },
        signature: uptoSignature,
      },
    },
  },
}

/** The header of a payload. */
export function headerOf(payment: unknown): string {
  return Buffer.from(encodeUtf8(JSON.stringify(payment))).toString('base64')
}

/** A deep copy with the member at this path set, or removed. */
export function change(
  object: { [name: string]: Json },
  path: string,
  value: Json | undefined,
): { [name: string]: Json } {
  const copy = structuredClone(object)
  const names = path.split('.')
  const last = names.pop() ?? ''
  let place: Json = copy
  for (const name of names) {
    const next: Json | undefined = Object(place)[name]
    if (typeof next !== 'object' || next === null) throw new Error(`no ${path}`)
    place = next
  }
  if (value === undefined) delete Object(place)[last]
  else Object(place)[last] = value
  return copy
}
