import { hashTypedData } from 'viem'
import { expect, test } from 'vitest'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  createBatchDomain,
  decodeChannelId,
  equalChannelConfigs,
  type ChannelConfig,
} from '@countersign/protocol/payment/channel'
import { createDomainSeparator } from '@countersign/protocol/payment/eip712'
import {
  encodeWord,
  writeUint,
  zeroAddress,
  type Hex,
} from '@countersign/protocol/payment/evm-word'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { createUptoChargeHasher } from '@countersign/protocol/payment/upto-charge'
import {
  createDepositNonce,
  createReceiveHasher,
} from '@countersign/protocol/payment/token-authorization'
import {
  authorizer,
  channelId,
  facilitator,
  nonce,
  payer,
  payTo,
  permit2Collector,
  uptoProxy,
  usdc,
} from './sample-payment.ts'

const batchContract = '0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003'
const collector = '0x4020806089470a89826cb9fb1f4059150b550004'
const permit2 = '0x000000000022d473030f116ddee9f6b43ac78ba3'
const config: ChannelConfig = {
  payer: lower(payer),
  payerAuthorizer: lower(payer),
  receiver: lower(payTo),
  receiverAuthorizer: lower(authorizer),
  token: lower(usdc),
  withdrawDelaySeconds: 900n,
  salt: `0x${'0'.repeat(64)}`,
}
const permit = {
  token: lower(usdc),
  amountAtomic: 50_000n,
  spender: lower(uptoProxy),
  nonce: BigInt(nonce),
  deadlineSeconds: 1_800_000_000n,
}

function lower(address: string): Hex {
  return `0x${address.slice(2).toLowerCase()}`
}

function hex(bytes: Uint8Array): string {
  return `0x${toHex(bytes)}`
}

test.each([
  [31_337n, '0xbf720f8d28a5c76a2f7743512598984fa4b90dd1efdb19af73f64cc6587d68af'],
  [84_532n, '0xfdef80764086b1e0fc6ba99f0cb9aa1d59109fda7c23d60334c89d2de44dffce'],
  [8453n, '0xd8d982716899b0e20cf2c1e706a37b8a892c83fdd4ac9b540cfeec11f9c73a39'],
])('the separator of the batch contract on chain %s', (chainId, separator) => {
  const domain = {
    name: 'x402 Batch Settlement',
    version: '1',
    chainId,
    verifyingContract: lower(batchContract),
  }
  expect(hex(createDomainSeparator(domain))).toBe(separator)
})

test('Permit2 has a domain without a version', () => {
  expect(
    hex(createDomainSeparator({ name: 'Permit2', chainId: 84_532n, verifyingContract: permit2 })),
  ).toBe('0x010f27a92fb9a32622f44f001dc4d15706a85b33499cfc2ce9033113ab26592c')
})

test('the digests are those that contract and stock packages make', () => {
  const domain = createBatchDomain(84_532n, batchContract)
  expect(domain.hashChannelId(config)).toBe(channelId)
  expect(hex(domain.hashVoucher(decodeChannelId(channelId), 50_000n))).toBe(
    '0x0f2b75b4828818f6294a290387e4ccdfea0ff761554d308ab58caf2d43c58946',
  )
  expect(hex(domain.hashRefund(channelId, 0n, 1500n))).toBe(
    '0x20267d3972c47815c09daaa4bd604c83c050b7cf225366042fd8acbc6c6cf10a',
  )
  const row = { channelId, maxClaimableAtomic: 50_000n, totalClaimedAtomic: 777n } as const
  expect(hex(domain.hashClaimBatch([row]))).toBe(
    '0xe841a12fbc3e859a50b104ec6910430e384825625f38c6aef74d57e6c14ca369',
  )
  expect(hex(domain.hashClaimBatch([row, row]))).not.toBe(hex(domain.hashClaimBatch([row])))
  const depositNonce = createDepositNonce(channelId, `0x${'11'.repeat(32)}`)
  expect(depositNonce).toBe('0xff68ab152185c3f5b82b7d22e8a8a76dbab620bd5db72464b2541d60d7701009')
  const hashReceive = createReceiveHasher({
    name: 'USDC',
    version: '2',
    chainId: 84_532n,
    verifyingContract: lower(usdc),
  })
  const transfer = {
    from: config.payer,
    to: collector,
    valueAtomic: 500_000n,
    validAfterSeconds: 0n,
    validBeforeSeconds: 1_800_000_000n,
    nonce: depositNonce,
  } as const
  expect(hex(hashReceive(transfer))).toBe(
    '0x39f9e7eb577f9862c026b900adc9019fd34025c7911b44676910d2127399789a',
  )
  const permits = createPermit2Domain(84_532n, permit2)
  const witness = { to: lower(payTo), facilitator: lower(facilitator), validAfterSeconds: 0n }
  expect(hex(permits.hashUpto(permit, witness))).toBe(
    '0x1cd53eb2e896e8437cec657d80d527346ac7bb69fba4aaa09b7f03df34614672',
  )
  const deposit = { ...permit, spender: lower(permit2Collector) }
  expect(hex(permits.hashDeposit(deposit, channelId))).toBe(
    '0x9e24e5e743d094cf089207cca70e14afbcda9a2fa864380453af1b484fbab18d',
  )
})

test('vouchers of any channel and amount have the digest of another implementation', () => {
  const domain = createBatchDomain(1n, batchContract)
  const types = {
    Voucher: [
      { name: 'channelId', type: 'bytes32' },
      { name: 'maxClaimableAmount', type: 'uint128' },
    ],
  } as const
  for (let index = 0n; index < 60n; index++) {
    const id: Hex = hexWord(index * 0x1234567890abcdef1234567890abcdefn + 1n)
    const maxClaimableAmount = (1n << (index * 2n)) + index
    const message = { channelId: id, maxClaimableAmount }
    const theirs = hashTypedData({
      domain: {
        name: 'x402 Batch Settlement',
        version: '1',
        chainId: 1,
        verifyingContract: batchContract,
      },
      types,
      primaryType: 'Voucher',
      message,
    })
    expect(hex(domain.hashVoucher(decodeChannelId(id), maxClaimableAmount))).toBe(theirs)
  }
})

test('the charge of an upto payment has the digest of another implementation', () => {
  const domain = {
    name: 'Countersign Upto Settler',
    version: '1',
    chainId: 84_532,
    verifyingContract: collector,
  } as const
  const message = {
    payer: config.payer,
    token: config.token,
    payee: config.receiver,
    nonce: permit.nonce,
    amount: 7n,
  }
  const types = {
    UptoCharge: [
      { name: 'payer', type: 'address' },
      { name: 'token', type: 'address' },
      { name: 'payee', type: 'address' },
      { name: 'nonce', type: 'uint256' },
      { name: 'amount', type: 'uint256' },
    ],
  } as const
  const hash = createUptoChargeHasher(84_532n, collector)
  expect(hex(hash({ ...message, amountAtomic: 7n }))).toBe(
    hashTypedData({ domain, types, primaryType: 'UptoCharge', message }),
  )
})

test('the digest of a voucher depends on chain, contract, channel and amount', () => {
  const id = decodeChannelId(channelId)
  const digests = [
    createBatchDomain(84_532n, batchContract).hashVoucher(id, 1n),
    createBatchDomain(8453n, batchContract).hashVoucher(id, 1n),
    createBatchDomain(84_532n, collector).hashVoucher(id, 1n),
    createBatchDomain(84_532n, batchContract).hashVoucher(decodeChannelId(hexWord(1n)), 1n),
    createBatchDomain(84_532n, batchContract).hashVoucher(id, 2n),
  ]
  expect(new Set(digests.map(hex)).size).toBe(5)
})

test('configs are equal when every member is', () => {
  expect(equalChannelConfigs(config, { ...config })).toBe(true)
  const others: Partial<ChannelConfig>[] = [
    { payer: zeroAddress },
    { payerAuthorizer: zeroAddress },
    { receiver: zeroAddress },
    { receiverAuthorizer: zeroAddress },
    { token: zeroAddress },
    { withdrawDelaySeconds: 901n },
    { salt: hexWord(1n) },
  ]
  for (const other of others)
    expect(equalChannelConfigs(config, { ...config, ...other })).toBe(false)
})

test('what is no word or no id is a mistake of the caller', () => {
  expect(() => decodeChannelId('0x12')).toThrow(RangeError)
  expect(() => decodeChannelId(`0x${'zz'.repeat(32)}`)).toThrow(RangeError)
  expect(() => encodeWord(`0x${'00'.repeat(33)}`)).toThrow(RangeError)
  expect(() => encodeWord('0x0g')).toThrow(RangeError)
  expect(() => encodeWord(-1n)).toThrow(RangeError)
  expect(() => encodeWord(1n << 256n)).toThrow(RangeError)
  expect(() => createBatchDomain(1n, batchContract).hashVoucher(new Uint8Array(31), 1n)).toThrow(
    RangeError,
  )
  expect(encodeWord((1n << 256n) - 1n)).toEqual(new Uint8Array(32).fill(255))
  const view = new DataView(new ArrayBuffer(40))
  writeUint(view, 8, 0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20n)
  expect([...new Uint8Array(view.buffer)]).toEqual([
    ...Array.from({ length: 8 }, () => 0),
    ...Array.from({ length: 32 }, (_, index) => index + 1),
  ])
})

function hexWord(value: bigint): Hex {
  return `0x${value.toString(16).padStart(64, '0')}`
}
